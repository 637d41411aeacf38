"""Algorithms of classifiers."""
