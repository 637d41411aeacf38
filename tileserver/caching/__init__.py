"""Tiles and blocks kept: in memory, on disk, in Redis."""
