"""Earth Engine's REST API in front of our engines, for `ee`, GDAL and others."""
