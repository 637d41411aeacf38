"""Files beside a raster, which other programs write: metadata, places, overviews, masks."""
