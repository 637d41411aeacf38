"""Virtual rasters of GDAL (VRT) that the configuration names, read without GDAL."""
