"""Lists and dictionaries mapped, filtered, reduced and joined."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tileserver.compute.algorithms.value.texts import text_of
from tileserver.compute.context import MAX_TEXT, Context, check_length
from tileserver.compute.registry import algorithm
from tileserver.compute.values.feature import Feature
from tileserver.compute.values.filter import Filter
from tileserver.compute.values.function import Function
from tileserver.compute.values.reducer import Reducer, column_of
from tileserver.errors import InvalidRequest, shown


@algorithm("List.map(list: List, baseAlgorithm: Algorithm, dropNulls: Boolean = false) -> List")
def map_list(
    context: Context, elements: list[Any], function: Function, drops_nulls: bool
) -> list[Any]:
    """Return a function's result for each element."""
    found = [function.call(context, each) for each in elements]
    return [each for each in found if each is not None] if drops_nulls else found


@algorithm("List.iterate(list: List, function: Algorithm, first: Object) -> Object")
def iterate(context: Context, elements: list[Any], function: Function, first: Any) -> Any:
    """Return a function's last result: it gets each element and its result before."""
    for each in elements:
        first = function.call(context, each, first)
    return first


@algorithm("Dictionary.map(dictionary: Dictionary, baseAlgorithm: Algorithm) -> Dictionary")
def map_dictionary(
    context: Context, members: Mapping[str, Any], function: Function
) -> dict[str, Any]:
    """Return a dictionary with a function's result for each key and its value."""
    return {key: function.call(context, key, value) for key, value in members.items()}


@algorithm("List.filter(list: List, filter: Filter) -> List")
def filter_list(context: Context, elements: list[Any], kept: Filter) -> list[Any]:
    """Return the elements that pass a filter; a value without properties is its 'item'."""
    found = []
    for each in elements:
        context.count_call()
        if kept.keeps(_as_element(each)):
            found.append(each)
    return found


def _as_element(value: Any) -> Any:
    if hasattr(value, "properties"):
        return value
    members = {**value, "item": value} if isinstance(value, Mapping) else {"item": value}
    return Feature(None, members)


@algorithm("List.reduce(list: List, reducer: Reducer) -> Object")
def reduce_list(elements: list[Any], reducer: Reducer) -> Any:
    """Return a reducer's result over a list; of several outputs a dictionary."""
    rows = [[each] for each in elements] if reducer.inputs == 1 else elements
    for row in rows:
        if not isinstance(row, list | tuple) or len(row) != reducer.inputs:
            raise InvalidRequest(
                f"The reducer {reducer.name} needs a list of {reducer.inputs} inputs each, "
                f"got {shown(row)}."
            )
    columns = [column_of(row[i] for row in rows) for i in range(reducer.inputs)]
    found = reducer.results(columns)
    return next(iter(found.values())) if len(found) == 1 else found


@algorithm('List.join(list: List, separator: String = "") -> String')
def join(elements: list[Any], separator: str) -> str:
    """Return the elements as strings, one after another, with something between them."""
    total = len(separator) * len(elements)
    parts = []
    for each in elements:
        parts.append(text_of(each))
        total += len(parts[-1])
        check_length(total, MAX_TEXT, "characters in a string")
    return separator.join(parts)
