"""The values that expressions compute with."""
