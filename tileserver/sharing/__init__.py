"""Pixels shared between workers and machines: what one has asked for, none asks for again."""
