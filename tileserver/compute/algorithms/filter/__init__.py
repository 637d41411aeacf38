"""Algorithms of Filter."""
