"""Expressions as JSON: read, checked, extended, described."""
