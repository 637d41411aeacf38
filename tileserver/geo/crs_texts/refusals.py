"""The one error that reading the text of a CRS raises."""

from __future__ import annotations


class RefusedCrs(ValueError):
    """The text is no CRS that may be given to PROJ; the message is a reason, without the text."""
