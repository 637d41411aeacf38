"""`tileserver ingest`: Cloud-Optimized GeoTIFFs with the pyramid Earth Engine would make."""
