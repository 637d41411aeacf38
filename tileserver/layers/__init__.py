"""Layers, their styles, and the documents that describe them."""
