"""Search in lists: places, counts, removal and replacement of elements."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from typing import Any

from tileserver.compute.algorithms.value.lists import sized
from tileserver.compute.registry import algorithm
from tileserver.compute.values.equality import Keys, is_same


def _keys(*lists: list[Any]) -> list[list[Hashable]]:
    """Return hashable keys of the elements of lists, equal for equal elements only."""
    keys = Keys()
    return [[keys.of(each) for each in elements] for elements in lists]


def _find(keys: list[Hashable], key: Hashable) -> int:
    return keys.index(key) if key in keys else -1


@algorithm("List.contains(list: List, element: Object) -> Boolean")
def contains(elements: list[Any], element: Any) -> bool:
    """Tell whether an element is in a list."""
    return index_of(elements, element) >= 0


@algorithm("List.containsAll(list: List, other: List) -> Boolean")
def contains_all(elements: list[Any], other: list[Any]) -> bool:
    """Tell whether all elements of a list are in another."""
    present, wanted = _keys(elements, other)
    return set(wanted) <= set(present)


@algorithm("List.indexOf(list: List, element: Object) -> Integer")
def index_of(elements: list[Any], element: Any) -> int:
    """Return where an element first is in a list, or -1."""
    keys, (wanted,) = _keys(elements, [element])
    return _find(keys, wanted)


@algorithm("List.indexOfSublist(list: List, target: List) -> Integer")
def index_of_sublist(elements: list[Any], part: list[Any]) -> int:
    """Return where a list first is within another, or -1."""
    places = _places_of(*_keys(elements, part))
    return places[0] if places else -1


@algorithm("List.lastIndexOfSubList(list: List, target: List) -> Integer")
def last_index_of_sublist(elements: list[Any], part: list[Any]) -> int:
    """Return where a list last is within another, or -1."""
    places = _places_of(*_keys(elements, part))
    return places[-1] if places else -1


def _places_of(keys: list[Hashable], part: list[Hashable]) -> list[int]:
    """Return where a list begins within another; in linear time (Knuth-Morris-Pratt)."""
    if not part:
        return list(range(len(keys) + 1))
    borders = [0] * len(part)
    length = 0
    for i in range(1, len(part)):
        while length and part[i] != part[length]:
            length = borders[length - 1]
        length += part[i] == part[length]
        borders[i] = length
    places, length = [], 0
    for i, key in enumerate(keys):
        while length and (length == len(part) or key != part[length]):
            length = borders[length - 1]
        length += key == part[length]
        if length == len(part):
            places.append(i + 1 - length)
    return places


@algorithm("List.frequency(list: List, element: Object) -> Integer")
def frequency(elements: list[Any], element: Any) -> int:
    """Return how many times an element is in a list."""
    keys, (wanted,) = _keys(elements, [element])
    return Counter(keys)[wanted]


@algorithm("List.equals(list: List, other: List) -> Boolean")
def equals(elements: list[Any], other: list[Any]) -> bool:
    """Tell whether two lists have the same elements in the same order."""
    return is_same(elements, other)


@algorithm("List.distinct(list: List) -> List")
def distinct(elements: list[Any]) -> list[Any]:
    """Return the elements of a list, each once."""
    (keys,) = _keys(elements)
    first: dict[Hashable, Any] = {}
    for key, each in zip(keys, elements, strict=True):
        first.setdefault(key, each)
    return list(first.values())


@algorithm("List.remove(list: List, element: Object) -> List")
def remove(elements: list[Any], element: Any) -> list[Any]:
    """Return a list without the first of an element, if it is there."""
    place = index_of(elements, element)
    return elements if place < 0 else elements[:place] + elements[place + 1 :]


@algorithm("List.removeAll(list: List, other: List) -> List")
def remove_all(elements: list[Any], other: list[Any]) -> list[Any]:
    """Return a list without the elements of another."""
    keys, unwanted = _keys(elements, other)
    left_out = set(unwanted)
    return [each for key, each in zip(keys, elements, strict=True) if key not in left_out]


@algorithm("List.replace(list: List, oldval: Object, newval: Object) -> List")
def replace(elements: list[Any], old: Any, new: Any) -> list[Any]:
    """Return a list with the first of an element replaced by another."""
    place = index_of(elements, old)
    return elements if place < 0 else sized([*elements[:place], new, *elements[place + 1 :]])


@algorithm("List.replaceAll(list: List, oldval: Object, newval: Object) -> List")
def replace_all(elements: list[Any], old: Any, new: Any) -> list[Any]:
    """Return a list with each of an element replaced by another."""
    keys, (unwanted,) = _keys(elements, [old])
    return [new if key == unwanted else each for key, each in zip(keys, elements, strict=True)]
