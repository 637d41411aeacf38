"""What an application calls on its event loop that may block: PROJ, GDAL, the disk."""

from __future__ import annotations

import asyncio
import os
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import rasterio
from starlette.types import ASGIApp, Receive, Scope, Send

from tileserver.geo import crs as projections
from tileserver.rasters.dataset_pool import DatasetPool

_OF_THE_DISK = ("open", "os.listdir", "os.scandir")
_CODE = (
    *{sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")},
    str(Path(rasterio.__file__).parents[1]),
)
"""Where modules lie: to import one late is no matter of requests."""
_watched: list[Watched] = []
_hooked: list[bool] = []


class Watched:
    """An application, and what was called in the thread of its event loop."""

    def __init__(self, app: ASGIApp, monkeypatch: pytest.MonkeyPatch) -> None:
        """Watch an application until the test ends."""
        self.app = app
        self.seen: list[str] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        for home, name in (
            (projections, "transform"),
            (rasterio, "open"),
            (DatasetPool, "borrow"),
            (os, "stat"),
            (os, "lstat"),
        ):
            monkeypatch.setattr(home, name, self._noting(name, getattr(home, name)))
        crs = _Noting(vars(projections)["CRS"], self._noting)
        monkeypatch.setattr(projections, "CRS", crs)
        _hook_once()
        monkeypatch.setattr(sys.modules[__name__], "_watched", [self])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        self._loop = asyncio.get_running_loop()
        await self.app(scope, receive, send)

    def note(self, what: str, subject: object = "") -> None:
        """Note a call, if it comes from the event loop and is not of the code itself."""
        if self._loop is None or asyncio._get_running_loop() is not self._loop:
            return
        text = os.fsdecode(subject) if isinstance(subject, str | bytes | os.PathLike) else ""
        if not text.startswith(_CODE):
            self.seen.append(f"{what} {text}".strip())

    def _noting(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def noting(*arguments: Any, **more: Any) -> Any:
            self.note(name, arguments[0] if arguments else "")
            return function(*arguments, **more)

        return noting


class _Noting:
    """Stands for a class whose methods are noted, as C classes cannot be patched."""

    def __init__(self, kind: type, noting: Callable[..., Callable[..., Any]]) -> None:
        self._kind = kind
        self._note = noting

    def __getattr__(self, name: str) -> Any:
        return self._note(f"CRS.{name}", getattr(self._kind, name))


def _hook_once() -> None:
    # A hook stays for good.
    if not _hooked:
        sys.addaudithook(_hook)
        _hooked.append(True)


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if event in _OF_THE_DISK:
        for watched in _watched:
            watched.note(event, arguments[0] if arguments else "")
