"""Algorithms of arrays."""
