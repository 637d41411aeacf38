"""Processing of Earth Engine's assets is that of the same raster served from disk."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.earth.asking import Serve, serve_locally

TILE = "/tiles/scene/8/134/120"
AREA = {"type": "Polygon", "coordinates": [[[8, 9], [9, 9], [9, 10], [8, 9]]]}


@pytest.mark.parametrize(
    "parameters",
    [
        {"expression": "(b1 - b2) / (b1 + b2)"},
        {"algorithm": "slope", "resampling": "nearest"},
        {"like": "10.2,10.4", "threshold": 0.5},
        {"nodata": 0, "bands": "b1"},
        {"resampling": "bilinear", "bands": "b1,b2"},
        {"resampling": "average", "bands": "b2"},
        {"algorithm": "hillshade"},
    ],
    ids=lambda each: "-".join(each),
)
def test_values_are_those_of_the_local_engine(
    serve_earth: Serve, folder: Path, parameters: dict[str, Any]
) -> None:
    with serve_earth() as client, serve_locally(folder) as local:
        arrays = []
        for each in (client, local):
            answer = each.get(f"{TILE}.npy", params=parameters)
            assert answer.status_code == 200, answer.text
            arrays.append(np.load(io.BytesIO(answer.content)))
    one, other = arrays
    assert one.dtype.names == other.dtype.names
    for name in one.dtype.names:
        np.testing.assert_allclose(one[name].astype(float), other[name].astype(float), atol=1)


@pytest.mark.parametrize(
    "parameters",
    [
        {"stretch": "log", "min": 0, "max": 60_000},
        {"colormap": '[[0,30000,"red"]]', "bands": "b1"},
    ],
)
def test_pictures_are_those_of_the_local_engine(
    serve_earth: Serve, folder: Path, parameters: dict[str, Any]
) -> None:
    with serve_earth() as client, serve_locally(folder) as local:
        bodies = [each.get(f"{TILE}.png", params=parameters) for each in (client, local)]
        assert [each.status_code for each in bodies] == [200, 200]
        assert bodies[0].content == bodies[1].content


def test_statistics_of_an_area_are_those_of_the_local_engine(
    serve_earth: Serve, folder: Path
) -> None:
    with serve_earth() as client, serve_locally(folder) as local:
        found = [each.post("/statistics/scene", json=AREA) for each in (client, local)]
        assert found[0].status_code == 200, found[0].text
        assert found[0].json() == found[1].json()
