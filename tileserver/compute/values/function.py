"""Functions as values, called by `map` and `iterate`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from tileserver.compute.context import Context
from tileserver.errors import InvalidRequest


class Function(ABC):
    """Something an expression can call."""

    names: tuple[str, ...]
    """Of its arguments, in order."""

    @abstractmethod
    def call_named(self, context: Context, arguments: Mapping[str, Any]) -> Any:
        """Return its value for arguments by name."""

    def call(self, context: Context, *arguments: Any) -> Any:
        """Return its value for arguments by place.

        Raises:
            InvalidRequest: it takes another number of arguments.
        """
        if len(arguments) < len(self.names):
            raise InvalidRequest(
                f"Expected a function of {len(arguments)} arguments, got one of {len(self.names)}."
            )
        named = dict(zip(self.names, arguments, strict=False))
        return self.call_named(context, named)
