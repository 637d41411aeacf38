"""Expressions that are small to send and would be enormous to compute."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tests.rest.conftest import LOCAL

Node = dict[str, Any]
IMAGE = f"{LOCAL}/bytes"
"""Three bands of uint8."""
PIXELS = {
    "fileFormat": "NPY",
    "grid": {
        "dimensions": {"width": 512, "height": 512},
        "affineTransform": {
            "scaleX": 30,
            "translateX": 400000,
            "scaleY": -30,
            "translateY": 4500000,
        },
        "crsCode": "EPSG:32612",
    },
}


def constant(value: Any) -> Node:
    return {"constantValue": value}


def reference(name: object) -> Node:
    return {"valueReference": str(name)}


def argument(name: str) -> Node:
    return {"argumentReference": name}


def function(body: object, *names: str) -> Node:
    return {"functionDefinitionValue": {"argumentNames": list(names), "body": str(body)}}


def call(name: str, **arguments: Any) -> Node:
    """Return a call; what is no node is a constant."""
    given = {key.rstrip("_"): _node(value) for key, value in arguments.items()}
    return {"functionInvocationValue": {"functionName": name, "arguments": given}}


def _node(value: Any) -> Node:
    kinds = ("Value", "Reference")
    is_node = isinstance(value, dict) and len(value) == 1 and next(iter(value)).endswith(kinds)
    return value if is_node else constant(value)


def listed(*nodes: Node) -> Node:
    return {"arrayValue": {"values": list(nodes)}}


def expression(*nodes: Node, **more: Node) -> dict[str, Any]:
    """Return an expression of nodes named by their place, the last one the result."""
    values = {str(place): node for place, node in enumerate(nodes)}
    return {"result": str(len(nodes) - 1), "values": values | more}


def chained(first: Node, link: Callable[[Node], Node], count: int) -> dict[str, Any]:
    """Return an expression in which each value is made of the one before."""
    return expression(first, *(link(reference(i)) for i in range(count)))


def inline(first: Node, link: Callable[[Node], Node], count: int) -> dict[str, Any]:
    """Return an expression whose nodes are nested in one another."""
    for _ in range(count):
        first = link(first)
    return expression(first)


def pixels_of(found: dict[str, Any], **more: Any) -> tuple[str, dict[str, Any]]:
    """Return a request for the pixels of an expression."""
    return "image:computePixels", {"expression": found, **PIXELS, **more}


def image() -> Node:
    return call("Image.load", id=IMAGE)


def one() -> Node:
    return call("Image.select", input=image(), bandSelectors=[0])


def square(side: float = 0.1) -> Node:
    box = [-112.17, 40.5, -112.17 + side, 40.5 + side]
    return call("GeometryConstructors.Rectangle", coordinates=box)


def comb(teeth: int, is_upright: bool) -> list[list[float]]:
    """Return a ring that goes to and fro."""
    points: list[list[float]] = []
    for i in range(teeth):
        across = i / teeth
        points += [[across, 0.0], [across, 1.0]] if i % 2 else [[across, 1.0], [across, 0.0]]
    points += [[1.0, -0.1], [0.0, -0.1]]
    return points if is_upright else [[y, x] for x, y in points]


def sequence(count: float = 100_000) -> Node:
    return call("List.sequence", start=1, end=count)


def mapped(elements: Node, body: Node, name: str = "x") -> dict[str, Any]:
    """Return an expression that passes a list through a function."""
    return {
        "result": "0",
        "values": {
            "0": call("List.map", list=elements, baseAlgorithm=function("body", name)),
            "body": body,
        },
    }


def nested_maps(depth: int, count: int) -> dict[str, Any]:
    """Return maps within maps, each over as many numbers."""
    values: dict[str, Node] = {"body0": call("Number.add", left=argument("x0"), right=1)}
    for i in range(1, depth + 1):
        inner = function(f"body{i - 1}", f"x{i - 1}")
        values[f"body{i}"] = call("List.map", list=sequence(count), baseAlgorithm=inner)
    return {"result": f"body{depth}", "values": values}


def iterated(elements: Node, body: Node, first: Any) -> dict[str, Any]:
    made = call("List.iterate", list=elements, function=function("body", "x", "so"), first=first)
    return {"result": "0", "values": {"0": made, "body": body}}


def many_images(count: int) -> Node:
    return call("ImageCollection.fromImages", images=call("List.repeat", value=one(), count=count))


def different_images(count: int) -> Node:
    made = call("List.map", list=sequence(count), baseAlgorithm=function("sum", "x"))
    return call("ImageCollection.fromImages", images=made)


def reduced(reducer: Node, **more: Any) -> dict[str, Any]:
    given = {"geometry": square(), "scale": 30, **more}
    return expression(call("Image.reduceRegion", image=one(), reducer=reducer, **given))


_ENDS = {"Min": -180, "Max": 180, "Steps": 60_000}


def of_places(reducer: Node) -> dict[str, Any]:
    """Return a reduction of the longitudes and latitudes of millions of pixels."""
    return reduced_image(call("Image.pixelLonLat"), reducer, 2)


def reduced_image(of: Node, reducer: Node | None = None, scale: float = 200) -> dict[str, Any]:
    chosen = reducer or call("Reducer.mean")
    given = {"geometry": square(), "scale": scale, "maxPixels": 10**9}
    return expression(call("Image.reduceRegion", image=of, reducer=chosen, **given))


def reprojected(base: Node, scale: float, crs: str = "EPSG:3857") -> Node:
    return call("Image.reproject", image=base, crs=call("Projection", crs=crs), scale=scale)


def doubled(name: str, one_: str, other: str, first: Any, count: int = 60) -> dict[str, Any]:
    return chained(_node(first), lambda x: call(name, **{one_: x, other: x}), count)


def formula(text: str) -> dict[str, Any]:
    parsed = call("Image.parseExpression", expression=text, argName="x", vars=["x"])
    node: Node = {
        "functionInvocationValue": {"functionReference": "f", "arguments": {"x": image()}}
    }
    return {"result": "0", "values": {"0": node, "f": parsed}}


def free_names(count: int) -> dict[str, Any]:
    """Return nested calls that depend on more and more arguments."""
    values: dict[str, Node] = {"0": argument("a0")}
    for i in range(1, count):
        values[str(i)] = call("Number.add", left=reference(i - 1), right=argument(f"a{i}"))
    values["f"] = function(count - 1, *(f"a{i}" for i in range(count)))
    values["r"] = call("List.map", list=[1], baseAlgorithm=reference("f"))
    return {"result": "r", "values": values}


def many_functions(count: int, length: int) -> dict[str, Any]:
    """Return functions that all look at one long chain."""
    values: dict[str, Node] = {"0": constant(1)}
    for i in range(1, length):
        values[str(i)] = call("Number.add", left=reference(i - 1), right=1)
    for i in range(count):
        values[f"b{i}"] = call("Number.add", left=argument("x"), right=reference(length - 1))
        values[f"m{i}"] = call("List.map", list=[1], baseAlgorithm=function(f"b{i}", "x"))
    values["r"] = listed(*(reference(f"m{i}") for i in range(count)))
    return {"result": "r", "values": values}


def _shared(text: Any, count: int) -> Node:
    return call("List.repeat", value=text, count=count)


def _long_text(doublings: int = 19) -> tuple[list[Node], Node]:
    nodes = [constant("ab")]
    nodes += [
        call("String.cat", string1=reference(i), string2=reference(i)) for i in range(doublings)
    ]
    return nodes, reference(doublings)


def with_long_text(of: Callable[[Node], Node], doublings: int = 18) -> dict[str, Any]:
    nodes, last = _long_text(doublings)
    return expression(*nodes, of(last))


def ring(count: int) -> list[list[float]]:
    """Return the corners of a polygon that is nearly a circle."""
    angles = [2 * math.pi * i / count for i in range(count)]
    return [
        [round(-112 + 0.1 * math.cos(a), 8), round(40.7 + 0.1 * math.sin(a), 8)] for a in angles
    ]


def polygon(points: Any) -> Node:
    return call("GeometryConstructors.Polygon", coordinates=[points])


def deep_list(count: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(count):
        found = [found]
    return found


def features(count: int, geometry: Node) -> Node:
    feature = call("Feature", geometry=geometry)
    return call("Collection", features=call("List.repeat", value=feature, count=count))


def others(count: int) -> dict[str, Node]:
    """Return lists of lists that share their parts, under names of their own."""
    values: dict[str, Node] = {"o0": constant(1)}
    for i in range(count):
        values[f"o{i + 1}"] = listed(reference(f"o{i}"), reference(f"o{i}"))
    return values


def shared(depth: int, of: Callable[[Node], Node], **more: Node) -> dict[str, Any]:
    """Return an expression over lists of lists that share their parts: 2 ** depth in all."""
    chain = chained(constant(1), lambda x: listed(x, x), depth)["values"]
    return expression(*chain.values(), of(reference(depth)), **more)


def gathered(**values: Node) -> Node:
    return {"dictionaryValue": {"values": values}}


def with_property(value: Node) -> Node:
    return call("Feature", metadata=gathered(a=value))


ENDLESS = "((a+)+)+$x"
"""Looks at each way to part the letters."""

Bomb = Callable[[], Any]
"""Makes an expression whose value is asked for, or (method, body)."""
REFUSED: dict[str, Bomb] = {
    # The graph itself.
    "nested inline": lambda: inline(constant(1), lambda x: call("Number.abs", input=x), 300),
    "nested inline far too deep": lambda: inline(
        constant(1), lambda x: call("Number.abs", input=x), 250
    ),
    "a constant nested too deep": lambda: expression(constant(deep_list(390))),
    "a chain of 300000": lambda: chained(
        constant(1), lambda x: call("Number.abs", input=x), 300_000
    ),
    "an array of 300000": lambda: expression(listed(*[constant(0)] * 300_000)),
    "a circle": lambda: expression(reference(1), reference(0)),
    "a circle through a function": lambda: {
        "result": "0",
        "values": {
            "0": call("List.map", list=[1], baseAlgorithm=function("1", "x")),
            "1": call("List.add", list=[], element=reference("0")),
        },
    },
    "more and more arguments": lambda: free_names(30_000),
    "many functions over one chain": lambda: many_functions(2000, 50_000),
    "maps within maps": lambda: nested_maps(6, 100),
    "maps within 100 maps": lambda: nested_maps(100, 2),
    "maps that give long lists": lambda: mapped(
        sequence(), call("List.sequence", start=argument("x"), count=100_000)
    ),
    "maps that give arrays": lambda: mapped(sequence(), listed(*[argument("x")] * 50_000)),
    "maps that give texts": lambda: expression(
        *_long_text()[0],
        call(
            "List.map",
            list=sequence(),
            baseAlgorithm=function("b", "x"),
        ),
        b=call("String.cat", string1=_long_text()[1], string2=call("String", input=argument("x"))),
    ),
    "a list added to itself": lambda: iterated(
        sequence(), call("List.add", list=argument("so"), element=argument("so")), []
    ),
    "a growing list": lambda: iterated(
        sequence(), call("List.add", list=argument("so"), element=argument("x")), []
    ),
    "a growing text": lambda: iterated(
        sequence(), call("String.cat", string1=argument("so"), string2="0123456789" * 9), ""
    ),
    # Sharing.
    "lists doubled": lambda: doubled("List.cat", "list", "other", [1]),
    "texts doubled": lambda: doubled("String.cat", "string1", "string2", "ab"),
    "bands doubled": lambda: doubled("Image.addBands", "dstImg", "srcImg", image()),
    "arrays of arrays": lambda: chained(constant(1), lambda x: listed(x, x), 55),
    "arrays of arrays, sorted": lambda: expression(
        *chained(call("Image.constant", value=1), lambda x: listed(x, x), 55)["values"].values(),
        call("List.sort", list=reference(55)),
    ),
    "arrays of arrays as a text": lambda: expression(
        *chained(constant(1), lambda x: listed(x, x), 55)["values"].values(),
        call("List.join", list=reference(55)),
    ),
    "arrays of arrays, compared": lambda: expression(
        *chained(constant(1), lambda x: listed(x, x), 45)["values"].values(),
        call("List.equals", list=reference(45), other=reference(45)),
    ),
    "dictionaries of dictionaries": lambda: chained(
        constant(1), lambda x: {"dictionaryValue": {"values": {"a": x, "b": x}}}, 55
    ),
    "a wrong argument that is shared": lambda: expression(
        *chained(constant(1), lambda x: listed(x, x), 55)["values"].values(),
        call("Image.constant", value=reference(55)),
    ),
    "an image in a message": lambda: expression(
        *chained(one(), lambda x: call("Image.add", image1=x, image2=x), 60)["values"].values(),
        call("List.sort", list=listed(reference(60), reference(60))),
    ),
    "a filter of shared lists": lambda: shared(
        45,
        lambda x: call(
            "Collection.filter",
            collection=features(2, square()),
            filter=call("Filter.equals", leftValue=x, rightValue=reference("o45")),
        ),
        **others(45),
    ),
    "shared lists as points to interpolate": lambda: shared(
        45, lambda x: call("Image.interpolate", image=one(), x=x, y=x)
    ),
    "shared lists as coordinates": lambda: shared(
        45, lambda x: call("GeometryConstructors.MultiPolygon", coordinates=x)
    ),
    "many rings of many points": lambda: expression(
        call("List.repeat", value=[1, 2], count=100_000),
        call("List.repeat", value=reference(0), count=100_000),
        call("GeometryConstructors.Polygon", coordinates=reference(1)),
    ),
    "shared lists as properties, counted": lambda: shared(
        45,
        lambda x: call(
            "Collection.reduceColumns",
            collection=call("Collection", features=listed(with_property(x))),
            reducer=call("Reducer.countDistinct"),
            selectors=["a"],
        ),
    ),
    "shared lists as properties, told apart": lambda: shared(
        45,
        lambda x: call(
            "Collection.distinct",
            collection=call("Collection", features=listed(with_property(x))),
            properties="a",
        ),
    ),
    "collections of geometries within each other": lambda: expression(
        *chained(
            constant({"type": "Point", "coordinates": [0, 0]}),
            lambda x: gathered(type=constant("GeometryCollection"), geometries=listed(x, x)),
            45,
        )["values"].values(),
        call("Feature", geometry=reference(45)),
    ),
    "long texts a hundred thousand times": lambda: with_long_text(lambda t: _shared(t, 100_000)),
    "features of long texts": lambda: with_long_text(
        lambda t: call(
            "Collection",
            features=_shared(
                call("Feature", metadata={"dictionaryValue": {"values": {"a": t}}}), 5000
            ),
        )
    ),
    # Constants and lists.
    "a text too long": lambda: expression(call("String.cat", string1="a" * 9_000_000, string2="b")),
    "a list of a million, too long": lambda: expression(
        call("List.cat", list=[1] * 1_000_000, other=[2])
    ),
    "a sum of integers of 4000 digits": lambda: expression(
        call("Number.add", left=10**4000, right=10**4000)
    ),
    "an integer of 4000 digits": lambda: expression({"integerValue": "9" * 4000}),
    "lists of many lists": lambda: expression(constant([[]] * 2_000_000)),
    "a sequence without end": lambda: expression(call("List.sequence", start=0, end=1e12)),
    "a sequence of very many": lambda: expression(
        call("List.sequence", start=0, count=1_000_000_000_000)
    ),
    "a value very often": lambda: expression(call("List.repeat", value=1, count=10**12)),
    "lists unzipped": lambda: expression(
        sequence(),
        call("List.unzip", list=call("List.repeat", value=reference(0), count=100_000)),
    ),
    "keys of keys of keys": lambda: expression(
        call("List.repeat", value=1, count=100),
        call("List.repeat", value=reference(0), count=100),
        call("List.repeat", value=reference(1), count=100),
        call("List.sort", list=call("List.repeat", value=reference(2), count=100_000)),
    ),
    # Texts.
    "a replacement that repeats": lambda: with_long_text(
        lambda t: call("String.replace", input=t, regex="(.*)", replacement="$1" * 100_000)
    ),
    "catastrophic names of bands": lambda: expression(
        call("Image.constant", value=[1] * 500),
        call("Image.rename", input=reference(0), names=[f"{'a' * 25}{i}" for i in range(500)]),
        call("Image.select", input=reference(1), bandSelectors=[ENDLESS]),
    ),
    "catastrophic names of properties": lambda: expression(
        call(
            "Dictionary.select",
            dictionary={f"{'a' * 16}{i:05d}": 1 for i in range(10_000)},
            selectors=[ENDLESS] * 500,
            ignoreMissing=True,
        )
    ),
    "a pattern of patterns": lambda: expression(
        call("String.match", input="a", regex="(" * 400 + "a" + "{1,9999})" * 400)
    ),
    "a date after a long pattern": lambda: expression(
        call("Date.format", date=call("Date", value=0), format="Y" * 1_000_000)
    ),
    "a number after a wide pattern": lambda: expression(
        call("Number.format", number=1, pattern="%0999999999d")
    ),
    "numbers as texts": lambda: mapped(
        sequence(), call("String", input=call("List.sequence", start=1, end=100_000))
    ),
    # Formulas.
    "a formula too long": lambda: formula("x+" * 50_000 + "x"),
    "a formula too deep": lambda: formula("(" * 9000 + "x" + ")" * 9000),
    "a formula of signs": lambda: formula("-" * 15_000 + "x"),
    "a formula of choices": lambda: formula("x?" * 5000 + "x" + ":x" * 5000),
    "a formula of powers": lambda: formula("**".join(["x"] * 6000)),
    "a formula of numbers": lambda: formula("9" * 19_000),
    # Geometries.
    "a polygon that crosses itself": lambda: expression(
        call("Geometry.area", geometry=polygon(comb(60_000, True) + comb(60_000, False)))
    ),
    "a polygon that is no number": lambda: expression(
        polygon([[0, 0], [1e308, 1e308], ["NaN", 1]])
    ),
    "a huge buffer": lambda: expression(call("Geometry.buffer", geometry=square(), distance=1e9)),
    "buffers of many": lambda: expression(
        call(
            "Geometry.buffer",
            geometry=call("GeometryConstructors.MultiPoint", coordinates=ring(100_000)),
            distance=100_000,
        )
    ),
    "combs that cross": lambda: expression(
        call(
            "Geometry.union",
            left=polygon(comb(40_000, True)),
            right=polygon(comb(40_000, False)),
        )
    ),
    "features of a large geometry": lambda: expression(features(5000, polygon(ring(100_000)))),
    "a large geometry, changed again and again": lambda: chained(
        polygon(ring(150_000)), lambda x: call("Geometry.simplify", geometry=x, maxError=1e-9), 2000
    ),
    "geometries put together again and again": lambda: doubled(
        "Geometry.union", "left", "right", polygon(ring(100_000)), 3000
    ),
    "geometries that double": lambda: chained(
        square(),
        lambda x: call("GeometryConstructors.MultiGeometry", geometries=listed(x, x)),
        60,
    ),
    "buffers of buffers": lambda: chained(
        square(), lambda x: call("Geometry.buffer", geometry=x, distance=10), 20_000
    ),
    "a large geometry, simplified by many margins": lambda: mapped(
        sequence(),
        call("Geometry.simplify", geometry=polygon(ring(100_000)), maxError=argument("x")),
    ),
    "distances of large geometries": lambda: mapped(
        sequence(),
        call(
            "Geometry.distance",
            left=call("GeometryConstructors.MultiPoint", coordinates=ring(50_000)),
            right=call("Geometry.buffer", geometry=square(), distance=argument("x")),
        ),
    ),
    "a union of large features": lambda: expression(
        call("Collection.geometry", collection=features(5000, polygon(ring(20_000))))
    ),
    "filters of large geometries": lambda: expression(
        call(
            "Collection.filter",
            collection=features(5000, polygon(ring(50_000))),
            filter=call("Filter.intersects", leftField=".geo", rightValue=polygon(ring(50_001))),
        )
    ),
    # Regions.
    "a region in tiny pixels": lambda: reduced(call("Reducer.mean"), scale=1e-6),
    "a region of very many pixels": lambda: reduced(
        call("Reducer.mean"), scale=0.01, maxPixels=10**13
    ),
    "a region of many pixels at best": lambda: reduced(
        call("Reducer.toList"), scale=0.001, maxPixels=10**9, bestEffort=True
    ),
    "a list of all pixels": lambda: reduced(call("Reducer.toList"), scale=3, maxPixels=10**13),
    "a histogram of very many buckets": lambda: reduced(
        call("Reducer.histogram", maxBuckets=10**9)
    ),
    "percentiles": lambda: reduced(
        call("Reducer.percentile", percentiles=[i / 1000 for i in range(100_000)])
    ),
    "the mode of many fractions": lambda: expression(
        call("Image.pixelLonLat"),
        call(
            "Image.reduceRegion",
            image=reference(0),
            reducer=call("Reducer.mode"),
            geometry=square(),
            scale=6,
            maxPixels=10**9,
        ),
        *(
            call(
                "Image.reduceRegion",
                image=reference(0),
                reducer=call("Reducer.mode"),
                geometry=square(0.05 + i / 100_000),
                scale=6,
                maxPixels=10**9,
            )
            for i in range(40)
        ),
        listed(*(reference(i + 2) for i in range(40))),
    ),
    "frequencies of fractions": lambda: expression(
        call("Image.pixelLonLat"),
        call(
            "Image.reduceRegion",
            image=reference(0),
            reducer=call("Reducer.frequencyHistogram"),
            geometry=square(),
            scale=2,
        ),
    ),
    "Sen's slope of many pixels": lambda: of_places(call("Reducer.sensSlope")),
    "Kendall's tau of many pixels": lambda: of_places(
        call("Reducer.kendallsCorrelation", numInputs=2)
    ),
    "the ranks of many pixels": lambda: of_places(call("Reducer.spearmansCorrelation")),
    "a robust fit of many pixels": lambda: of_places(
        call("Reducer.robustLinearRegression", numX=1)
    ),
    "the middle of many pixels": lambda: of_places(call("Reducer.geometricMedian", numX=2)),
    "features of many pixels": lambda: of_places(
        call("Reducer.toCollection", propertyNames=["x", "y"])
    ),
    "fits of many coefficients": lambda: of_places(call("Reducer.linearRegression", numX=10**6)),
    "counts in very many buckets": lambda: of_places(
        call(
            "Reducer.fixed2DHistogram",
            **{f"{axis}{end}": n for axis in "xy" for end, n in _ENDS.items()},
        )
    ),
    "pixels of very many pixels": lambda: reduced_image(
        call(
            "Image.reduceResolution",
            image=reprojected(call("Image.pixelLonLat"), 1),
            reducer=call("Reducer.median"),
            maxPixels=65_536,
        )
    ),
    "strata of everything": lambda: expression(
        call(
            "Image.stratifiedSample",
            image=call("Image.toInt64", value=call("Image.pixelLonLat")),
            numPoints=10**9,
            region=square(1),
            scale=10,
        )
    ),
    "a region in 5000 features": lambda: expression(
        call(
            "Image.reduceRegions",
            image=one(),
            collection=features(5000, square()),
            reducer=call("Reducer.mean"),
            scale=3,
        )
    ),
    "samples of everything": lambda: expression(
        call("Image.sample", image=image(), region=square(1), scale=10, geometries=True)
    ),
    # Collections.
    "a collection of 5001": lambda: expression(many_images(5001)),
    "bands of a collection": lambda: expression(
        call("ImageCollection.toBands", collection=many_images(4000)),
        call("Image.addBands", dstImg=reference(0), srcImg=reference(0)),
    ),
    "a collection as it is": lambda: expression(
        call(
            "ImageCollection.fromImages",
            images=_shared(call("Image.constant", value=[1] * 500), 5000),
        )
    ),
    "collections merged": lambda: doubled(
        "ImageCollection.merge", "collection1", "collection2", many_images(2)
    ),
    # Pixels.
    "a palette of a million": lambda: expression(
        call("Image.visualize", image=one(), palette=["000000"] * 1_000_000)
    ),
    "an enormous grid": lambda: pixels_of(
        expression(one()),
        grid={"dimensions": {"width": 10**9, "height": 10**9}, "crsCode": "EPSG:4326"},
    ),
    "bounds of enormous size": lambda: (
        "image:computePixels",
        {
            "expression": expression(
                call(
                    "Image.clipToBoundsAndScale",
                    input=one(),
                    geometry=square(),
                    width=10**9,
                    height=10**9,
                )
            ),
            "fileFormat": "NPY",
        },
    ),
    "a tiny scale": lambda: (
        "image:computePixels",
        {
            "expression": expression(
                call("Image.clipToBoundsAndScale", input=one(), geometry=square(), scale=1e-9)
            ),
            "fileFormat": "NPY",
        },
    ),
    "reprojected to tiny pixels": lambda: pixels_of(expression(reprojected(one(), 0.001))),
    "reprojected a thousand times": lambda: pixels_of(
        chained(one(), lambda x: reprojected(x, 29.7), 1000)
    ),
    "reprojected finer and finer": lambda: pixels_of(
        expression(one(), *(reprojected(reference(i), 30 / 2**i, "EPSG:32612") for i in range(10)))
    ),
    "resampled a thousand times": lambda: pixels_of(
        chained(one(), lambda x: call("Image.resample", image=x, mode="bicubic"), 1000)
    ),
    "a chain of 90000 images": lambda: pixels_of(
        chained(one(), lambda x: call("Image.abs", value=x), 80_000)
    ),
    "a sum of squares of sums": lambda: pixels_of(
        expression(
            many_images(5000),
            call(
                "ImageCollection.reduce",
                collection=reference(0),
                reducer=call("Reducer.percentile", percentiles=list(range(100))),
            ),
        )
    ),
    "a median of 5000": lambda: pixels_of(
        expression(
            call("reduce.median", collection=different_images(5000)),
            sum=call("Image.add", image1=one(), image2=argument("x")),
        )
    ),
    "clipped again and again": lambda: pixels_of(
        expression(
            polygon(ring(100_000)),
            one(),
            *(
                call("Image.clip", input=reference(i + 1), geometry=reference(0))
                for i in range(2000)
            ),
        )
    ),
    "clipped to a comb": lambda: pixels_of(
        expression(
            *(one() for _ in range(3)),
            *(
                call(
                    "Image.clip",
                    input=reference(i + 2),
                    geometry=polygon(comb(40_000, bool(i % 2))),
                )
                for i in range(2)
            ),
        )
    ),
    "tiles of a zoom that is none": lambda: (
        "maps/0123456789abcdef0123456789abcdef/tiles/99999999/1/1",
        None,
    ),
}

ANSWERED: dict[str, Bomb] = {
    "a catastrophic pattern": lambda: expression(
        call("String.match", input="a" * 5000, regex=ENDLESS)
    ),
    "a catastrophic replacement": lambda: expression(
        call("String.replace", input="a" * 5000, regex=ENDLESS, replacement="", flags="g")
    ),
}
"""What takes an engine that backtracks for ever, and ours no time."""
