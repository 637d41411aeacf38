"""The registry of algorithms, with their signatures as in Earth Engine's list.

    @algorithm("Image.add(image1: Image, image2: Image) -> Image")
    def add(image1: Image, image2: Image) -> Image:

Clients read the signature in the list of algorithms, from which the official client makes its
methods; `= value` gives the default of an optional argument. The function gets its arguments by
place, each converted to its type (`coercion`); one whose first parameter is `context` gets that
before them.
"""

from __future__ import annotations

import inspect
import json
import logging
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import shapely

from tileserver.compute.coercion import coerced
from tileserver.compute.context import Context
from tileserver.compute.values.feature import Collection, Feature
from tileserver.compute.values.geometry import Geometry
from tileserver.compute.values.image import Image
from tileserver.errors import InvalidRequest

log = logging.getLogger(__name__)

F = TypeVar("F", bound=Callable[..., Any])

_SIGNATURE = re.compile(r"(?P<name>[\w.]+)\((?P<arguments>.*)\) -> (?P<returns>[\w<>]+)", re.DOTALL)
_ARGUMENT = re.compile(r"(?P<name>\w+): (?P<type>\w+)(?: = (?P<default>.+))?")
_BETWEEN = re.compile(r",\s*(?=\w+: )")

_MAKES_PARTS = frozenset(
    {"Collection.reduceColumns", "Image.reduceRegion", "ImageCollection.getRegion", "List.reduce"}
)
"""Algorithms that make new lists within lists; those of others were counted before."""


_EVALUATION_ERRORS = (
    *(ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError),
    *(TypeError, ValueError, shapely.errors.ShapelyError),
)
"""Errors of Python and libraries on values that an algorithm cannot take."""


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of an algorithm."""

    name: str
    type: str
    is_optional: bool
    default: Any


@dataclass(frozen=True, slots=True)
class Algorithm:
    """One algorithm."""

    name: str
    returns: str
    arguments: tuple[Argument, ...]
    description: str
    function: Callable[..., Any]
    takes_context: bool
    is_hidden: bool

    def to_json(self) -> dict[str, Any]:
        """Return its entry in the list of algorithms, as JSON."""
        members: dict[str, Any] = {
            "name": f"algorithms/{self.name}",
            "description": self.description,
            "returnType": self.returns,
            "arguments": [_argument_json(each) for each in self.arguments],
        }
        return members | {"hidden": True} if self.is_hidden else members

    def call(self, context: Context, given: Mapping[str, Any]) -> Any:
        """Return its value for arguments by name.

        Raises:
            InvalidRequest: an argument is missing, unknown or not right; names the algorithm.
        """
        try:
            with as_invalid_request(self.name):
                return self._called(context, given)
        except AlgorithmError:
            raise
        except InvalidRequest as exc:
            raise AlgorithmError(f"{self.name}: {exc}") from exc

    def _called(self, context: Context, given: Mapping[str, Any]) -> Any:
        known = {each.name for each in self.arguments}
        if unknown := sorted(set(given) - known):
            raise InvalidRequest(
                f"Unrecognized argument {unknown[0][:60]!r}; "
                f"expected {', '.join(each.name for each in self.arguments)}."
            )
        with np.errstate(all="ignore"):
            values = [self._value(context, each, given.get(each.name)) for each in self.arguments]
            found = self.function(*([context] if self.takes_context else []), *values)
        context.count_bytes(_size_bytes(found, values))
        if self.name in _MAKES_PARTS:
            context.count_bytes(_parts_bytes(found))
        return found

    def _value(self, context: Context, argument: Argument, given: Any) -> Any:
        value = argument.default if given is None else given
        if value is None:
            if argument.is_optional:
                return None
            raise InvalidRequest(f"Parameter '{argument.name}' is required and may not be null.")
        return coerced(value, argument.type, argument.name, context)


def _size_bytes(value: Any, given: Sequence[Any]) -> int:
    """Return the estimated memory of a value, without its members: these were counted before."""
    match value:
        case str():
            return sys.getsizeof(value)
        case list() | tuple():
            # A list made of another shares most elements with it.
            longest = max((len(each) for each in given if isinstance(each, list)), default=0)
            return (11 if len(value) <= 2 * longest else 40) * len(value)
        case Mapping():
            return 32 * len(value)
        case Geometry():
            return 16 * int(shapely.get_num_coordinates(value.shape))
    return 32 * len(value.properties) if isinstance(value, Feature | Image | Collection) else 0


def _parts_bytes(value: Any) -> int:
    """Return the estimated memory of lists and dictionaries within a value."""
    parts = value.values() if isinstance(value, Mapping) else value
    if not isinstance(value, Mapping | list | tuple):
        return 0
    inner = [each for each in parts if isinstance(each, Mapping | list | tuple)]
    return sum(40 * len(each) + _parts_bytes(each) for each in inner)


@contextmanager
def as_invalid_request(name: str) -> Iterator[None]:
    """Raise InvalidRequest in place of errors of Python and libraries, and log them under a name.

    The client chose the values, and the same expression would fail again.
    """
    try:
        yield
    except _EVALUATION_ERRORS as exc:
        log.info("%s failed", name, exc_info=exc)
        raise InvalidRequest("Invalid arguments.") from exc


class AlgorithmError(InvalidRequest):
    """An algorithm failed; the message begins with its name."""


ALGORITHMS: dict[str, Algorithm] = {}
"""All algorithms by name."""


def algorithm(
    signature: str, description: str | None = None, hidden: bool = False
) -> Callable[[F], F]:
    """Register a function as the algorithm of a signature.

    Args:
        signature: name, arguments and return type, as in Earth Engine's list.
        description: one sentence; None takes the first paragraph of the function's docstring.
        hidden: whether clients leave the algorithm out of their own methods.
    """
    found = _SIGNATURE.fullmatch(" ".join(signature.split()))
    assert found, signature
    listed = [each for each in _BETWEEN.split(found["arguments"]) if each]
    arguments = tuple(_read_argument(each) for each in listed)

    def register(function: F) -> F:
        name, returns = found["name"], found["returns"]
        first = list(inspect.signature(function).parameters)[:1]
        text = description or _first_paragraph(function)
        ALGORITHMS[name] = Algorithm(
            name, returns, arguments, text, function, first == ["context"], hidden
        )
        return function

    return register


def _first_paragraph(function: Callable[..., Any]) -> str:
    return (inspect.getdoc(function) or "").partition("\n\n")[0].replace("\n", " ")


def find_algorithm(name: str) -> Algorithm:
    """Return an algorithm.

    Raises:
        InvalidRequest: there is none of that name; lists those there are.
    """
    found = ALGORITHMS.get(name)
    if found is None:
        raise InvalidRequest(
            f"Unrecognized function '{name[:80]}'. There are: {', '.join(sorted(ALGORITHMS))}."
        )
    return found


def algorithm_list() -> list[dict[str, Any]]:
    """Return all algorithms as `GET /v1/projects/*/algorithms` lists them."""
    return [ALGORITHMS[name].to_json() for name in sorted(ALGORITHMS)]


def _read_argument(text: str) -> Argument:
    found = _ARGUMENT.fullmatch(text)
    assert found, text
    default = None if found["default"] is None else json.loads(found["default"])
    return Argument(found["name"], found["type"], found["default"] is not None, default)


def _argument_json(argument: Argument) -> dict[str, Any]:
    members: dict[str, Any] = {"argumentName": argument.name, "type": argument.type}
    if argument.is_optional:
        members["optional"] = True
        members["defaultValue"] = argument.default
    return members
