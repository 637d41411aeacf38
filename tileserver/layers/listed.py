"""The entries of a list of layers: layers, unread ones, and failures with their reasons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tileserver.contract.grids import Box
from tileserver.contract.tiles import MAX_LATITUDE, MAX_ZOOM
from tileserver.layers.layer_index import IndexEntry
from tileserver.layers.layers import Layer, LayerDefinition
from tileserver.layers.styles import Style

_WORLD = Box(-180.0, -MAX_LATITUDE, 180.0, MAX_LATITUDE)


@dataclass(frozen=True, slots=True)
class Failure:
    """A layer that cannot be drawn, and why."""

    name: str
    title: str
    reason: str


class PassingFailure(Failure):
    """A failure that may be over at the next look, though the file is the same."""


@dataclass(frozen=True, slots=True)
class ListedLayer:
    """A layer of a long list: its definition, and its entry in the index."""

    definition: LayerDefinition
    entry: IndexEntry | None
    """None if its file was not read yet."""

    @property
    def name(self) -> str:
        """The name in URLs."""
        return self.definition.name

    @property
    def title(self) -> str:
        """The title for people."""
        return self.definition.display_title

    @property
    def asset_name(self) -> str:
        """The full name of its asset."""
        return self.definition.asset_name

    @property
    def bounds(self) -> Box:
        """Degrees; the whole map, as in TileJSON, while they are not known."""
        return self.entry.bounds if self.entry else _WORLD

    @property
    def minzoom(self) -> int:
        """The lowest zoom with tiles."""
        return self.definition.minzoom or 0

    @property
    def maxzoom(self) -> int:
        """The zoom of the asset's full resolution; the highest of all while it is not known."""
        if self.definition.maxzoom is not None:
            return self.definition.maxzoom
        return max(self.entry.full_zoom, self.minzoom) if self.entry else MAX_ZOOM

    @property
    def style(self) -> Style:
        """The complete style; the configured one while the rest is not known."""
        return self.entry.style if self.entry else self.definition.style

    @property
    def version(self) -> str:
        """The token of its tiles; "" while it is not known."""
        return self.entry.version if self.entry else ""


@dataclass(frozen=True, slots=True)
class LayerPage:
    """A page of the configured layers, in their order."""

    layers: Sequence[Layer | ListedLayer]
    failures: Sequence[Failure]
    """The layers of the page that cannot be drawn."""
    after: str | None
    """The last name of the page, if more follow."""
    unread: int = 0
    """Layers that a search by place had to leave out, as their files were not read yet."""


@dataclass(frozen=True, slots=True)
class Search:
    """Which layers a list has."""

    text: str = ""
    """In the name or the title, in upper or lower case."""
    bbox: Box | None = None
    """Degrees; touched by the layers' bounds."""

    def fits(self, definition: LayerDefinition) -> bool:
        """Tell whether a layer has the text."""
        text = self.text.casefold()
        return any(text in each.casefold() for each in (definition.name, definition.display_title))
