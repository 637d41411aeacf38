"""Which assets may be read by name."""

from __future__ import annotations

import re
from collections.abc import Sequence


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
