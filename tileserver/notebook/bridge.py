"""The widget in a map that finds the way to the server, and carries tiles over the kernel's comm.

Its other half, in the browser, is bridge.js.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from tileserver.notebook.background import ENDED, Background, running
from tileserver.notebook.calls import Answer

_TILES = "/tiles/"
_MAX_TARGET = 8192


class Bridge(anywidget.AnyWidget):
    """Answers the browser's requests for tiles; each has an `id` and a `target`."""

    _esm = Path(__file__).with_name("bridge.js").read_text("utf-8")

    map_id = traitlets.Unicode().tag(sync=True)
    """The model of the map."""
    base = traitlets.Unicode().tag(sync=True)
    """What the URLs of the map's own layers begin with."""
    probe = traitlets.Unicode().tag(sync=True)
    """A target that answers quickly, and only with the key."""
    ways: Any = traitlets.List().tag(sync=True)
    fit: Any = traitlets.List().tag(sync=True)
    """West, south, east, north to show at first; empty to leave the map as it is."""
    way = traitlets.Unicode("").tag(sync=True)
    """The kind of the way that the browser found."""

    def __init__(self, server: Background, **traits: Any) -> None:
        super().__init__(**traits)
        self._server = server
        self.on_msg(self._answer)

    def _answer(self, _: object, content: Any, buffers: object) -> None:
        """Have a tile made, in the server's loop, and sent when it is there."""
        if not isinstance(content, Mapping) or not isinstance(content.get("id"), int):
            return
        number, target = content["id"], content.get("target")
        if running() is not self._server:
            return self._tell(number, Answer(410, "text/plain", ENDED.encode()))
        if not isinstance(target, str) or _TILES not in target or len(target) > _MAX_TARGET:
            return self._tell(number, Answer(404, "text/plain", b"expected the path of a tile"))
        future = self._server.fetch_keyed(target)
        future.add_done_callback(lambda done: self._tell(number, _result(done)))

    def _tell(self, number: int, answer: Answer) -> None:
        self.send({"id": number, "status": answer.status, "type": answer.media_type}, [answer.body])


def _result(done: Future[Answer]) -> Answer:
    try:
        return done.result()
    except BaseException as exc:
        return Answer(500, "text/plain", f"{type(exc).__name__}: {exc}".encode())
