"""Images and tables that are computed as they are written, a piece or a feature at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tileserver.compute.budget import Budget
from tileserver.compute.context import check_scanned
from tileserver.compute.values.feature import Collection, Element, Feature
from tileserver.compute.values.image import INDEX, Band, Image, as_asset
from tileserver.compute.values.stored_features import StoredFeatures
from tileserver.compute.values.to_json import Count, feature_json
from tileserver.concurrency.time_limit import checked
from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.grids import PixelGrid
from tileserver.contract.pixels import BandArrays, PixelRequest
from tileserver.errors import InvalidRequest
from tileserver.geo.completion import complete

PIECE_S = 300.0
"""For the pixels of one piece, or for the elements of a collection."""
_NAME = "exported"


def batch_budget() -> Budget:
    """Return the budget of a part of a task."""
    return Budget(time.monotonic() + PIECE_S)


@dataclass(frozen=True)
class PlannedImage:
    """An image on the grid of its own projection and bounds."""

    bands: tuple[Band, ...]
    grid: PixelGrid
    compute: Callable[[list[Band], PixelGrid, Budget], BandArrays]

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the bands."""
        return tuple(band.id for band in self.bands)

    @property
    def dtypes(self) -> tuple[np.dtype[Any], ...]:
        """The types of the bands."""
        return tuple(band.type.dtype for band in self.bands)

    def piece(self, grid: PixelGrid) -> BandArrays:
        """Return the bands on a part of the grid; raises InvalidRequest."""
        budget = batch_budget()
        with checked(budget.check_time):
            return self.compute(list(self.bands), grid, budget)


def planned_image(
    image: Any, compute: Callable[[list[Band], PixelGrid, Budget], BandArrays]
) -> PlannedImage:
    """Return an image to be written.

    Raises:
        InvalidRequest: it is none, or it has no bounds.
    """
    if not isinstance(image, Image):
        raise InvalidRequest(f"Expected an Image, got {type(image).__name__}.")
    if not image.bands:
        raise InvalidRequest("The image has no bands.")
    if any(band.extent is None for band in image.bands):
        raise InvalidRequest("Unable to export unbounded image.")
    asset = as_asset(image, _NAME, "")
    grid = complete(PixelRequest(_NAME, ImageFileFormat.GEO_TIFF), asset)
    return PlannedImage(image.bands, grid, compute)


@dataclass(frozen=True)
class PlannedTable:
    """The features of a collection."""

    elements: Sequence[Element]

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.elements)

    def names(self) -> list[str]:
        """Return the names of all properties but the index, in order."""
        if isinstance(self.elements, StoredFeatures):
            return sorted(self.elements.table.columns)
        return sorted({name for each in self.elements for name in each.properties} - {INDEX})

    def features(self) -> Iterator[dict[str, Any]]:
        """Yield them as GeoJSON in degrees with straight edges."""
        for place, element in enumerate(self.elements):
            # A time limit of its own for each, as the file is written in between.
            with checked(batch_budget().check_time):
                yield feature_json(element, place, Count())


def planned_table(value: Any) -> PlannedTable:
    """Return a collection to be written; a feature or an image is one of one.

    Raises:
        InvalidRequest: it is none, or too large.
    """
    elements = value.elements if isinstance(value, Collection) else [value]
    check_scanned(elements)
    if not isinstance(elements, StoredFeatures):
        for each in elements:
            if not isinstance(each, Feature | Image):
                raise InvalidRequest(f"Expected a FeatureCollection, got {type(each).__name__}.")
    return PlannedTable(elements)
