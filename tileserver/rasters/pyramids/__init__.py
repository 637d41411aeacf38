"""Pyramids of rasters that have none of their own, in files of a folder of the server."""
