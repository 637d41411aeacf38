"""What documentation and editors are told of the settings."""

from __future__ import annotations

from typing import NamedTuple

from tileserver.config.config import TABLES
from tileserver.config.tables import settings_of
from tileserver.config.values import LIST, REPEATED


class Description(NamedTuple):
    """A row of the table of settings in the documentation."""

    key: str
    """As in "cache.memory", "rasters[].path", "layers.NAME.asset"."""
    type: str
    default: str
    """As a user would write it; "required" or "none" when there is no default."""
    meaning: str


def describe() -> list[Description]:
    """Return every setting with its type, default and meaning, in the order of the classes."""
    owners = {name: "[]" if name == LIST else ".NAME" for name in REPEATED}
    return [
        Description(
            f"{name}{owners.get(name, '')}.{each.key}{'.NAME' if each.is_mapping else ''}",
            each.kind.expected,
            each.default_text,
            each.meaning,
        )
        for name, table in TABLES.items()
        for each in settings_of(table).values()
    ]
