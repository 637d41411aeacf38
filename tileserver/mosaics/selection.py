"""Rules of pixel selection in a mosaic, and the order of files that each reads in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tileserver.errors import ConfigError
from tileserver.mosaics.members import Members

_FIRST_SHOWS = ("newest", "oldest", "first", "last")
_COMPUTED = ("mean", "median", "min", "max")
_BY_PROPERTY = ("lowest", "highest")
EXPECTED = (
    "newest, oldest, first, last, mean, median, min, max, or lowest:PROPERTY or highest:PROPERTY"
)


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of selection."""

    kind: str = "newest"
    by: str = ""
    """The property of the files that lowest and highest compare."""
    shows_one: bool = False
    """Whether a pixel that is masked in the first file there stays so, as in one step of time."""

    @property
    def is_computed(self) -> bool:
        """Whether each pixel is made of all files there; else the first valid one shows."""
        return self.kind in _COMPUTED

    @property
    def reads_one(self) -> bool:
        """Whether the first file in its order is all that shows."""
        return self.shows_one and not self.is_computed

    @property
    def is_average(self) -> bool:
        """Whether values are made that no file has."""
        return self.kind in ("mean", "median")

    def __str__(self) -> str:
        """Return the rule as it is written."""
        return f"{self.kind}:{self.by}" if self.by else self.kind


def parse_rule(text: str) -> Rule:
    """Return the rule of a text.

    Raises:
        ConfigError: it is none.

    >>> str(parse_rule("lowest:CLOUD_COVER"))
    'lowest:CLOUD_COVER'
    """
    kind, colon, name = text.partition(":")
    is_plain = kind in (*_FIRST_SHOWS, *_COMPUTED) and not colon
    if not is_plain and not (kind in _BY_PROPERTY and name.strip()):
        raise ConfigError(f"pixel_selection: expected {EXPECTED}, got {text[:80]!r}")
    return Rule(kind, name.strip())


def ranks(rule: Rule, members: Members) -> NDArray[np.int64]:
    """Return the place of each member in the order of a rule: 0 is read first, and shows on top.

    Ties are in the order of names. Members without the time or property come after all others.
    """
    names = np.arange(len(members))
    match rule.kind:
        case "newest":
            keys = -members.starts_s
        case "oldest":
            keys = members.starts_s
        case "lowest":
            keys = members.sort_values
        case "highest":
            keys = -members.sort_values
        case "last":
            keys = -names.astype(np.float64)
        case _:
            keys = names.astype(np.float64)
    # NaN is sorted last.
    order = np.lexsort((names, keys))
    places = np.empty(len(members), np.int64)
    places[order] = names
    return places
