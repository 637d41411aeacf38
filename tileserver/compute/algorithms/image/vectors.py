"""Images to features: a feature for each segment of pixels of one value.

As apidocs/ee-image-reducetovectors has it. What Google leaves open: a segment's pixels are those
whose centre lies in the region, with full weight; polygons follow the edges of pixels, their
corners carried into degrees one by one; a box bounds them in the projection, a centroid is the mean
of their centres there. An id is the column and the row of a segment's first pixel in the lattice,
both with a sign, as in +120-35. Of one band to reduce a property has the name of the reducer's
output, of several that of the band.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from tileserver.compute.algorithms.reducer.reduce_region import lattice_of, reducible_region
from tileserver.compute.context import Context
from tileserver.compute.pixels.segments import (
    Labelled,
    check_whole,
    labelled,
    middles,
    outlined,
    rows_by_segment,
)
from tileserver.compute.registry import ALGORITHMS, algorithm
from tileserver.compute.values.feature import Collection, Feature
from tileserver.compute.values.geometry import Geometry
from tileserver.compute.values.image import DEFAULT_PROJECTION, INDEX, Image, Projection, north_up
from tileserver.compute.values.planar import carried, moved_shape
from tileserver.compute.values.reducer import Output, Reducer, spread
from tileserver.errors import InvalidRequest, shown
from tileserver.geo.crs import WGS84

_FEATURE_BYTES = 1000
_ARGUMENTS = (
    "image: Image, reducer: Reducer = null, geometry: Geometry = null, scale: Float = null,"
    ' geometryType: String = "polygon", eightConnected: Boolean = true,'
    ' labelProperty: String = "label", crs: Projection = null, crsTransform: List = null,'
    " bestEffort: Boolean = false, maxPixels: Long = 10000000.0, tileScale: Float = 1.0,"
    " geometryInNativeProjection: Boolean = false"
)
_KINDS = "polygon", "bb", "centroid"


@algorithm(f"Image.reduceToVectorsStreaming({_ARGUMENTS}) -> FeatureCollection", hidden=True)
@algorithm(f"Image.reduceToVectors({_ARGUMENTS}) -> FeatureCollection")
def reduce_to_vectors(
    context: Context,
    image: Image,
    reducer: Reducer | None,
    geometry: Geometry | None,
    scale: float | None,
    kind: str,
    is_eight_connected: bool,
    label: str | None,
    crs: Projection | None,
    transform: Sequence[Any] | None,
    best_effort: bool,
    most: int,
    tile_scale: float,
    is_native: bool,
) -> Collection:
    """Return a feature for each segment of an image, with a reducer's results over its pixels."""
    if kind not in _KINDS:
        raise InvalidRequest(f"geometryType must be one of {', '.join(_KINDS)}, got {shown(kind)}.")
    lattice = lattice_of(image, crs, list(transform) if transform is not None else None, scale)
    check_whole(image.bands[0])
    outputs = _outputs(reducer, image)
    region = reducible_region(image, geometry, lattice, best_effort, most)
    found = labelled(context, image.bands, region, tile_scale)
    polygons, codes = outlined(context, found, is_eight_connected)
    context.count_bytes(_FEATURE_BYTES * len(polygons))
    rows = rows_by_segment(found, polygons)
    places = _places(found, polygons, rows, kind, is_native)
    properties = [_properties(context, found, each, outputs) for each in rows]
    if label is not None:
        names = found.values[codes].tolist()
        properties = [{**each, label: name} for each, name in zip(properties, names, strict=True)]
    pairs = zip(places, properties, strict=True)
    names = _ids(found, rows, north_up(lattice))
    features = tuple(
        Feature(place, {**members, INDEX: name})
        for (place, members), name in zip(pairs, names, strict=True)
    )
    types = {output.name: "Float" for output in outputs} | (
        {} if label is None else {label: "Long"}
    )
    return Collection("FeatureCollection", features, columns=types)


def _ids(found: Labelled, rows: Sequence[NDArray[np.int64]], lattice: Projection) -> list[str]:
    """Return the ids of segments: column and row of their first pixels, such as +120-35."""
    t, width = found.grid.transform, found.grid.width
    left, top = lattice.transform.inverse().apply(t.translate_x, t.translate_y)
    first = [int(found.places[each].min()) if len(each) else 0 for each in rows]
    return [f"{round(left) + at % width:+d}{round(top) + at // width:+d}" for at in first]


def _outputs(reducer: Reducer | None, image: Image) -> list[Output]:
    """Return the outputs over the bands after the first; without a reducer the count."""
    names = image.band_ids[1:]
    if reducer is None or (reducer.name == "countEvery" and not names):
        return [ALGORITHMS["Reducer.countEvery"].function().outputs[0]]
    if not names or reducer.inputs not in (1, len(names)):
        raise InvalidRequest(
            f"Need 1+{reducer.inputs} bands for reducer {reducer.name}, got {len(names) + 1}."
        )
    return list(reducer.outputs) if len(names) == 1 else spread(reducer, names, keeps_name=True)


def _properties(
    context: Context, found: Labelled, rows: NDArray[np.int64], outputs: Sequence[Output]
) -> dict[str, Any]:
    context.budget.check_time()
    if not found.columns:
        return {outputs[0].name: len(rows)}
    columns = [column.at(rows) for column in found.columns]
    return {output.name: output.result(columns) for output in outputs}


def _places(
    found: Labelled,
    polygons: NDArray[Any],
    rows: Sequence[NDArray[np.int64]],
    kind: str,
    is_native: bool,
) -> list[Geometry]:
    """Return the geometry of each segment."""
    if not len(polygons):
        return []
    shapes: Any = polygons
    if kind == "bb":
        shapes = shapely.box(*shapely.bounds(polygons).T)
    elif kind == "centroid":
        shapes = shapely.points(middles(found, rows))
    grid = found.grid
    geodesic = None if kind == "centroid" else False
    if is_native:
        lattice = Projection(grid.crs_code, grid.transform)
        return [Geometry(shape, lattice, geodesic) for shape in shapes]
    placed: Any = moved_shape(shapes, grid.transform.apply)
    if grid.crs_code != WGS84:
        placed = moved_shape(placed, lambda x, y: carried(grid.crs_code, WGS84, x, y))
    return [Geometry(shape, DEFAULT_PROJECTION, geodesic) for shape in placed]
