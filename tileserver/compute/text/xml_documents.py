"""Untrusted XML, read without entities and in bounded memory.

Expat resolves no external entity by itself; a document type declaration, which alone can declare
entities, is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from xml.parsers import expat

from tileserver.errors import InvalidRequest, shown

_MAX_CHARACTERS = 500_000
_MAX_ELEMENTS = 20_000
_MAX_DEPTH = 50


@dataclass
class Element:
    """An element by its name without prefix."""

    name: str
    attributes: dict[str, str]
    children: list[Element] = field(default_factory=list)
    text: str = ""

    def child(self, name: str) -> Element | None:
        """Return the first child of a name, or None."""
        return next((each for each in self.children if each.name == name), None)

    def all_below(self, name: str) -> list[Element]:
        """Return itself and all elements below it of a name, in the document's order."""
        found, stack = [], [self]
        while stack:
            each = stack.pop()
            found += [each] if each.name == name else []
            stack += reversed(each.children)
        return found


def parse_xml(text: str) -> Element:
    """Return the root of a document.

    Raises:
        InvalidRequest: it is malformed, too large, or declares a document type.
    """
    if len(text) > _MAX_CHARACTERS:
        raise InvalidRequest(f"The XML is longer than {_MAX_CHARACTERS} characters.")
    builder = _Builder()
    try:
        builder.parse(text)
    except expat.ExpatError as exc:
        place = f"line {exc.lineno}, column {exc.offset}"
        raise InvalidRequest(
            f"The XML is malformed at {place}: {expat.ErrorString(exc.code)}."
        ) from (exc)
    except (UnicodeError, ValueError) as exc:
        raise InvalidRequest(f"The XML is malformed: {shown(text[:60])}.") from exc
    return builder.root.children[0]


class _Builder:
    def __init__(self) -> None:
        self.root = Element("", {})
        self._open = [self.root]
        self._count = 0

    def parse(self, text: str) -> None:
        """Read a document into `root`."""
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._refuse
        parser.EntityDeclHandler = self._refuse
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._add_text
        parser.Parse(text.strip(), True)

    @staticmethod
    def _refuse(*declared: Any) -> None:
        raise InvalidRequest("The XML declares a document type or an entity, which is not allowed.")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if self._count > _MAX_ELEMENTS or len(self._open) > _MAX_DEPTH:
            raise InvalidRequest(
                f"The XML has more than {_MAX_ELEMENTS} elements, or more than {_MAX_DEPTH} levels."
            )
        element = Element(name.rpartition(":")[2], attributes)
        self._open[-1].children.append(element)
        self._open.append(element)

    def _end(self, name: str) -> None:
        element = self._open.pop()
        element.text = element.text.strip()

    def _add_text(self, text: str) -> None:
        self._open[-1].text += text
