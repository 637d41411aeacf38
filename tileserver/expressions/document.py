"""Earth Engine's expressions: read from what `ee.Image.serialize()` wrote, or built.

An expression is a graph in JSON, named nodes and which of them is the result:
https://developers.google.com/earth-engine/reference/rest/v1/Expression. Nothing here computes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from threading import Lock
from typing import Any, TypeAlias

from tileserver.contract.drawn_tables import DrawnTable
from tileserver.contract.grids import Box
from tileserver.contract.names import short_name
from tileserver.errors import InvalidRequest

Node: TypeAlias = dict[str, Any]
Expression: TypeAlias = Mapping[str, Any]
"""`{"result": name, "values": {name: node}}`."""

_ONE_AT_A_TIME = Lock()
"""Python's JSON lets no other thread run; many long ones in a row would hold up the event loop."""
MAX_BYTES = 10_000_000
"""What Earth Engine takes in one request."""
FULL_ZOOM = 14
"""The deepest zoom of what has no pixels of its own: a composite of scenes."""
TABLE_ZOOM = 18
"""That of features, which have no pixels at all."""
REDUCERS: Mapping[str, str] = {
    "mosaic": "ImageCollection.mosaic",
    "first": "Collection.first",
    **{name: f"reduce.{name}" for name in ("median", "mean", "min", "max", "mode", "sum", "count")},
}
"""What makes one image of many, and the function that does."""

_LEAVES = frozenset({"argumentReference", "bytesValue", "constantValue", "integerValue"})
_CLOUD_PROPERTIES = {
    "COPERNICUS/S2": "CLOUDY_PIXEL_PERCENTAGE",
    "LANDSAT/": "CLOUD_COVER",
}


@dataclass(frozen=True, slots=True)
class Computed:
    """An image that is computed, and what is known of it without asking."""

    expression: str
    """As JSON, always the same for the same image."""
    bounds: Box | None = None
    """In degrees. Nothing outside is asked for; None where the image itself says where it ends."""
    full_zoom: int = FULL_ZOOM
    """The zoom whose pixels stand for its own, if it has none."""
    table: DrawnTable | None = None
    """The table, if it is a picture of its features."""

    @property
    def version(self) -> str:
        """A token that changes when the expression does."""
        return hashlib.blake2b(self.expression.encode(), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True)
class Composite:
    """One image made of those of a collection."""

    collection: str
    """Name of the collection."""
    start: str | None = None
    """First day, "2020-04-01"."""
    end: str | None = None
    """The day after the last."""
    bounds: Box | None = None
    reducer: str = "mosaic"
    """One of `REDUCERS`."""
    max_cloud: float | None = None
    """Per cent; scenes with as many clouds or more are left out."""

    def expression(self) -> Node:
        """Return what the official client writes for it.

        Raises:
            InvalidRequest: it is not known which property tells the clouds of the collection.
        """
        images = call("ImageCollection.load", id=constant(self.collection))
        for each in self._filters():
            images = call("Collection.filter", collection=images, filter=each)
        return {"result": "0", "values": {"0": call(REDUCERS[self.reducer], collection=images)}}

    def _filters(self) -> Iterator[Node]:
        if self.start is not None and self.end is not None:
            days = call("DateRange", start=constant(self.start), end=constant(self.end))
            field = constant("system:time_start")
            yield call("Filter.dateRangeContains", leftValue=days, rightField=field)
        if self.bounds is not None:
            place = call("Feature", geometry=_rectangle(self.bounds))
            yield call("Filter.intersects", leftField=constant(".all"), rightValue=place)
        if self.max_cloud is not None:
            clouds = constant(cloud_property(self.collection))
            most = constant(self.max_cloud)
            yield call("Filter.lessThan", leftField=clouds, rightValue=most)


def picture_of(table: DrawnTable) -> Computed:
    """Return the picture of a table's features in their style."""
    features = call("Collection.loadTable", tableId=constant(table.name))
    style = {name: constant(value) for name, value in table.to_json().items()}
    expression = {
        "result": "0",
        "values": {"0": call("Collection.style", collection=features, **style)},
    }
    return Computed(to_text(expression), None, TABLE_ZOOM, table)


def cloud_property(collection: str) -> str:
    """Return the property that holds the clouds in a scene, in per cent.

    Raises:
        InvalidRequest: it is not known for that collection.

    >>> cloud_property("COPERNICUS/S2_SR_HARMONIZED")
    'CLOUDY_PIXEL_PERCENTAGE'
    """
    short = short_name(collection)
    for beginning, name in _CLOUD_PROPERTIES.items():
        if short.startswith(beginning):
            return name
    raise InvalidRequest(
        f"the property that tells clouds is known for COPERNICUS/S2* and LANDSAT/*, "
        f"not for {collection[:80]}; an expression can filter by any"
    )


def call(function: str, **arguments: Node) -> Node:
    """Return the node of a function's result."""
    return {"functionInvocationValue": {"functionName": function, "arguments": arguments}}


def constant(value: Any) -> Node:
    """Return the node of a constant."""
    return {"constantValue": value}


def reference(name: str) -> Node:
    """Return the node that stands for a named one."""
    return {"valueReference": name}


def _rectangle(bounds: Box) -> Node:
    # The official client writes a rectangle as a polygon, unclosed, in this order.
    west, south, east, north = bounds.unrolled()
    ring = [[west, north], [west, south], [east, south], [east, north]]
    return call(
        "GeometryConstructors.Polygon", coordinates=constant([ring]), evenOdd=constant(True)
    )


def loaded(asset_id: str) -> Node:
    """Return the expression of a stored image."""
    return {"result": "0", "values": {"0": call("Image.load", id=constant(asset_id))}}


def extended(expression: Expression, nodes: Mapping[str, Node], result: str) -> Node:
    """Return an expression with more nodes, one of them the new result.

    In `nodes`, `reference("image")` is the result so far, and `reference(name)` another of
    them; their names are made unlike all that the expression already has.
    """
    values = dict(expression["values"])
    prefix = "_"
    while any(name.startswith(prefix) for name in values):
        prefix += "_"
    names = {name: prefix + name for name in nodes} | {"image": expression["result"]}
    values |= {names[name]: _renamed(node, names) for name, node in nodes.items()}
    return {"result": names[result], "values": values}


def _renamed(node: Any, names: Mapping[str, str]) -> Any:
    if not isinstance(node, dict) or "constantValue" in node:
        return node
    if "valueReference" in node:
        return reference(names[node["valueReference"]])
    return {key: _renamed(value, names) for key, value in node.items()}


def to_text(expression: Expression) -> str:
    """Return the JSON of an expression, always the same for the same one."""
    with _ONE_AT_A_TIME:
        return json.dumps(expression, separators=(",", ":"), sort_keys=True)


def from_text(text: str) -> Any:
    """Return the expression that `to_text` wrote."""
    with _ONE_AT_A_TIME:
        return json.loads(text)


def read_expression(content: bytes) -> Node:
    """Return the expression in a file.

    Raises:
        InvalidRequest: there is none in it; says what there is instead.
    """
    if len(content) > MAX_BYTES:
        raise InvalidRequest(f"expected at most {MAX_BYTES} bytes, it has more")
    try:
        document = json.loads(content)
        # What serialize() returns is text: json.dump of it is JSON in JSON.
        document = json.loads(document) if isinstance(document, str) else document
    except (ValueError, RecursionError):
        raise InvalidRequest("expected JSON, as ee.Image.serialize() writes it") from None
    return parse_expression(document)


def parse_expression(document: object) -> Node:
    """Return the expression in parsed JSON.

    Raises:
        InvalidRequest: it is none; says what there is instead.
    """
    _check(document)
    assert isinstance(document, dict)
    return {"result": document["result"], "values": document["values"]}


def _check(document: object) -> None:
    shape = '{"result": …, "values": {…}}'
    if not isinstance(document, dict) or set(document) != {"result", "values"}:
        is_old = isinstance(document, dict) and "scope" in document
        hint = "; this is the form of an old client, of before 2020" if is_old else ""
        raise InvalidRequest(
            f"expected an expression, {shape}, as ee.Image.serialize() writes it{hint}"
        )
    values, result = document["values"], document["result"]
    if not isinstance(values, dict) or not isinstance(result, str) or result not in values:
        raise InvalidRequest(f"expected an expression, {shape}, its result one of the values")
    try:
        references = {name: _names_in(node) for name, node in values.items()}
        TopologicalSorter(references).prepare()
    except CycleError as exc:
        raise InvalidRequest(f"value {str(exc.args[1][0])[:40]!r} depends on itself") from None
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        raise InvalidRequest("expected nodes of an expression as values") from None
    if missing := set().union(*references.values()) - set(values):
        raise InvalidRequest(f"no value is named {min(missing)[:40]!r}, to which another refers")


def _names_in(node: Any) -> set[str]:
    """Return the names of the values that a node refers to.

    Raises:
        AttributeError, KeyError, TypeError, ValueError: it is no node.
    """
    ((kind, content),) = node.items()
    match kind:
        case "valueReference":
            return {_name(content)}
        case "arrayValue":
            return _names_in_all(content.get("values", []))
        case "dictionaryValue":
            return _names_in_all(content.get("values", {}).values())
        case "functionDefinitionValue":
            return {_name(content["body"])}
        case "functionInvocationValue":
            names = _names_in_all(content.get("arguments", {}).values())
            if "functionReference" in content:
                return names | {_name(content["functionReference"])}
            _name(content["functionName"])
            return names
        case _ if kind in _LEAVES:
            return set()
    raise ValueError(kind)


def _names_in_all(nodes: Iterable[Any]) -> set[str]:
    return {name for node in nodes for name in _names_in(node)}


def _name(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a name is text")
    return value
