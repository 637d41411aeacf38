"""Reads small XML documents of strangers: without declarations, bounded in size and depth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

MAX_BYTES = 4_000_000
_MAX_NODES = 200_000
_MAX_DEPTH = 32


@dataclass(slots=True)
class Node:
    """An element."""

    tag: str
    attributes: dict[str, str]
    children: list[Node] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The text in it, without that of its children."""
        return "".join(self.parts).strip()

    def all(self, tag: str) -> Iterator[Node]:
        """Yield its children of a tag."""
        return (each for each in self.children if each.tag == tag)

    def first(self, tag: str) -> Node | None:
        """Return its first child of a tag, or None."""
        return next(self.all(tag), None)

    def text_of(self, tag: str) -> str:
        """Return the text of its first child of a tag; "" if there is none, or nothing in it."""
        found = self.first(tag)
        return found.text if found else ""


class _Builder:
    def __init__(self) -> None:
        self.root = Node("", {})
        self._open = [self.root]
        self._count = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if self._count > _MAX_NODES or len(self._open) > _MAX_DEPTH:
            raise ValueError(f"more than {_MAX_NODES} elements, or {_MAX_DEPTH} in one another")
        node = Node(tag, attributes)
        self._open[-1].children.append(node)
        self._open.append(node)

    def end(self, tag: str) -> None:
        self._open.pop()

    def text(self, content: str) -> None:
        self._open[-1].parts.append(content)


def _refuse(*_: object) -> int:
    raise ValueError("a document type or an entity is declared")


def read_xml(content: bytes) -> Node:
    """Return the root element of a document.

    Raises:
        ValueError: it is not well-formed, too large or too deep, or declares a document type.
    """
    if len(content) > MAX_BYTES:
        raise ValueError(f"longer than {MAX_BYTES / 1e6:.0f} MB")
    builder = _Builder()
    parser = expat.ParserCreate()
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.text
    # Without a document type there are no entities, and so nothing that grows or is fetched.
    parser.StartDoctypeDeclHandler = _refuse
    parser.EntityDeclHandler = _refuse
    parser.ExternalEntityRefHandler = _refuse
    try:
        parser.Parse(content, True)
    except expat.ExpatError as exc:
        raise ValueError(f"not well-formed: {exc}") from exc
    return builder.root.children[0]
