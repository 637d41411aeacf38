"""Algorithms of confusion matrices."""
