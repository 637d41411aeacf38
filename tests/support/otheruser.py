"""Folders of tests that another user of the machine may enter."""

from __future__ import annotations

import tempfile
from pathlib import Path


def let_all_enter(folder: Path) -> None:
    """Let every user enter a folder of a test and those above it, as far as pytest made them."""
    ends_at = Path(tempfile.gettempdir())
    for each in (folder, *folder.parents):
        if each == ends_at:
            break
        each.chmod(0o755)
