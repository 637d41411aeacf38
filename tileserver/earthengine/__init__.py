"""Earth Engine itself, over REST, careful with its quota."""
