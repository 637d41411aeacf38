"""Algorithms of Geometry, Feature and Projection."""
