"""Tables of features in files: GeoJSON, CSV, GeoPackage, Shapefile and GeoParquet."""
