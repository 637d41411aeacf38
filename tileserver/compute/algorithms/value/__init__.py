"""Algorithms of numbers, strings, lists, dictionaries and dates."""
