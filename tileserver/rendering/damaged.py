"""What is wrong with a file that cannot be read."""

from __future__ import annotations


class DamagedFile(ValueError):
    """A file is not whole, or of another kind; the message names what it is, to follow "got"."""
