"""Blocks of GeoTIFFs decoded without GDAL, each once, and kept for all threads."""
