"""A folder of GeoTIFFs as one image: footprints, their index, which file shows, pixels read."""
