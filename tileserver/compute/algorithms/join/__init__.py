"""Algorithms of Join."""
