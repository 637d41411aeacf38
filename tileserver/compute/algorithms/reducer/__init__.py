"""Algorithms of Reducer."""
