"""Signatures of algorithms, and those of all that Earth Engine lists.

    Image.add(image1: Image, image2: Image) -> Image

`= value` gives the default of an optional argument, as JSON. `signatures.txt` has one in each line,
after the words `hidden` and `deprecated` where they hold; `python docs/signatures.py` writes it
after a new release of `earthengine-api`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

_SIGNATURE = re.compile(
    r"(?P<flags>(?:(?:hidden|deprecated) )*)"
    r"(?P<name>[\w./]+)\((?P<arguments>.*)\) -> (?P<returns>[\w<>]+)",
    re.DOTALL,
)
_ARGUMENT = re.compile(r"(?P<name>\w+): (?P<type>\w+)(?: = (?P<default>.+))?")
_BETWEEN = re.compile(r",\s*(?=\w+: )")


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of an algorithm."""

    name: str
    type: str
    is_optional: bool
    default: Any

    def to_json(self) -> dict[str, Any]:
        """Return it as in the list of algorithms."""
        members: dict[str, Any] = {"argumentName": self.name, "type": self.type}
        if self.is_optional:
            members |= {"optional": True, "defaultValue": self.default}
        return members


@dataclass(frozen=True, slots=True)
class Signature:
    """Name, arguments and type of the result of an algorithm."""

    name: str
    arguments: tuple[Argument, ...]
    returns: str
    is_hidden: bool = False
    is_deprecated: bool = False

    def to_json(self, description: str) -> dict[str, Any]:
        """Return its entry in the list of algorithms."""
        members: dict[str, Any] = {
            "name": f"algorithms/{self.name}",
            "description": description,
            "returnType": self.returns,
            "arguments": [each.to_json() for each in self.arguments],
        }
        if self.is_hidden:
            members["hidden"] = True
        if self.is_deprecated:
            members |= {"deprecated": True, "deprecationReason": "Earth Engine deprecates it."}
        return members


def read_signature(text: str) -> Signature:
    """Return the signature that a line of code or of the list writes."""
    found = _SIGNATURE.fullmatch(" ".join(text.split()))
    assert found, text
    listed = [each for each in _BETWEEN.split(found["arguments"]) if each]
    flags = found["flags"].split()
    return Signature(
        found["name"],
        tuple(map(_read_argument, listed)),
        found["returns"],
        "hidden" in flags,
        "deprecated" in flags,
    )


def _read_argument(text: str) -> Argument:
    found = _ARGUMENT.fullmatch(text)
    assert found, text
    default = None if found["default"] is None else json.loads(found["default"])
    return Argument(found["name"], found["type"], found["default"] is not None, default)


@cache
def listed_signatures() -> Mapping[str, Signature]:
    """Return the signatures of all algorithms that Earth Engine lists, by name."""
    text = resources.files(__package__).joinpath("signatures.txt").read_text("utf-8")
    found = map(read_signature, text.splitlines())
    return {each.name: each for each in found}
