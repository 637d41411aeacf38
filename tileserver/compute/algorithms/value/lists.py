"""Lists: access to elements, insertion, slicing, sorting and construction.

Places count from zero; those before the beginning count from the end.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from typing import Any

from tileserver.compute.coercion import geometry_in
from tileserver.compute.context import MAX_LIST, Context, check_length
from tileserver.compute.plain_values import number_in, text_in
from tileserver.compute.registry import algorithm
from tileserver.compute.values.geometry import Geometry
from tileserver.errors import InvalidRequest, shown

_PAIR_BYTES = 80


def sized(elements: list[Any]) -> list[Any]:
    """Return a list; raise InvalidRequest if it is too long."""
    check_length(len(elements), MAX_LIST, "elements in a list")
    return elements


def place_in(elements: list[Any], index: int, is_end_allowed: bool = False) -> int:
    """Return a place counted from the beginning.

    Raises:
        InvalidRequest: there is no such place.
    """
    count = len(elements)
    place = index + count if index < 0 else index
    if not 0 <= place < count + is_end_allowed:
        raise InvalidRequest(f"List index {index} is out of range: the list has {count} elements.")
    return place


@algorithm("List.get(list: List, index: Integer) -> Object")
def get(elements: list[Any], index: int) -> Any:
    """Return the element at a place."""
    return elements[place_in(elements, index)]


@algorithm("List.getNumber(list: List, index: Integer) -> Number")
def get_number(elements: list[Any], index: int) -> float:
    """Return the number at a place."""
    return number_in(get(elements, index), f"Element {index}")


@algorithm("List.getString(list: List, index: Integer) -> String")
def get_string(elements: list[Any], index: int) -> str:
    """Return the string at a place."""
    return text_in(get(elements, index), f"Element {index}")


@algorithm("List.getGeometry(list: List, index: Integer) -> Geometry")
def get_geometry(context: Context, elements: list[Any], index: int) -> Geometry:
    """Return the geometry at a place."""
    return geometry_in(get(elements, index), f"Element {index}", context)


@algorithm("List.length(list: List) -> Integer")
@algorithm("List.size(list: List) -> Integer")
def size(elements: list[Any]) -> int:
    """Return the number of elements."""
    return len(elements)


@algorithm("List.add(list: List, element: Object) -> List")
def add(elements: list[Any], element: Any) -> list[Any]:
    """Return a list with one more element at its end."""
    return sized([*elements, element])


@algorithm("List.cat(list: List, other: List) -> List")
def cat(elements: list[Any], other: list[Any]) -> list[Any]:
    """Return the elements of a list and then those of another."""
    return sized(elements + other)


@algorithm("List.insert(list: List, index: Integer, element: Object) -> List")
def insert(elements: list[Any], index: int, element: Any) -> list[Any]:
    """Return a list with one more element at a place."""
    place = place_in(elements, index, is_end_allowed=True)
    return sized([*elements[:place], element, *elements[place:]])


@algorithm("List.set(list: List, index: Integer, element: Object) -> List")
def set_element(elements: list[Any], index: int, element: Any) -> list[Any]:
    """Return a list with another element at a place; just after the last it is one more."""
    place = place_in(elements, index, is_end_allowed=True)
    return sized([*elements[:place], element, *elements[place + 1 :]])


@algorithm("List.swap(list: List, pos1: Integer, pos2: Integer) -> List")
def swap(elements: list[Any], first: int, second: int) -> list[Any]:
    """Return a list with two elements in each other's place."""
    a, b = place_in(elements, first), place_in(elements, second)
    found = list(elements)
    found[a], found[b] = found[b], found[a]
    return found


@algorithm(
    "List.slice(list: List, start: Integer, end: Integer = null, step: Integer = null) -> List"
)
def slice_list(elements: list[Any], start: int, end: int | None, step: int | None) -> list[Any]:
    """Return the elements from one place to just before another, or each so many-th of them."""
    if step is not None and step < 1:
        raise InvalidRequest(f"The step must be 1 or more, got {step}.")
    return elements[start:end:step]


@algorithm("List.splice(list: List, start: Integer, count: Integer, other: List = null) -> List")
def splice(elements: list[Any], start: int, count: int, other: list[Any] | None) -> list[Any]:
    """Return a list with so many elements from a place on replaced by those of another."""
    place = place_in(elements, start, is_end_allowed=True)
    if count < 0:
        raise InvalidRequest(f"The count must not be negative, got {count}.")
    return sized([*elements[:place], *(other or []), *elements[place + count :]])


@algorithm("List.reverse(list: List) -> List")
def reverse(elements: list[Any]) -> list[Any]:
    """Return the elements from the last to the first."""
    return elements[::-1]


@algorithm("List.rotate(list: List, distance: Integer) -> List")
def rotate(elements: list[Any], distance: int) -> list[Any]:
    """Return the elements moved on by so many places, the last ones to the beginning."""
    if not elements:
        return []
    cut = -distance % len(elements)
    return elements[cut:] + elements[:cut]


@algorithm("List.shuffle(list: List, seed: Object = null) -> List")
def shuffle(elements: list[Any], seed: Any) -> list[Any]:
    """Return the elements in a random order: the same for a seed, a new one if it is false."""
    if seed is not None and not (isinstance(seed, int | float) and math.isfinite(seed)):
        raise InvalidRequest(f"Expected a number or false as seed, got {shown(seed)}.")
    order = random.Random(None if seed is False else int(seed or 0))  # No secret.
    found = list(elements)
    order.shuffle(found)
    return found


@algorithm("List.repeat(value: Object, count: Integer) -> List")
def repeat(value: Any, count: int) -> list[Any]:
    """Return a list of the same value so many times."""
    check_length(count, MAX_LIST, "elements in a list")
    return [value] * count


@algorithm(
    "List.sequence(start: Number, end: Number = null, step: Number = 1, count: Integer = null)"
    " -> List"
)
def sequence(start: float, end: float | None, step: float, count: int | None) -> list[float]:
    """Return numbers at equal steps: to an end, or so many of them."""
    if count is not None:
        check_length(count, MAX_LIST, "elements in a list")
        if count < 1:
            raise InvalidRequest(f"The count must be positive, got {count}.")
        if end is not None:
            last = count - 1
            return [start + (end - start) * i / last for i in range(last)] + [end]
        return [start + step * i for i in range(count)]
    if end is None:
        raise InvalidRequest("At least one of 'end' and 'count' must be given.")
    if step == 0 or not math.isfinite(start + end + step):
        raise InvalidRequest("The ends must be finite, and the step must not be zero.")
    # A little more than whole steps: 0 to 1 by 0.1 ends with 1.
    steps = math.floor(min(max((end - start) / step + 1e-9, -1), MAX_LIST))
    check_length(steps + 1, MAX_LIST, "elements in a list")
    return [start + step * i for i in range(steps + 1)]


@algorithm("List.zip(list: List, other: List) -> List")
def zip_lists(context: Context, elements: list[Any], other: list[Any]) -> list[list[Any]]:
    """Return pairs of the elements of two lists, as many as the shorter one has."""
    context.count_bytes(_PAIR_BYTES * min(len(elements), len(other)))
    return [list(pair) for pair in zip(elements, other, strict=False)]


@algorithm("List.unzip(list: List) -> List")
def unzip(context: Context, elements: list[Any]) -> list[list[Any]]:
    """Return lists of the first, the second … elements of lists."""
    if wrong := [each for each in elements if not isinstance(each, list)]:
        raise InvalidRequest(f"Expected a list of lists, got {shown(wrong[0])} in it.")
    count = len(elements) * min(map(len, elements), default=0)
    check_length(count, 10 * MAX_LIST, "elements in lists")
    context.count_bytes(8 * count)
    return [list(each) for each in zip(*elements, strict=False)]


@algorithm("List.flatten(list: List) -> List")
def flatten(context: Context, elements: list[Any]) -> list[Any]:
    """Return the elements of all lists within a list, however deep."""
    return sized(list(_flat(context, elements)))


def _flat(context: Context, elements: list[Any]) -> Iterator[Any]:
    """Yield the elements that are not lists, without recursion; counts all visited elements."""
    stack: list[Iterator[Any]] = [iter(elements)]
    seen = 0
    while stack:
        for each in stack[-1]:
            seen += 1
            if isinstance(each, list):
                context.count_call()
                stack.append(iter(each))
                break
            check_length(seen, MAX_LIST, "elements in a list")
            yield each
        else:
            stack.pop()


@algorithm("List.sort(list: List, keys: List = null) -> List")
def sort(elements: list[Any], keys: list[Any] | None) -> list[Any]:
    """Return the elements in ascending order, or in that of keys; numbers before strings."""
    by = elements if keys is None else keys
    if len(by) != len(elements):
        raise InvalidRequest(f"Expected as many keys as elements, {len(elements)}, got {len(by)}.")
    ranks = Order()
    order = sorted(range(len(by)), key=[ranks.of(each) for each in by].__getitem__)
    return [elements[i] for i in order]


class Order:
    """Makes sort keys of values, with one limit for all values passed to it."""

    def __init__(self) -> None:
        self._seen = 0

    def of(self, value: Any, depth: int = 0) -> tuple[Any, ...]:
        """Return a sort key.

        Raises:
            InvalidRequest: values of its kind have no order, or they are too many.
        """
        match value:
            case None:
                return (-1,)
            case bool() | int() | float():
                return (0, value != value, value)
            case str():
                return (1, value)
            case list() | tuple() if depth < 3:
                self._seen += len(value)
                check_length(self._seen, 2 * MAX_LIST, "elements in lists that are keys")
                return (2, [self.of(each, depth + 1) for each in value])
        millis = getattr(value, "millis", None)
        if millis is not None:
            return (0, False, millis)
        raise InvalidRequest(f"Expected numbers or strings to sort, got {shown(value)}.")
