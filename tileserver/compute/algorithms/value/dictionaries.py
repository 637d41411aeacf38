"""Dictionaries; as in Earth Engine their keys come in alphabetical order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tileserver.compute.algorithms.geometry.features import selected
from tileserver.compute.coercion import constant_image, geometry_in
from tileserver.compute.context import MAX_LIST, Context, check_length
from tileserver.compute.plain_values import number_in, text_in, to_dictionary
from tileserver.compute.registry import algorithm
from tileserver.compute.values.geometry import Geometry
from tileserver.compute.values.image import Image
from tileserver.contract.pixels import MAX_BANDS
from tileserver.errors import InvalidRequest, shown

Members = Mapping[str, Any]


def _sized(members: Members) -> dict[str, Any]:
    check_length(len(members), MAX_LIST, "members of a dictionary")
    return dict(members)


def _keys(names: Sequence[Any]) -> list[str]:
    if wrong := [name for name in names if not isinstance(name, str)]:
        raise InvalidRequest(f"Dictionary keys must be strings, got {shown(wrong[0])}.")
    return list(names)


@algorithm("Dictionary(input: Object = null) -> Dictionary")
def dictionary(context: Context, given: Any) -> Members:
    """Return a dictionary of keys and values by turns; of an element its properties."""
    if given is None:
        return {}
    if isinstance(given, list):
        if len(given) % 2:
            raise InvalidRequest("Expected as many values as keys, got an odd number of elements.")
        return dict(zip(_keys(given[::2]), given[1::2], strict=True))
    found = to_dictionary(given, context)
    if found is None:
        raise InvalidRequest(f"Expected a dictionary or a list, got {shown(given)}.")
    return found


@algorithm("Dictionary.fromLists(keys: List, values: List) -> Dictionary")
def from_lists(keys: list[Any], values: list[Any]) -> dict[str, Any]:
    """Return a dictionary of keys and values in the same places."""
    if len(keys) != len(values):
        raise InvalidRequest(f"Expected as many values as keys, {len(keys)}, got {len(values)}.")
    return dict(zip(_keys(keys), values, strict=True))


@algorithm(
    "Dictionary.get(dictionary: Dictionary, key: String, defaultValue: Object = null) -> Object"
)
def get(members: Members, key: str, default: Any) -> Any:
    """Return the value of a key, or the default."""
    if key in members:
        return members[key]
    if default is not None:
        return default
    raise InvalidRequest(f"Dictionary does not contain key: '{key[:80]}'.")


@algorithm("Dictionary.getNumber(dictionary: Dictionary, key: String) -> Number")
def get_number(members: Members, key: str) -> float:
    """Return the number of a key."""
    return number_in(get(members, key, None), f"The value of '{key[:80]}'")


@algorithm("Dictionary.getString(dictionary: Dictionary, key: String) -> String")
def get_string(members: Members, key: str) -> str:
    """Return the string of a key."""
    return text_in(get(members, key, None), f"The value of '{key[:80]}'")


@algorithm("Dictionary.getGeometry(dictionary: Dictionary, key: String) -> Geometry")
def get_geometry(context: Context, members: Members, key: str) -> Geometry:
    """Return the geometry of a key."""
    return geometry_in(get(members, key, None), f"The value of '{key[:80]}'", context)


@algorithm("Dictionary.contains(dictionary: Dictionary, key: String) -> Boolean")
def contains(members: Members, key: str) -> bool:
    """Tell whether a dictionary has a key."""
    return key in members


@algorithm("Dictionary.keys(dictionary: Dictionary) -> List")
def keys(members: Members) -> list[str]:
    """Return the keys in alphabetical order."""
    return sorted(members)


@algorithm("Dictionary.values(dictionary: Dictionary, keys: List = null) -> List")
def values(members: Members, wanted: list[Any] | None) -> list[Any]:
    """Return the values of some keys, or all in the order of the keys."""
    return [
        get(members, key, None) for key in (sorted(members) if wanted is None else _keys(wanted))
    ]


@algorithm("Dictionary.size(dictionary: Dictionary) -> Integer")
def size(members: Members) -> int:
    """Return the number of keys."""
    return len(members)


@algorithm("Dictionary.set(dictionary: Dictionary, key: String, value: Object) -> Dictionary")
def set_member(members: Members, key: str, value: Any) -> dict[str, Any]:
    """Return a dictionary with another value of a key."""
    return _sized({**members, key: value})


@algorithm(
    "Dictionary.combine(first: Dictionary, second: Dictionary, overwrite: Boolean = true)"
    " -> Dictionary"
)
def combine(first: Members, second: Members, overwrite: bool) -> dict[str, Any]:
    """Return the members of two dictionaries, of a key in both that of the second.

    A null counts as no member: the value in the other dictionary stands in for it.
    """
    first, second = (
        {key: value for key, value in each.items() if value is not None} for each in (first, second)
    )
    return _sized({**first, **second} if overwrite else {**second, **first})


_CHOICE = "dictionary: Dictionary, selectors: List, ignoreMissing: Boolean = false"


def _chosen(
    context: Context, members: Members, selectors: list[Any], ignores_missing: bool
) -> list[str]:
    found = []
    for selector in selectors:
        fits = selected(context, members, selector)
        if not fits and not ignores_missing:
            raise InvalidRequest(f"Dictionary does not contain key: {shown(selector)}.")
        found += fits
    return found


@algorithm(f"Dictionary.select({_CHOICE}) -> Dictionary")
def select(
    context: Context, members: Members, selectors: list[Any], ignores_missing: bool
) -> dict[str, Any]:
    """Return the members of some keys, by name or regular expression."""
    return {key: members[key] for key in _chosen(context, members, selectors, ignores_missing)}


@algorithm(f"Dictionary.remove({_CHOICE}) -> Dictionary")
def remove(
    context: Context, members: Members, selectors: list[Any], ignores_missing: bool
) -> dict[str, Any]:
    """Return the members of all keys but some, by name or regular expression."""
    left_out = set(_chosen(context, members, selectors, ignores_missing))
    return {key: value for key, value in members.items() if key not in left_out}


@algorithm(
    "Dictionary.rename(dictionary: Dictionary, from: List, to: List, overwrite: Boolean = false)"
    " -> Dictionary"
)
def rename(members: Members, old: list[Any], new: list[Any], overwrite: bool) -> dict[str, Any]:
    """Return a dictionary with other names for some keys."""
    if len(old) != len(new):
        raise InvalidRequest(f"Expected as many new keys as old ones, {len(old)}, got {len(new)}.")
    names = dict(zip(_keys(old), _keys(new), strict=True))
    moved = {names[key]: get(members, key, None) for key in names}
    kept = {key: value for key, value in members.items() if key not in names}
    if not overwrite and (taken := sorted(set(moved) & set(kept))):
        raise InvalidRequest(f"Dictionary already contains key: '{taken[0][:80]}'.")
    return {**kept, **moved}


@algorithm("Dictionary.toImage(dictionary: Dictionary, names: List = null) -> Image")
def to_image(members: Members, names: list[Any] | None) -> Image:
    """Return an image of constants, a band each key, in the order of names or the alphabet's."""
    wanted = sorted(members) if names is None else _keys(names)
    check_length(len(wanted), MAX_BANDS, "bands")
    numbers = [get_number(members, key) for key in wanted]
    if not numbers:
        raise InvalidRequest("Expected a dictionary of numbers, got an empty one.")
    return constant_image(numbers, wanted)
