"""Files of tables for tests, written by GDAL through pyogrio or by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio.raw
import shapely
from shapely.geometry.base import BaseGeometry


def write_features(
    path: Path,
    shapes: Sequence[BaseGeometry | None],
    columns: Mapping[str, Any],
    crs: str = "EPSG:4326",
    **options: Any,
) -> None:
    """Write a table with the driver of the file's suffix, as GDAL does."""
    kinds = {each.geom_type for each in shapes if each is not None}
    data = [np.array(list(each)) for each in columns.values()]
    pyogrio.raw.write(
        path,
        geometry=np.array([None if s is None else s.wkb for s in shapes], object),
        field_data=data,
        fields=list(columns),
        geometry_type=kinds.pop() if len(kinds) == 1 else "Unknown",
        crs=crs,
        **options,
    )


def geojson_text(shapes: Sequence[BaseGeometry], columns: Mapping[str, Any]) -> str:
    """Return a FeatureCollection."""
    features = [
        {
            "type": "Feature",
            "geometry": json.loads(shapely.to_geojson(shape)),
            "properties": {name: values[i] for name, values in columns.items()},
        }
        for i, shape in enumerate(shapes)
    ]
    return json.dumps({"type": "FeatureCollection", "features": features})
