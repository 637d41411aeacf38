"""A method of the REST API: its path, which routes requests, and what the discovery document says.

Paths are those of https://developers.google.com/earth-engine/reference/rest, below a version.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

VERSIONS = ("v1", "v1beta", "v1alpha")
"""All alike: restee asks for v1beta, GDAL for v1alpha."""
PROJECT = r"projects/[^/]+"
ROOT = r"projects/[^/]+(?:/assets/?)?"
ASSET = r"(?:projects/[^/]+/assets|(?!projects/)[^/]+)/.+"
"""A name, or as ids are leniently taken for names, `COPERNICUS/S2/x`."""
OPERATION = r"projects/[^/]+/operations/.+"
NUMBER = r"[^/]+"
"""Of a tile; what is none is refused when it is read."""


@dataclass(frozen=True)
class Method:
    """One method."""

    id: str
    """As in the discovery document, after "earthengine."."""
    http_method: str
    path: str
    """Below the version, with parameters in braces; one with a plus may hold slashes."""
    handler: str
    """Name of the function in `handlers`."""
    patterns: Mapping[str, str]
    """Pattern of each parameter of the path, in order."""
    query: tuple[str, ...] = ()
    response: str = "Any"
    """Name of a schema in `discovery`; a page has a token for the next one."""
    refusal: str = ""
    """Why the method is not answered, and what would do instead, as an error says it."""
    expression: re.Pattern[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Compile the path."""
        parts = re.split(r"\{\+?(\w+)\}", self.path)
        texts = (
            f"(?P<{part}>{self.patterns[part]})" if index % 2 else re.escape(part)
            for index, part in enumerate(parts)
        )
        object.__setattr__(self, "expression", re.compile("".join(texts), re.DOTALL))
