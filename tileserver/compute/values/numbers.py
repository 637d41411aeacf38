"""Kinds of numbers that Python does not tell apart."""

from __future__ import annotations


class Long(int):
    """A whole number of 64 bits, as a cast of a number makes it; in sums it is any other."""
