"""Processing of bands between reading and drawing."""
