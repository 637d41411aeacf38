"""Algorithms of Image."""
