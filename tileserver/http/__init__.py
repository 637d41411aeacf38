"""Tiles, documents and the page over HTTP."""
