"""Pixels of images: planned, computed, reduced."""
