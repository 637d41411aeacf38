"""Patterns, numbers and dates as texts."""
