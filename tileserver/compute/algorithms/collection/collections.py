"""Collections: load, filter, sort, count, merge, map and iterate.

A stored collection's images are found when they are needed, so its size and its first image are
cheap. Operations on all images take at most 5000, except for a filter, which may leave fewer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from statistics import NormalDist
from typing import Any, overload

import numpy as np

from tileserver.compute.algorithms.filter.filters import value_of
from tileserver.compute.algorithms.filter.text import filter_of
from tileserver.compute.coercion import feature_collection, to_element, to_image_collection
from tileserver.compute.context import Context, check_elements
from tileserver.compute.registry import AlgorithmError, algorithm
from tileserver.compute.values.date import plain
from tileserver.compute.values.equality import Keys
from tileserver.compute.values.feature import (
    Collection,
    Element,
    Feature,
    index_of,
    indexed,
    with_index,
    with_properties,
)
from tileserver.compute.values.filter import Filter
from tileserver.compute.values.function import Function
from tileserver.compute.values.image import INDEX, Image, stored_image
from tileserver.compute.values.stored_features import StoredFeatures
from tileserver.errors import AssetNotFound, InvalidRequest, shown


class StoredImages(Sequence[Image]):
    """The images of a stored collection, each found at its first use."""

    def __init__(self, context: Context, names: Sequence[str]) -> None:
        self.context = context
        self.names = names
        self._found: dict[int, Image] = {}

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.names)

    @overload
    def __getitem__(self, place: int) -> Image: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Image]: ...
    def __getitem__(self, place: int | slice) -> Image | Sequence[Image]:
        """Return an image, or a part of the collection without finding its images."""
        if isinstance(place, slice):
            return StoredImages(self.context, self.names[place])
        place = range(len(self.names))[place]
        if place not in self._found:
            self.context.budget.check_time()
            self._found[place] = stored_image(self.context.world.find_image(self.names[place]))
        return self._found[place]


@algorithm("ImageCollection.load(id: String, version: Long = null) -> ImageCollection")
def load(context: Context, asset_id: str, version: int | None) -> Collection:
    """Return the images of a stored collection, in the order of their names."""
    try:
        found, names, properties = context.world.find_collection(asset_id)
    except AssetNotFound as exc:
        if context.kind_of(asset_id):
            raise InvalidRequest(f"Asset '{asset_id[:200]}' is not an ImageCollection.") from exc
        raise InvalidRequest(
            f"ImageCollection asset '{asset_id[:200]}' not found (does not exist or caller does "
            "not have access)."
        ) from exc
    return Collection("ImageCollection", StoredImages(context, names), found, properties)


@algorithm("ImageCollection.fromImages(images: List) -> ImageCollection")
def from_images(context: Context, images: list[Any]) -> Collection:
    """Return a collection of images; one without an index has its place as such: 0, 1 and so on."""
    found = to_image_collection(images, context)
    if found is None:
        raise InvalidRequest("Expected a list of images.")
    check_elements(len(found.elements))
    return found


@algorithm("Collection(features: List) -> FeatureCollection")
def collection_of(context: Context, features: list[Any]) -> Collection:
    """Return a collection of features."""
    check_elements(len(features))
    found = [to_element(each, context) for each in features]
    if None in found:
        raise InvalidRequest(f"Expected features, got {shown(features[found.index(None)])}.")
    made = _of_kind(indexed(found))
    return made if made.kind == "ImageCollection" else feature_collection(made.elements)


def _of_kind(elements: Sequence[Any], empty: Any = "FeatureCollection") -> Collection:
    """Return a collection of images if all elements are images, else one of features."""
    if not elements:
        return Collection(empty, ())
    are_images = all(isinstance(each, Image) for each in elements)
    return Collection("ImageCollection" if are_images else "FeatureCollection", tuple(elements))


@algorithm("Collection.filter(collection: FeatureCollection, filter: Object) -> FeatureCollection")
def filter_elements(context: Context, collection: Collection, wanted: Any) -> Collection:
    """Return the elements that pass a filter; of images only metadata is read."""
    wanted = filter_of(wanted) if isinstance(wanted, str) else wanted
    if not isinstance(wanted, Filter):
        raise InvalidRequest(f"Expected a Filter, got {shown(wanted)}.")
    if isinstance(collection.elements, StoredFeatures):
        return replace(collection, elements=_of_table(context, collection.elements, wanted))
    kept = []
    for element in collection.elements:
        context.budget.check_time()
        if wanted.keeps(element):
            kept.append(element)
    return collection.with_elements(kept)


def _of_table(context: Context, features: StoredFeatures, wanted: Filter) -> StoredFeatures:
    """Return the features of a table that pass; most are left out without being made."""
    may_pass = wanted.narrow(features) if wanted.narrow else None
    features = features if may_pass is None else features.at(may_pass)
    kept = np.zeros(len(features), np.bool_)
    for place, feature in enumerate(features):
        context.budget.check_time()
        kept[place] = wanted.keeps(feature)
    return features.at(kept)


@algorithm(
    "Collection.limit(collection: FeatureCollection, limit: Integer = null, key: String = null,"
    " ascending: Boolean = true) -> FeatureCollection"
)
def limit(
    context: Context, collection: Collection, most: int | None, key: str | None, ascending: bool
) -> Collection:
    """Return the first elements, in the order of a property if one is named.

    Numbers come before texts, elements without the property last.
    """
    if most is not None and most < 0:
        raise InvalidRequest(f"limit must not be negative, got {most}.")
    elements = collection.elements
    if key is not None:
        elements = in_order(context, elements, key, ascending)
    return replace(collection, elements=elements[:most])


def in_order(context: Context, elements: Sequence[Any], key: str, ascending: bool) -> list[Any]:
    """Return elements in the order of a property; those without it last, as they were."""
    pairs = []
    for each in elements:
        context.budget.check_time()
        pairs.append((_rank(each, key), each))
    known = [pair for pair in pairs if pair[0][0] < 2]
    known.sort(key=lambda pair: pair[0], reverse=not ascending)
    return [each for _, each in known] + [each for rank, each in pairs if rank[0] == 2]


def _rank(element: Element, key: str) -> tuple[int, Any]:
    value = plain(value_of(element, key))
    match value:
        case int() | float() if value == value:
            return (0, value)
        case str():
            return (1, value)
    return (2, 0)


@algorithm("Collection.size(collection: FeatureCollection) -> Integer")
def size(collection: Collection) -> int:
    """Return how many elements there are."""
    return len(collection.elements)


@algorithm("Collection.first(collection: FeatureCollection) -> Element")
def first(collection: Collection) -> Element | None:
    """Return the first element; of none, null."""
    return collection.elements[0] if len(collection.elements) else None


@algorithm(
    "Collection.toList(collection: FeatureCollection, count: Integer, offset: Integer = 0.0)"
    " -> List"
)
def to_list(collection: Collection, count: int, offset: int) -> list[Element]:
    """Return elements from a place on as a list."""
    if count < 0 or offset < 0:
        raise InvalidRequest("count and offset must not be negative.")
    chosen = collection.elements[offset : offset + count]
    check_elements(len(chosen))
    return list(chosen)


@algorithm(
    "Collection.map(collection: FeatureCollection, baseAlgorithm: Algorithm,"
    " dropNulls: Boolean = false) -> FeatureCollection"
)
def map_elements(
    context: Context, collection: Collection, function: Function, drops_nulls: bool
) -> Collection:
    """Return a function's result for each element, with the index of the element."""
    check_elements(len(collection.elements))
    found = []
    for place, element in enumerate(collection.elements):
        context.count_call()
        index = index_of(element, place)
        with _naming(index):
            made = function.call(context, element)
        if made is None and drops_nulls:
            continue
        found.append(_mapped(to_element(made, context), index))
    return replace(_of_kind(found, collection.kind), id=collection.id)


@contextmanager
def _naming(index: str) -> Iterator[None]:
    """Name the element in errors of algorithms, as Earth Engine does."""
    try:
        yield
    except AlgorithmError as exc:
        raise AlgorithmError(f"Error in map(ID={index[:200]}):\n{exc}") from exc


def _mapped(made: Any, index: str) -> Any:
    if isinstance(made, Collection):
        return with_index(made, index)
    if not isinstance(made, Image | Feature):
        raise InvalidRequest("A mapped algorithm must return a Feature or Image.")
    return with_index(made, index) if made.properties.get(INDEX) is None else made


@algorithm(
    "Collection.iterate(collection: FeatureCollection, function: Algorithm,"
    " first: Object = null) -> Object"
)
def iterate(context: Context, collection: Collection, function: Function, first: Any) -> Any:
    """Return a function's last result: it gets each element and its result before."""
    check_elements(len(collection.elements))
    state = first
    for element in collection.elements:
        context.count_call()
        state = function.call(context, element, state)
    return state


@algorithm(
    "Collection.merge(collection1: FeatureCollection, collection2: FeatureCollection)"
    " -> FeatureCollection"
)
def merge(first: Collection, second: Collection) -> Collection:
    """Return the elements of both, their indexes after 1_ and 2_."""
    check_elements(len(first.elements) + len(second.elements))
    merged = [
        with_index(element, f"{number}_{index_of(element, place)}")
        for number, collection in ((1, first), (2, second))
        for place, element in enumerate(collection.elements)
    ]
    return _of_kind(merged, first.kind)


@algorithm(
    "ImageCollection.merge(collection1: ImageCollection, collection2: ImageCollection)"
    " -> ImageCollection"
)
def merge_images(first: Collection, second: Collection) -> Collection:
    """Return the images of both, their indexes after 1_ and 2_."""
    return merge(first, second)


@algorithm("Collection.flatten(collection: FeatureCollection) -> FeatureCollection")
def flatten(collection: Collection) -> Collection:
    """Return the elements of a collection of collections, each index after its collection's."""
    check_elements(len(collection.elements))
    found: list[Any] = []
    for place, inner in enumerate(collection.elements):
        if not isinstance(inner, Collection):
            raise InvalidRequest(f"Expected collections, got a {type(inner).__name__}.")
        check_elements(len(found) + len(inner.elements))
        outer = index_of(inner, place)
        found += [with_index(e, f"{outer}_{index_of(e, i)}") for i, e in enumerate(inner.elements)]
    return _of_kind(found)


@algorithm(
    "Collection.distinct(collection: FeatureCollection, properties: Object) -> FeatureCollection"
)
def distinct(collection: Collection, properties: Any) -> Collection:
    """Return the first element of each group with the same values of properties."""
    check_elements(len(collection.elements))
    names = [properties] if isinstance(properties, str) else properties
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InvalidRequest(f"Expected names of properties, got {shown(properties)}.")
    keys = Keys()
    kept: dict[Hashable, Element] = {}
    for element in collection.elements:
        kept.setdefault(keys.of([plain(value_of(element, name)) for name in names]), element)
    return collection.with_elements(list(kept.values()))


@algorithm(
    "Collection.remap(collection: FeatureCollection, lookupIn: List, lookupOut: List,"
    " columnName: String) -> FeatureCollection"
)
def remap(collection: Collection, before: list[Any], after: list[Any], name: str) -> Collection:
    """Return the elements whose property is in a list, replaced by the same place of another."""
    check_elements(len(collection.elements))
    if len(before) != len(after):
        raise InvalidRequest("lookupIn and lookupOut must be of the same length.")
    pairs = zip(before, after, strict=True)
    table = {key: value for key, value in pairs if isinstance(key, str | int | float)}
    kept = []
    for element in collection.elements:
        value = element.properties.get(name)
        if isinstance(value, str | int | float) and value in table:
            kept.append(with_properties(element, {**element.properties, name: table[value]}))
    return collection.with_elements(kept)


@algorithm(
    'Collection.randomColumn(collection: FeatureCollection, columnName: String = "random",'
    ' seed: Long = 0.0, distribution: String = "uniform",'
    ' rowKeys: List = ["system:index"]) -> FeatureCollection'
)
def random_column(
    collection: Collection, name: str, seed: int, distribution: str, keys: list[Any]
) -> Collection:
    """Return elements with a pseudo-random number, the same at each evaluation.

    It depends on the seed and on the properties in `rowKeys`; the numbers are not Earth Engine's.
    """
    check_elements(len(collection.elements))
    if distribution not in ("uniform", "normal"):
        raise InvalidRequest(f"distribution must be uniform or normal, got {shown(distribution)}.")
    found = []
    for place, element in enumerate(collection.elements):
        own = [
            index_of(element, place) if key == INDEX else plain(value_of(element, str(key)))
            for key in keys
        ]
        share = _share(repr((seed, own)))
        number = share if distribution == "uniform" else NormalDist().inv_cdf(share or 0.5)
        found.append(with_properties(element, {**element.properties, name: number}))
    return collection.with_elements(found)


def _share(text: str) -> float:
    """Return a number in 0..1, 1 excluded, computed from a text by hashing."""
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / 2**53
