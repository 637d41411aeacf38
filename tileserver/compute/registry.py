"""The registry of algorithms, with their signatures as in Earth Engine's list.

    @algorithm("Image.add(image1: Image, image2: Image) -> Image")
    def add(image1: Image, image2: Image) -> Image:

Clients read the signature (`signatures`) in the list of algorithms, from which the official client
makes its methods. The function gets its arguments by place, each converted to its type
(`coercion`); one whose first parameter is `context` gets that before them. The list has all of
Earth Engine's algorithms; one that nobody has registered is refused by name when it is called.
"""

from __future__ import annotations

import inspect
import json
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache
from typing import Any, TypeVar

import numpy as np
import shapely

from tileserver.compute.coercion import coerced
from tileserver.compute.context import Context
from tileserver.compute.signatures import (
    Argument,
    Signature,
    listed_signatures,
    read_signature,
)
from tileserver.compute.values.array import Array
from tileserver.compute.values.classifier import Classifier
from tileserver.compute.values.clusterer import Clusterer
from tileserver.compute.values.feature import Collection, Feature
from tileserver.compute.values.filter import Filter
from tileserver.compute.values.geometry import Geometry
from tileserver.compute.values.image import Image
from tileserver.compute.values.join import Join
from tileserver.compute.values.kernel import Kernel
from tileserver.compute.values.made import Made
from tileserver.compute.values.reducer import Reducer
from tileserver.errors import InvalidRequest

log = logging.getLogger(__name__)

F = TypeVar("F", bound=Callable[..., Any])

_MAKES_PARTS = frozenset({"Collection.reduceColumns", "ImageCollection.getRegion", "List.reduce"})
"""Algorithms that make new lists within lists; those of others were counted before."""


_EVALUATION_ERRORS = (
    *(ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError),
    *(TypeError, ValueError, shapely.errors.ShapelyError),
)
"""Errors of Python and libraries on values that an algorithm cannot take."""


@dataclass(frozen=True, slots=True)
class Algorithm:
    """One algorithm."""

    signature: Signature
    description: str
    function: Callable[..., Any]
    takes_context: bool

    @property
    def name(self) -> str:
        """Its name, with that of its type."""
        return self.signature.name

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """Its arguments in order."""
        return self.signature.arguments

    @property
    def returns(self) -> str:
        """The type of its result."""
        return self.signature.returns

    @property
    def is_computed(self) -> bool:
        """Whether it has a function, not a signature alone."""
        return self.function is not _not_computed

    def to_json(self) -> dict[str, Any]:
        """Return its entry in the list of algorithms, as JSON; that says what is deprecated."""
        listed = listed_signatures().get(self.name, self.signature)
        entry = replace(self.signature, is_deprecated=listed.is_deprecated)
        return entry.to_json(self.description)

    def call(self, context: Context, given: Mapping[str, Any]) -> Any:
        """Return its value for arguments by name.

        Raises:
            InvalidRequest: an argument is missing, unknown or not right; names the algorithm.
        """
        if not self.is_computed:
            raise AlgorithmError(f"{self.name} is not computed by tileserver; {_INSTEAD}")
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
        if isinstance(found, Filter | Reducer) and self.returns in ("Filter", "Reducer"):
            return self._telling(found, given, values)
        if isinstance(found, Classifier | Clusterer | Join | Kernel) and found.made is None:
            return self._telling(found, given, values)
        return found

    def _telling(self, found: Any, given: Mapping[str, Any], values: Sequence[Any]) -> Any:
        """Return a value that knows how it was made."""
        pairs = zip(self.arguments, values, strict=True)
        told = {each.name: value for each, value in pairs if given.get(each.name) is not None}
        return replace(found, made=Made(self.name, told))

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
        case Array():
            return value.values.nbytes
        case Geometry():
            return 16 * int(shapely.get_num_coordinates(value.shape))
    return 32 * len(value.properties) if isinstance(value, Feature | Image | Collection) else 0


def _parts_bytes(value: Any) -> int:
    """Return the estimated memory of lists and dictionaries within a value."""
    parts = value.values() if isinstance(value, Mapping) else value
    if not isinstance(value, Mapping | list | tuple):
        return 0
    arrays = sum(each.values.nbytes for each in parts if isinstance(each, Array))
    inner = [each for each in parts if isinstance(each, Mapping | list | tuple)]
    return arrays + sum(40 * len(each) + _parts_bytes(each) for each in inner)


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
"""The algorithms that are computed, by name."""
_INSTEAD = "ask Earth Engine itself for it."


def algorithm(
    signature: str, description: str | None = None, hidden: bool = False
) -> Callable[[F], F]:
    """Register a function as the algorithm of a signature.

    Args:
        signature: name, arguments and return type, as in Earth Engine's list.
        description: one sentence; None takes the first paragraph of the function's docstring.
        hidden: whether clients leave the algorithm out of their own methods.
    """
    read = read_signature(signature)
    if hidden:
        read = replace(read, is_hidden=True)

    def register(function: F) -> F:
        first = list(inspect.signature(function).parameters)[:1]
        text = description or _first_paragraph(function)
        ALGORITHMS[read.name] = Algorithm(read, text, function, first == ["context"])
        return function

    return register


def _first_paragraph(function: Callable[..., Any]) -> str:
    return (inspect.getdoc(function) or "").partition("\n\n")[0].replace("\n", " ")


def _not_computed() -> None:
    """Stand for the function of an algorithm that has a signature alone."""


def find_algorithm(name: str) -> Algorithm:
    """Return an algorithm; one that is not computed fails when it is called, not before.

    Raises:
        InvalidRequest: Earth Engine has none of that name; lists similar ones.
    """
    found = ALGORITHMS.get(name)
    if found is not None:
        return found
    listed = listed_signatures().get(name)
    if listed is not None:
        return Algorithm(listed, f"Not computed by tileserver: {_INSTEAD}", _not_computed, False)
    raise InvalidRequest(f"Unrecognized function '{name[:80]}'.{_similar(name)}")


def _similar(name: str) -> str:
    found = get_close_matches(name[:80], all_names(), 3, 0.8)
    return f" Similar ones are {', '.join(found)}." if found else ""


def all_names() -> list[str]:
    """Return the names of all algorithms, computed or not, in order."""
    return sorted({*ALGORITHMS, *listed_signatures()})


def algorithm_list() -> list[dict[str, Any]]:
    """Return all algorithms as `GET /v1/projects/*/algorithms` lists them."""
    return [find_algorithm(name).to_json() for name in all_names()]


@cache
def algorithms_document() -> bytes:
    """Return the answer of `GET /v1/projects/*/algorithms`, as JSON."""
    document = {"algorithms": algorithm_list()}
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
