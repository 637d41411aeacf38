"""Reductions of columns that come in pieces: the states of reducers."""
