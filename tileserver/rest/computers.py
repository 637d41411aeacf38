"""What the API needs of whoever computes expressions."""

from __future__ import annotations

from collections.abc import Container
from typing import Any, Protocol

from tileserver.errors import InvalidRequest
from tileserver.pixels import PixelRequest, PixelSource


class Computer(Protocol):
    """Computes expressions, each the JSON text of {"result": …, "values": …}."""

    async def value(self, expression: str) -> Any:
        """Return the value, as JSON has it.

        Raises:
            InvalidRequest: it cannot be computed; says why.
        """
        ...

    async def version(self, expression: str) -> str:
        """Return a token that changes whenever an asset it loads does; raises as `value`."""
        ...

    def algorithms(self) -> list[dict[str, Any]]:
        """Return the functions there are, as Earth Engine lists its own."""
        ...


class ComputingEngine(Computer, Protocol):
    """A computer that draws what it computes, too."""

    async def get_pixels(self, request: PixelRequest) -> bytes:
        """Return the encoded pixels of the request's expression; raises as `value`."""
        ...


class NoComputer:
    """Knows no function, and so computes nothing."""

    async def value(self, expression: str) -> Any:
        """Refuse."""
        raise _refusal()

    async def version(self, expression: str) -> str:
        """Refuse."""
        raise _refusal()

    def algorithms(self) -> list[dict[str, Any]]:
        """Return none."""
        return []


class Computing:
    """Hand requests with an expression to what computes them, all others to `source`."""

    def __init__(
        self, source: PixelSource, computer: PixelSource, elsewhere: Container[str] = ()
    ) -> None:
        """`elsewhere` are names of images that `source` itself computes."""
        self.source = source
        self.computer = computer
        self.elsewhere = elsewhere

    async def get_pixels(self, request: PixelRequest) -> bytes:
        """Return the encoded pixels."""
        is_ours = request.expression is not None and request.asset_id not in self.elsewhere
        return await (self.computer if is_ours else self.source).get_pixels(request)


def _refusal() -> InvalidRequest:
    return InvalidRequest("This server computes no expressions: no algorithms are available.")
