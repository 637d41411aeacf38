"""Joins of two collections by a filter of pairs.

The filter's left field is of the primary collection, its right field of the secondary one. Google's
reference pages of ee.Join say what each join returns. Decided where they are silent: results come
in the order of the primary collection and keep its indexes, matches in the order of the secondary
one unless an ordering is named; a pair of an inner join has the indexes of both, as in 0_1; of an
outer saveAll an element without matches has an empty list, of the other joins no such property; the
measure of a pair is that of the first part of the filter that has one and passes; where none has,
saveBest saves the first match.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from tileserver.compute.algorithms.collection.collections import in_order
from tileserver.compute.context import MAX_LIST, Context, check_elements
from tileserver.compute.registry import algorithm
from tileserver.compute.values.feature import (
    Collection,
    Element,
    Feature,
    index_of,
    with_properties,
)
from tileserver.compute.values.filter import Filter
from tileserver.compute.values.image import INDEX
from tileserver.compute.values.join import Join, Matches
from tileserver.errors import InvalidRequest

_CHECK_EVERY = 1000
_MATCH_BYTES = 48


def _with(element: Element, name: str | None, value: Any) -> Element:
    """Return an element with one more property; None is none."""
    if name is None or value is None:
        return element
    return with_properties(element, {**element.properties, name: value})


@algorithm("Join.simple() -> Join")
def simple() -> Join:
    """Return the join that keeps the elements of the primary collection with a match."""

    def results(element: Element, matches: Matches) -> Iterator[Any]:
        if matches:
            yield element

    return Join("simple", results, needs_one=True)


@algorithm("Join.inverted() -> Join")
def inverted() -> Join:
    """Return the join that keeps the elements of the primary collection without a match."""

    def results(element: Element, matches: Matches) -> Iterator[Any]:
        if not matches:
            yield element

    return Join("inverted", results, needs_one=True)


@algorithm(
    'Join.inner(primaryKey: String = "primary", secondaryKey: String = "secondary",'
    " measureKey: String = null) -> Join"
)
def inner(primary_key: str, secondary_key: str, measure_key: str | None) -> Join:
    """Return the join that makes a feature of each pair that matches, with both as properties."""

    def results(element: Element, matches: Matches) -> Iterator[Any]:
        for match, measure in matches:
            index = f"{index_of(element, 0)}_{index_of(match, 0)}"
            pair = {primary_key: element, secondary_key: match, INDEX: index}
            yield _with(Feature(None, pair), measure_key, measure)

    return Join("inner", results, has_pairs=True)


@algorithm(
    "Join.saveAll(matchesKey: String, ordering: String = null, ascending: Boolean = true,"
    " measureKey: String = null, outer: Boolean = false) -> Join"
)
def save_all(
    context: Context,
    key: str,
    ordering: str | None,
    ascending: bool,
    measure_key: str | None,
    outer: bool,
) -> Join:
    """Return the join that gives each element of the primary collection the list of its matches."""

    def results(element: Element, matches: Matches) -> Iterator[Any]:
        if matches or outer:
            found = [_with(match, measure_key, measure) for match, measure in matches]
            if ordering is not None:
                found = in_order(context, found, ordering, ascending)
            yield _with(element, key, found)

    return Join("saveAll", results)


@algorithm(
    "Join.saveFirst(matchKey: String, ordering: String = null, ascending: Boolean = true,"
    " measureKey: String = null, outer: Boolean = false) -> Join"
)
def save_first(
    context: Context,
    key: str,
    ordering: str | None,
    ascending: bool,
    measure_key: str | None,
    outer: bool,
) -> Join:
    """Return the join that gives each element of the primary collection its first match."""

    def results(element: Element, matches: Matches) -> Iterator[Any]:
        found = [_with(match, measure_key, measure) for match, measure in matches]
        if ordering is not None:
            found = in_order(context, found, ordering, ascending)
        if found or outer:
            yield _with(element, key, found[0] if found else None)

    return Join("saveFirst", results, keeps_one=True)


@algorithm("Join.saveBest(matchKey: String, measureKey: String, outer: Boolean = false) -> Join")
def save_best(key: str, measure_key: str, outer: bool) -> Join:
    """Return the join that gives each element of the primary collection its closest match."""

    def results(element: Element, matches: Matches) -> Iterator[Any]:
        if matches:
            match, measure = min(matches, key=lambda m: math.inf if m[1] is None else m[1])
            yield _with(element, key, _with(match, measure_key, measure))
        elif outer:
            yield element

    return Join("saveBest", results, keeps_one=True)


@algorithm(
    "Join.apply(join: Join, primary: FeatureCollection, secondary: FeatureCollection,"
    " condition: Filter) -> FeatureCollection"
)
def apply(
    context: Context, join: Join, primary: Collection, secondary: Collection, condition: Filter
) -> Collection:
    """Return the elements that a join makes of the pairs of two collections that pass a filter."""
    for each in (primary, secondary):
        check_elements(len(each.elements))
    find = _Matching(context, secondary, condition, join)
    found: list[Any] = []
    for element in primary.elements:
        found += join.results(element, find.matches(element))
    if join.has_pairs:
        return Collection("FeatureCollection", tuple(found))
    return primary.with_elements(found)


class _Matching:
    """Finds the matches of elements, with the index of the filter if it has one."""

    def __init__(
        self, context: Context, secondary: Collection, condition: Filter, join: Join
    ) -> None:
        self.context = context
        self.elements = list(secondary.elements)
        self.condition = condition
        self.join = join
        self.tried = 0
        self.found = 0
        self.candidates = None
        if condition.candidates is not None:
            self.candidates = condition.candidates(self.elements)

    def matches(self, element: Element) -> Matches:
        """Return the elements of the secondary collection that pass with an element.

        Raises:
            InvalidRequest: there are too many pairs, or no time is left.
        """
        found: list[tuple[Element, float | None]] = []
        places = range(len(self.elements)) if self.candidates is None else self.candidates(element)
        measure = self.condition.measure
        self.context.budget.check_time()
        for place in places:
            other = self.elements[place]
            self._count()
            if self.condition.passes(element, other):
                found.append((other, None if measure is None else measure(element, other)))
                if self.join.needs_one:
                    break
        self._hold(min(len(found), 1) if self.join.keeps_one else len(found))
        return found

    def _count(self) -> None:
        self.tried += 1
        if self.tried % _CHECK_EVERY == 0:
            self.context.budget.check_time()

    def _hold(self, count: int) -> None:
        self.found += count
        self.context.count_bytes(_MATCH_BYTES * count)
        if self.found > MAX_LIST:
            raise InvalidRequest(f"The join has more than {MAX_LIST} matches.")
