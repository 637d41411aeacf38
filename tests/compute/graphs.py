"""Expressions made by chance: from the signatures there are, well-formed or spoilt."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

from tileserver.compute.algorithms import __name__ as _registered
from tileserver.compute.registry import ALGORITHMS, Algorithm

assert _registered
Node = dict[str, Any]
Chance = random.Random

_GROUPS: Mapping[str, tuple[str, ...]] = {
    "Number": ("Number", "Float", "Integer", "Long"),
    "Float": ("Number", "Float", "Integer", "Long"),
    "Integer": ("Integer", "Long", "Number"),
    "Long": ("Integer", "Long"),
    "Element": ("Image", "Feature", "Element"),
    "Feature": ("Feature", "Element"),
    "FeatureCollection": ("FeatureCollection", "ImageCollection"),
    "Object": ("Image", "Number", "String", "List", "Dictionary", "Date", "Geometry", "Feature"),
}
_WORDS = (
    "b1",
    "B1",
    "square",
    "sid",
    "system:index",
    "day",
    "year",
    "year(s)",
    "bilinear",
    "mean",
    "EPSG:4326",
)
_TEXTS = (*_WORDS, "EPSG:3857", "2020-06-01", "", "YYYY-MM-dd", "a.*", "%.2f", "ff0000", "x + 1")
ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1e308, -1e308, 5e-324, math.nan, math.inf, -math.inf,
    2**63, -(2**70), 10**300, 10**2000, 0.1, "",
    "NaN", "Infinity", "-0", "\0", "\ud800", "é" * 300, "a" * 5000, "../../etc/passwd",
    "/etc/passwd", "((a+)+)+$x", "%d%d%s", "EPSG:99999", "+proj=longlat", "projects/x/assets/y",
    [], {}, [[]], [[[[1]]]], [None], {"": None}, {"type": "Polygon"}, [1, "a", None, {"b": [2]}],
    {"type": "Point", "coordinates": [1e300, "x"]}, {"type": "GeometryCollection"},
    {"constantValue": {"constantValue": 1}}, {"functionName": "Image.load", "arguments": []},
    {"type": "Date", "value": 1e300}, {"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]},
    list(range(300)), [[0, 0], [1, 1], [0, 1], [1, 0]], "PARAM_MT[\"Affine\"]",
)  # fmt: skip
"""Constants that fit badly."""


def constant(value: Any) -> Node:
    return {"constantValue": value}


class Builder:
    """Makes one expression."""

    def __init__(self, chance: Chance, images: tuple[str, ...], collections: tuple[str, ...]):
        self.chance = chance
        self.images = images
        self.collections = collections
        self.values: dict[str, Any] = {}
        self.types: dict[str, str] = {}
        self.scope: list[tuple[str, str]] = []
        self.left = chance.randint(3, 40)

    def expression(self, type_name: str | None = None) -> dict[str, Any]:
        """Return a well-formed expression, of some type or a given one."""
        kinds = ("Image", "Image", "Image", *{each.returns for each in ALGORITHMS.values()})
        result = self._named(self.node(type_name or self.chance.choice(kinds), 0), "Object")
        return {"result": result, "values": self.values}

    def node(self, type_name: str, depth: int) -> Node:
        """Return a node whose value is of a type, as far as signatures tell."""
        self.left -= 1
        made = self._made(type_name, depth)
        if self.scope or self.chance.random() < 0.7:
            return made
        return {"valueReference": self._named(made, type_name)}

    def _made(self, type_name: str, depth: int) -> Node:
        chance = self.chance
        wanted = _GROUPS.get(type_name, (type_name,))
        if self.scope and chance.random() < 0.5:
            return {"argumentReference": chance.choice(self.scope)[0]}
        known = [name for name, kind in self.types.items() if kind in wanted]
        if known and not self.scope and chance.random() < 0.3:
            return {"valueReference": chance.choice(known)}
        if type_name == "Algorithm":
            return self._function(depth)
        calls = BY_RETURN.get(chance.choice(wanted), ())
        if calls and (depth < 2 or chance.random() < 0.6) and self.left > 0 and depth < 12:
            return self._call(chance.choice(calls), depth)
        return self._leaf(type_name, depth)

    def _call(self, algorithm: Algorithm, depth: int) -> Node:
        arguments = {}
        for each in algorithm.arguments:
            if each.is_optional and self.chance.random() < 0.6:
                continue
            arguments[each.name] = self.node(each.type, depth + 1)
        return {"functionInvocationValue": {"functionName": algorithm.name, "arguments": arguments}}

    def _function(self, depth: int) -> Node:
        names = [f"_{depth}_{i}" for i in range(self.chance.choice((1, 1, 2)))]
        self.scope += [(name, "Object") for name in names]
        body = self.node(self.chance.choice(("Image", "Number", "Feature", "List")), depth + 1)
        del self.scope[-len(names) :]
        place = f"f{len(self.values)}"
        self.values[place] = body
        return {"functionDefinitionValue": {"argumentNames": names, "body": place}}

    def _named(self, node: Node, type_name: str) -> str:
        name = str(len(self.values))
        self.values[name] = node
        self.types[name] = type_name
        return name

    def _leaf(self, type_name: str, depth: int) -> Node:
        chance = self.chance
        leaves: Mapping[str, Callable[[], Any]] = {
            "Number": lambda: chance.choice((0, 1, 2, 3.5, -1, 100, 0.1, 1e6)),
            "Integer": lambda: chance.choice((0, 1, 2, 3, 7, -1, 100)),
            "String": lambda: chance.choice(_TEXTS),
            "Boolean": lambda: chance.choice((True, False)),
            "List": lambda: self._list(),
            "Dictionary": lambda: {"a": chance.randint(0, 9), "b1": 2, "c": "x"},
            "Date": lambda: chance.choice(("2020-06-01", 1590000000000)),
            "DateRange": lambda: ["2020-01-01", "2021-01-01"],
            "Projection": lambda: chance.choice(("EPSG:4326", "EPSG:3857", "EPSG:32612")),
            "PixelType": lambda: chance.choice(("float", "int16", "uint8")),
            "Geometry": self._geometry,
            "Feature": lambda: {
                "type": "Feature",
                "geometry": self._geometry(),
                "properties": {"a": chance.randint(0, 5), "t": "x"},
            },
            "FeatureCollection": lambda: {
                "type": "FeatureCollection",
                "features": [{"type": "Feature", "geometry": self._geometry(), "properties": {}}],
            },
            "Array": lambda: chance.choice((3, [1, 2], [[4, 1], [1, 3]], [[0.5], [2]])),
            "ErrorMargin": lambda: chance.choice((1, 0.5, 1000)),
        }
        if type_name in ("Image", "Element"):
            return self._load("Image.load", self.images)
        if type_name == "ImageCollection":
            return self._load("ImageCollection.load", self.collections)
        if type_name == "Kernel":
            return self._kernel()
        make = leaves.get(_LEAF_OF.get(type_name, type_name))
        if make is None:
            kinds = BY_RETURN.get(type_name, ())
            simple = [each for each in kinds if all(a.is_optional for a in each.arguments)]
            return self._call(chance.choice(simple), depth) if simple else constant(1)
        return constant(make())

    def _kernel(self) -> Node:
        name = self.chance.choice(("circle", "euclidean", "gaussian", "octagon", "square"))
        radius = constant(self.chance.choice((0, 1, 2.5, 9, 60, 600)))
        units = constant(self.chance.choice(("pixels", "pixels", "meters")))
        arguments = {"radius": radius, "units": units}
        return {
            "functionInvocationValue": {"functionName": f"Kernel.{name}", "arguments": arguments}
        }

    def _list(self) -> list[Any]:
        chance = self.chance
        kind = chance.choice(("numbers", "texts", "places", "mixed", "empty"))
        if kind == "empty":
            return []
        if kind == "numbers":
            return [chance.randint(0, 5) for _ in range(chance.choice((1, 2, 3, 4, 6, 9)))]
        if kind == "texts":
            return [chance.choice(_TEXTS) for _ in range(chance.randint(1, 4))]
        if kind == "places":
            return [[-112 + chance.random() / 100, 40.6 + chance.random() / 100] for _ in range(4)]
        return [1, "a", [2, 3], {"b": 4}]

    def _geometry(self) -> dict[str, Any]:
        chance = self.chance
        x, y = -112.18 + chance.random() / 50, 40.63 + chance.random() / 50
        side = chance.choice((0.001, 0.01, 1, 30))
        ring = [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]
        return chance.choice(
            (
                {"type": "Point", "coordinates": [x, y]},
                {"type": "Polygon", "coordinates": [ring]},
                {"type": "LineString", "coordinates": ring[:3]},
                {"type": "MultiPoint", "coordinates": ring},
            )
        )

    def _load(self, name: str, assets: tuple[str, ...]) -> Node:
        asset = constant(self.chance.choice(assets))
        return {"functionInvocationValue": {"functionName": name, "arguments": {"id": asset}}}


_LEAF_OF = {"Float": "Number", "Long": "Integer", "Object": "Number", "Any": "List"}
BY_RETURN: dict[str, tuple[Algorithm, ...]] = {}
for _each in sorted(ALGORITHMS.values(), key=lambda each: each.name):
    BY_RETURN[_each.returns] = (*BY_RETURN.get(_each.returns, ()), _each)


def spoilt(chance: Chance, expression: dict[str, Any]) -> dict[str, Any]:
    """Return an expression with a few parts of it made wrong, in place."""
    for _ in range(chance.randint(1, 4)):
        holders = list(_holders(expression["values"]))
        holder, key = chance.choice(holders)
        chance.choice(_SPOILERS)(chance, expression, holder, key)
        if not isinstance(expression.get("values"), dict) or not expression["values"]:
            break
    return expression


def _holders(document: Any) -> Any:
    """Yield each dictionary or list with a place in it, all the way down."""
    stack = [document]
    while stack:
        each = stack.pop()
        members = each.items() if isinstance(each, dict) else enumerate(each)
        for key, value in list(members):
            yield each, key
            if isinstance(value, dict | list):
                stack.append(value)


def _odd(chance: Chance, expression: Node, holder: Any, key: Any) -> None:
    holder[key] = deepcopy(chance.choice(ODD))


def _odd_constant(chance: Chance, expression: Node, holder: Any, key: Any) -> None:
    holder[key] = constant(deepcopy(chance.choice(ODD)))


def _gone(chance: Chance, expression: Node, holder: Any, key: Any) -> None:
    del holder[key]


def _renamed(chance: Chance, expression: Node, holder: Any, key: Any) -> None:
    if isinstance(holder, dict):
        holder[chance.choice(("unknown", "values", "constantValue", ""))] = holder.pop(key)


def _another_call(chance: Chance, expression: Node, holder: Any, key: Any) -> None:
    calls = [h for h, k in _holders(expression["values"]) if k == "functionName"]
    if calls:
        names = [*ALGORITHMS, "Image.nothing", "", "__class__"]
        chance.choice(calls)["functionName"] = chance.choice(names)


def _circle(chance: Chance, expression: Node, holder: Any, key: Any) -> None:
    holder[key] = {"valueReference": chance.choice(list(expression["values"]))}


def _free(chance: Chance, expression: Node, holder: Any, key: Any) -> None:
    holder[key] = {"argumentReference": chance.choice(("x", "_0_0", "_1_0"))}


def _moved(chance: Chance, expression: Node, holder: Any, key: Any) -> None:
    other, place = chance.choice(list(_holders(expression["values"])))
    holder[key] = deepcopy(other[place])


def _nested(chance: Chance, expression: Node, holder: Any, key: Any) -> None:
    value = holder[key]
    for _ in range(chance.choice((2, 20, 120))):
        value = chance.choice(([value], {"arrayValue": {"values": [value]}}))
    holder[key] = value


def _another_result(chance: Chance, expression: Node, holder: Any, key: Any) -> None:
    expression["result"] = chance.choice((*expression["values"], "none", None, 0))


_SPOILERS = (
    _odd, _odd_constant, _odd_constant, _gone, _renamed, _another_call, _another_call, _circle,
    _free, _moved, _nested, _another_result,
)  # fmt: skip
