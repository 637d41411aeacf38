"""Set-up of the tests that read rasters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Once = Callable[[str, Callable[[Path], Path]], Path]


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """Return what writes a raster by its name, the first time: for tests that do not change it."""
    written: dict[str, Path] = {}

    def raster(name: str, write: Callable[[Path], Path]) -> Path:
        if name not in written:
            written[name] = write(tmp_path_factory.mktemp("once") / "a.tif")
        return written[name]

    return raster
