"""SpatioTemporal Asset Catalogs (STAC): items as images, from files and from URLs."""
