"""GeoTIFFs on disk and in object storage."""
