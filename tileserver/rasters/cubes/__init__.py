"""Variables of NetCDF and Zarr, with or without a dimension of time, as images."""
