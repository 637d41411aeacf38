"""Every spelling of an asset's name, and the patterns of names in `[access]`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tileserver.errors import InvalidRequest


def check_asset_name(name: str) -> str:
    """Return the full name of an asset, from any of the spellings clients use.

    `COPERNICUS/S2/x` is short for `projects/earthengine-public/assets/COPERNICUS/S2/x`, and the
    official client puts `projects/earthengine-legacy/assets/` before names it does not know.

    Raises:
        InvalidRequest: no asset can have that name.

    >>> check_asset_name("USGS/SRTMGL1_003")
    'projects/earthengine-public/assets/USGS/SRTMGL1_003'
    """
    name = name.removeprefix("projects/earthengine-legacy/assets/")
    parts = name.split("/")
    if len(name) > 1000 or any(part in ("", ".", "..") for part in parts):
        raise InvalidRequest(f"{name[:80]!r} is not the name of an asset.")
    if parts[0] in ("projects", "users"):
        return name
    return "projects/earthengine-public/assets/" + name


class Access:
    """A list of patterns, `**` crossing slashes, `*` not."""

    def __init__(self, patterns: Sequence[str] | None = None) -> None:
        """`patterns` are those of `[access] assets`; None allows all there are."""
        self._allowed = None if patterns is None else _pattern(patterns)

    def may_read(self, asset_name: str) -> bool:
        """Tell whether an asset may be read by its own name, full or short."""
        short = asset_name.removeprefix("projects/earthengine-public/assets/")
        return self._allowed is None or any(map(self._allowed.fullmatch, (asset_name, short)))


def _pattern(patterns: Sequence[str]) -> re.Pattern[str]:
    alternatives = (
        "".join(
            {"**": ".*", "*": "[^/]*"}.get(part, re.escape(part))
            for part in re.split(r"(\*\*|\*)", pattern)
        )
        for pattern in patterns
    )
    return re.compile("|".join(f"(?:{each})" for each in alternatives) or r"(?!)", re.DOTALL)
