"""Virtual rasters."""
