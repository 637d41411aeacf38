"""Set-up: rasters, a token endpoint, a stand-in for Earth Engine, and our server before it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from rasterio import Affine

from tests.earth.asking import Heard, Serve, answers
from tests.support.rasterfiles import write_raster
from tests.support.standin import StandIn
from tests.support.standin_tokens import TokenServer


class Google(NamedTuple):
    """Where tokens come from, and the key file they are asked with."""

    tokens: TokenServer
    key: Path


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of rasters.

    `scene`: three bands of noise, 20 degrees of it, valid within a disc. `smooth`: a byte that
    rises evenly over the same place. `hole`: zeros in the west, nodata in the east.
    """
    path = tmp_path_factory.mktemp("rasters")
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:1000, 0:1000]
    place = Affine(0.02, 0, 0.013, 0, -0.02, 20.017)
    noise = rng.integers(0, 60_000, (3, 1000, 1000)).astype("uint16")
    disc = (x - 500) ** 2 + (y - 480) ** 2 < 300**2
    write_raster(path / "scene.tif", noise, "EPSG:4326", place, mask=disc, overviews=())
    write_raster(path / "smooth.tif", (x[np.newaxis] // 4).astype("uint8"), "EPSG:4326", place)
    halves = np.where(x < 500, 0, -9999)[np.newaxis].astype("int16")
    write_raster(path / "hole.tif", halves, "EPSG:4326", place, nodata=-9999, overviews=())
    return path


@pytest.fixture(scope="session")
def google(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Google]:
    """Give tokens to a service account."""
    with TokenServer() as tokens:
        path = tmp_path_factory.mktemp("keys") / "key.json"
        yield Google(tokens, tokens.write_service_account(path))


@pytest.fixture(autouse=True)
def _credentials(google: Google, monkeypatch: pytest.MonkeyPatch) -> None:
    google.tokens.heal()
    google.tokens.forget()
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(google.key))


@pytest.fixture(scope="session")
def held() -> dict[object, bytes]:
    """Return what the stand-ins have computed from the folder, once for all tests."""
    return {}


@pytest.fixture
def engine(folder: Path, google: Google, held: dict[object, bytes]) -> Iterator[StandIn]:
    """Stand in for Earth Engine."""
    with StandIn(folder, accepts=google.tokens.accepts, held=held) as stand_in:
        yield stand_in


@pytest.fixture
def heard() -> Heard:
    """Return all that clients have heard in a test."""
    return []


@pytest.fixture
def serve_earth(engine: StandIn, heard: Heard) -> Serve:
    """Return what serves layers of the stand-in."""
    return Serve(engine.url, heard)


@pytest.fixture
def no_secret_told(
    google: Google,
    heard: Heard,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> Iterator[None]:
    """Look through all that was answered, logged and printed for tokens and the key."""
    caplog.set_level(logging.DEBUG)
    yield
    printed = capfd.readouterr()
    logged = "\n".join(record.getMessage() + str(record.exc_text) for record in caplog.records)
    everything = "\n".join([*map(answers, heard), printed.out, printed.err, logged])
    for secret in secrets_of(google.key):
        assert secret not in everything


def secrets_of(key: Path) -> list[str]:
    """Return what must never be told: any token, and any line of the private key."""
    lines: list[str] = json.loads(key.read_text())["private_key"].splitlines()
    return ["canary", "Bearer ya29", "PRIVATE KEY", *(line for line in lines if len(line) > 40)]
