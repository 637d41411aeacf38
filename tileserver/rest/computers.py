"""What the API needs of whoever computes expressions."""

from __future__ import annotations

from typing import Any, Protocol


class Computer(Protocol):
    """Computes expressions, each the JSON text of {"result": …, "values": …}."""

    async def value(self, expression: str) -> Any:
        """Return the value, as JSON has it.

        Raises:
            InvalidRequest: it cannot be computed; says why.
        """
        ...

    async def features(self, expression: str) -> list[dict[str, Any]]:
        """Return the features of a collection as GeoJSON in degrees; raises as `value`."""
        ...

    async def version(self, expression: str) -> str:
        """Return a token that changes whenever an asset it loads does; raises as `value`."""
        ...

    def algorithms(self) -> list[dict[str, Any]]:
        """Return the functions there are, as Earth Engine lists its own."""
        ...
