"""The error for files that cannot be read."""

from __future__ import annotations


class DamagedFile(ValueError):
    """A file is incomplete or of another kind; the message completes "got ..."."""
