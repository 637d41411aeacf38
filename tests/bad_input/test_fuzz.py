"""Queries and requests that nobody thought of."""

from __future__ import annotations

import string
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.bad_input.client import message_of
from tests.bad_input.server import Server
from tileserver.contract.formats import EARTH_ENGINE_FORMATS
from tileserver.contract.grids import AffineTransform, PartialGrid, PixelGrid
from tileserver.contract.pixels import Geometry, PixelRequest, Range, VisualizationOptions
from tileserver.contract.wire import (
    request_from_json,
    request_from_params,
    request_to_json,
)
from tileserver.errors import InvalidRequest, TileOutOfRange
from tileserver.http.parameters import parse_bbox, parse_query, parse_tile
from tileserver.layers.styles import STYLE_PARAMETERS, Style, parse_style

ASSET = "projects/localhost/assets/x"
# A server is shared by all examples, on purpose: what one leaves behind must not harm the next.
OVER_HTTP = settings(
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

T = TypeVar("T")


def outcome(call: Callable[..., T], *args: object) -> tuple[T | None, str]:
    """Return what a call returns, or None and what it refuses its arguments for."""
    try:
        return call(*args), ""
    except InvalidRequest as exc:
        return None, str(exc)


# Queries

numbers = st.floats(allow_nan=False, allow_infinity=False)
number_texts = st.one_of(
    numbers.map(repr),
    st.integers(-5000, 5000).map(str),
    st.sampled_from(["NaN", "inf", "-0", "1e400", "1e-400", "0x1", "1,2", "1,2,3", "", " 1", "١"]),
)
words = st.text(
    alphabet=string.ascii_letters + string.digits + ",.-+#%&;=/\\\"'<> é\0\n", max_size=12
)
values = st.one_of(
    number_texts, words, st.sampled_from(["B1", "B1,B2,B3", "viridis", "fff,000", "red"])
)
names = st.one_of(
    st.sampled_from([*STYLE_PARAMETERS, "v", "bbox", "width", "height", "lon", "lat", "limit"]),
    words,
)
queries = st.lists(st.tuples(names, values), max_size=5).map(urlencode)
raw_queries = st.text(alphabet=string.printable.strip() + "%&=", max_size=40)
paths = st.sampled_from(
    [
        "/tiles/styled/0/0/0.png",
        "/tiles/rgb/0/0/0.npy",
        "/tiles/grey/24/0/0.webp",
        "/preview/styled.jpg",
        "/legend/styled.svg",
        "/tilejson/rgb.json",
        "/info/grey",
        "/point/rgb",
        "/statistics/grey",
        "/layers",
        "/healthz",
    ]
)
anything = st.text(alphabet=st.characters(codec="utf-8"), max_size=20).map(
    lambda t: quote(t, safe="/")
)


def check_answered(server: Server, target: str) -> None:
    answer = server.ask(target)
    if answer.status != 200:
        assert answer.status in (400, 404), answer.text[:300]
        assert message_of(answer, target)
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.slow
@OVER_HTTP
@given(path=paths, query=st.one_of(queries, raw_queries))
def test_any_query_is_answered_or_refused(server: Server, path: str, query: str) -> None:
    check_answered(server, f"{path}?{query.replace('#', '%23')}")


@pytest.mark.slow
@OVER_HTTP
@given(parts=st.lists(st.one_of(st.integers().map(str), anything), min_size=1, max_size=5))
def test_any_address_is_answered_or_refused(server: Server, parts: list[str]) -> None:
    for route in ("tiles", "preview", "info"):
        check_answered(server, f"/{route}/{'/'.join(parts)}")


@given(query=st.binary(max_size=60))
def test_any_bytes_are_a_query_or_refused(query: bytes) -> None:
    try:
        parameters = parse_query(query, STYLE_PARAMETERS)
    except InvalidRequest:
        return
    assert parse_query(urlencode(parameters).encode(), STYLE_PARAMETERS) == parameters


@given(parts=st.tuples(*[st.one_of(st.integers().map(str), st.text(max_size=8))] * 3))
def test_any_text_is_a_tile_or_refused(parts: tuple[str, str, str]) -> None:
    z, x, name = parts
    try:
        tile, size, _ = parse_tile(z, x, f"{name}.png")
    except (InvalidRequest, TileOutOfRange):
        return
    assert (str(tile.z), str(tile.x)) == (z, x), "a tile has one address"
    assert name == f"{tile.y}{'@2x' if size == 512 else ''}"


@given(text=st.one_of(words, st.lists(number_texts, min_size=3, max_size=5).map(",".join)))
def test_any_text_is_a_box_or_refused(text: str) -> None:
    box, refusal = outcome(parse_bbox, text)
    if box is None:
        assert "bbox: expected" in refusal
        return
    west, south, east, north = box
    assert -180 <= west <= 180
    assert -180 <= east <= 180
    assert -90 <= south < north <= 90


bands = st.lists(
    st.text(alphabet=string.ascii_letters + string.digits + "_.-", min_size=1, max_size=5),
    max_size=3,
).map(tuple)
ends = st.lists(numbers, max_size=3).map(tuple)
palettes = st.lists(st.text("0123456789abcdef", min_size=6, max_size=6), max_size=4).map(tuple)
styles = st.builds(
    Style,
    bands=bands,
    min=ends,
    max=ends,
    palette=palettes,
    gamma=st.none() | st.floats(0.01, 100),
    opacity=st.none() | st.floats(0, 1),
)


@given(style=styles)
def test_a_style_written_as_a_query_is_read_as_it_was(style: Style) -> None:
    parameters = {
        "bands": ",".join(style.bands),
        "min": ",".join(map(repr, style.min)),
        "max": ",".join(map(repr, style.max)),
        "palette": ",".join(style.palette),
        "gamma": "" if style.gamma is None else repr(style.gamma),
        "opacity": "" if style.opacity is None else repr(style.opacity),
    }
    query = urlencode({name: value for name, value in parameters.items() if value})
    assert parse_style(parse_query(query.encode(), STYLE_PARAMETERS)) == style


# Requests

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
MEMBERS = [
    "fileFormat",
    "grid",
    "region",
    "bandIds",
    "visualizationOptions",
    "workloadTag",
    "dimensions",
    "width",
    "height",
    "affineTransform",
    "scaleX",
    "scaleY",
    "crsCode",
    "crsWkt",
    "type",
    "coordinates",
    "geometries",
    "ranges",
    "min",
    "max",
    "paletteColors",
    "gamma",
    "opacity",
    "value",
]
known_values = st.recursive(
    json_values
    | st.sampled_from(["PNG", "NPY", "EPSG:4326", "Point", "Polygon", "1", "1e3", 1, -0.0]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(MEMBERS), inner, max_size=5)
    ),
    max_leaves=12,
)
bodies = st.one_of(
    json_values, st.dictionaries(st.sampled_from(MEMBERS[:6]), known_values, max_size=6)
)


@pytest.mark.slow
@given(body=bodies)
def test_any_json_is_a_request_or_refused(body: Any) -> None:
    request, refusal = outcome(request_from_json, ASSET, body)
    if request is None:
        assert refusal
        assert "\n" not in refusal
        return
    assert request_from_json(ASSET, request_to_json(request)) == request


@pytest.mark.slow
@given(body=bodies, asset=json_values)
def test_any_dictionary_is_a_request_or_refused(body: Any, asset: Any) -> None:
    params = {**body, "assetId": asset} if isinstance(body, dict) else body
    try:
        request = request_from_params(params)
    except InvalidRequest:
        return
    assert request.asset_id == asset


sides = st.integers(1, 2**31 - 1)
transforms = st.builds(AffineTransform, *[st.floats(-1e9, 1e9)] * 6).filter(
    lambda transform: abs(transform.determinant) > 1e-9
)
crs_codes = st.sampled_from(
    ["EPSG:4326", "EPSG:32612", "SR-ORG:6974", 'PROJCS["x"]', "+proj=longlat"]
)
grids = st.one_of(
    st.builds(PixelGrid, sides, sides, transforms, crs_codes),
    st.builds(PartialGrid, transform=st.none() | transforms),
    st.builds(PartialGrid, sides, sides, crs_code=st.none() | crs_codes),
)
positions = st.tuples(numbers, numbers) | st.tuples(numbers, numbers, numbers)
lines = st.lists(positions, min_size=1, max_size=4).map(tuple)
rings = st.lists(lines, min_size=1, max_size=3).map(tuple)
simple = st.one_of(
    st.builds(Geometry, st.just("Point"), positions),
    st.builds(Geometry, st.sampled_from(["MultiPoint", "LineString"]), lines),
    st.builds(Geometry, st.sampled_from(["Polygon", "MultiLineString"]), rings),
    st.builds(
        Geometry, st.just("MultiPolygon"), st.lists(rings, min_size=1, max_size=2).map(tuple)
    ),
)
collections = st.lists(simple, min_size=1, max_size=3).map(
    lambda parts: Geometry("GeometryCollection", geometries=tuple(parts))
)
texts = st.lists(st.text(min_size=1, max_size=8), max_size=3).map(tuple)
options = st.builds(
    VisualizationOptions,
    ranges=st.lists(st.builds(Range, numbers, numbers), max_size=3).map(tuple),
    palette_colors=texts,
    gamma=st.none() | numbers,
    opacity=st.none() | numbers,
).filter(lambda each: each != VisualizationOptions())
requests = st.builds(
    PixelRequest,
    asset_id=st.just(ASSET),
    file_format=st.sampled_from(EARTH_ENGINE_FORMATS),
    grid=st.none() | grids,
    region=st.none() | simple | collections,
    band_ids=texts,
    visualization_options=st.none() | options,
    workload_tag=st.none()
    | st.from_regex(r"[a-z0-9]|[a-z0-9][-_a-z0-9]{0,61}[a-z0-9]", fullmatch=True),
)


@pytest.mark.slow
@given(request=requests)
def test_a_request_written_as_json_is_read_as_it_was(request: PixelRequest) -> None:
    written = request_to_json(request)
    again = request_from_json(ASSET, written)
    assert again == request
    assert again.workload_tag == request.workload_tag
    assert request_to_json(again) == written
    assert request_from_params({**written, "assetId": ASSET}) == request


@pytest.mark.parametrize(
    "huge",
    [10**5000, -(10**5000), "9" * 5000, [[]] * 10_000],
    ids=["integer", "negative", "digits", "list"],
)
@pytest.mark.parametrize("member", ["fileFormat", "grid", "region", "bandIds", "workloadTag"])
def test_a_huge_value_is_refused_in_a_short_message(member: str, huge: object) -> None:
    with pytest.raises(InvalidRequest) as refused:
        request_from_json(ASSET, {member: huge})
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize("member", ["fileFormat", "grid", "region", "bandIds", "workloadTag"])
def test_a_bottomless_value_is_refused(member: str) -> None:
    bottomless: list[object] = []
    for _ in range(100_000):
        bottomless = [bottomless]
    with pytest.raises(InvalidRequest):
        request_from_json(ASSET, {member: bottomless})
