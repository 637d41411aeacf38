"""How many files of a mosaic are read."""

from __future__ import annotations

MAX_FILES = 128
"""Files that are read for one request."""
MAX_MOMENTS = 1000
"""Files that are read for one series."""
SAMPLED_FILES = 8
"""Files that are read for a request that a sample is enough for."""
