from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.serving import serve
from tileserver.config.config import Config
from tileserver.rasters.roots import Root
from tileserver.server.app import create_app


class Client(httpx.Client):
    """A client of a server, which decodes raw tiles."""

    def bands(self, path: str, **parameters: Any) -> dict[str, NDArray[Any]]:
        """Return the bands of a raw answer by their ids."""
        answer = self.get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        array = np.load(io.BytesIO(answer.content))
        return {name: array[name] for name in array.dtype.names}

    def refused(self, path: str, **parameters: Any) -> str:
        """Return the message of a 400."""
        answer = self.get(path, params=parameters)
        assert answer.status_code == 400, answer.text
        return answer.text


@pytest.fixture(scope="module")
def serving() -> Iterator[Callable[[Path], Client]]:
    """Return a function that serves a GeoTIFF or a folder of them."""
    with ExitStack() as stack:

        def served(path: Path, config: Config | None = None) -> Client:
            url = stack.enter_context(serve(create_app(config or Config(), [Root(str(path))])))
            return stack.enter_context(Client(base_url=url))

        yield served
