"""Algorithms of clusterers."""
