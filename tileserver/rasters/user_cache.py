"""Folders in a user's cache, where the configuration names no others."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def user_cache(environ: Mapping[str, str], name: str) -> Path | None:
    """Return a folder in the user's cache; None if the user has no home, as in some containers.

    See https://specifications.freedesktop.org/basedir.
    """
    cache = environ.get("XDG_CACHE_HOME", "")
    try:
        home = Path(cache) if os.path.isabs(cache) else Path.home() / ".cache"
    except RuntimeError:
        return None
    return home / "tileserver" / name
