"""GeoTIFFs behind URLs, read in ranges over connections of our own; GDAL gets bytes only."""
