"""Earth Engine's expressions, evaluated here: graphs of algorithms over lazy images."""
