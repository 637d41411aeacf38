"""The contract of getPixels as frozen values; no I/O."""
