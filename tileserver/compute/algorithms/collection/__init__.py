"""Algorithms of ImageCollection and FeatureCollection."""
