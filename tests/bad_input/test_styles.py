"""Styles, boxes, sizes and queries that are malformed, contradict each other or are too much."""

from __future__ import annotations

import pytest

from tests.bad_input.server import Server

COLORS = "neither 3 or 6 hex digits"
NUMBER = "expected a number"
KNOWN = "Known here: bands, min, max, palette, gamma, opacity"

BANDS = [
    ("bands=B9", "'B9'", "Bands: B1, B2, B3"),
    ("bands=b1", "'b1'", "Bands: B1, B2, B3"),
    ("bands=*", "'*'", "Bands: B1, B2, B3"),
    ("bands=%5B%22B1%22%5D", "B1", "Bands: B1, B2, B3"),
    ("bands=B1,B1,B1", "B1, B1, B1", "must not repeat"),
    ("bands=B1,B2", "got 2", "one or three bands"),
    ("bands=B1,B2,B3,B4", "'B4'", "Bands: B1, B2, B3"),
    (f"bands={','.join(['B1'] * 1025)}", "bands: 1025", "at most 1024"),
    ("bands=", "bands", "expected a value"),
    ("bands=B1,%20B2", "bands", "with commas between, such as B4,B3,B2"),
    ("bands=B1,,B2", "bands", "with commas between"),
    ("bands=,", "bands", "with commas between"),
]
RANGES = [
    ("min=5&max=1", "min 5.0 and max 1.0", "min must be less than its max"),
    ("min=5&max=5", "min 5.0 and max 5.0", "min must be less than its max"),
    ("min=300", "min 300.0", "min must be less than its max"),
    ("min=1e308&max=-1e308", "min 1e+308", "min must be less than its max"),
    ("min=NaN", "min: ", NUMBER),
    ("min=inf", "min: ", NUMBER),
    ("min=%2B", "min: ", NUMBER),
    ("min=0x10", "min: ", NUMBER),
    ("min=%D9%A1", "min: ", NUMBER),
    ("max=1e400", "max: ", NUMBER),
    ("max=-1e400", "max: ", NUMBER),
    (f"max={'9' * 1000}", "max: ", NUMBER),
    ("max=1_000", "max: ", NUMBER),
    ("max=1;5", "max: ", NUMBER),
    ("min=0,5", "min has 2 values", "one for all bands, or one for each of B1"),
    ("min=0,1&max=5,6", "min has 2 values", "one for all bands"),
    ("max=1,2,3,4", "max: ", "expected one number, or one a band, got 4"),
]
PALETTES = [
    ("palette=gggggg", "'gggggg'", COLORS),
    ("palette=ff", "'ff'", COLORS),
    ("palette=ffff", "'ffff'", COLORS),
    ("palette=12345678", "'12345678'", COLORS),
    ("palette=viridi", "'viridi'", "nor a CSS color name, such as teal"),
    ("palette=%23", "'#'", COLORS),
    ("palette=red,,blue", "''", COLORS),
    ("palette=url(x)", "'url(x)'", COLORS),
    ("palette=rgb(1,2,3)", "'rgb(1'", COLORS),
    ("palette=red;background:url(x)", "palette", COLORS),
    ("palette=%3C/style%3E", "palette", COLORS),
    (f"palette={','.join(['fff'] * 257)}", "palette", "1 to 256 colors, got 257"),
    ("palette=", "palette", "expected a value"),
    ("palette=fff,000&bands=B1,B2,B3", "palette", "more than one band"),
]
NUMBERS = [
    ("gamma=0", "gamma: ", "from 0.01 to 100"),
    ("gamma=-1", "gamma: ", "from 0.01 to 100"),
    ("gamma=1e9", "gamma: ", "from 0.01 to 100"),
    ("gamma=1,2,3", "gamma: ", "from 0.01 to 100"),
    ("gamma=NaN", "gamma: ", "from 0.01 to 100"),
    ("opacity=2", "opacity: ", "from 0 to 1"),
    ("opacity=-0.1", "opacity: ", "from 0 to 1"),
    ("opacity=50%25", "opacity: ", "from 0 to 1"),
]
QUERIES = [
    ("min=0&min=1", "min: given twice", "expected once"),
    ("v=x&v=y", "v: given twice", "expected once"),
    ("pallete=red", "'pallete', did you mean palette?", KNOWN),
    ("Min=0", "'Min', did you mean min?", KNOWN),
    ("min[]=1", "'min[]'", KNOWN),
    ("size=512", "'size'", KNOWN),
    ("format=tif", "'format'", KNOWN),
    ("url=http://127.0.0.1/x.tif", "'url'", KNOWN),
    ("%C3%A9=1", "'é'", KNOWN),
    ("=1", "''", KNOWN),
    ("min=0;max=1", "min: ", NUMBER),
    ("min=0%26max%3D1", "min: ", NUMBER),
    ("min=%2531", "min: ", NUMBER),
    ("min=%00", "min: ", "expected a value"),
    ("min=1%0d%0aX:1", "min: ", "expected a value"),
    ("min", "min: ", "expected a value"),
    ("v=", "v: ", "expected a value"),
    ("min=%ff", "query", "percent-encoded UTF-8"),
    ("min=%ED%A0%80", "query", "percent-encoded UTF-8"),
    (f"v={'9' * 9000}", "9002 bytes", "at most 8192"),
    ("&".join(f"x{i}=" for i in range(1000)), "'x0'", KNOWN),
]
BOX = "expected west,south,east,north"
SIDE = "expected a whole number from 1 to 4096"
ELSEWHERE = [
    ("/preview/styled.png?width=0", "width: ", SIDE),
    ("/preview/styled.png?width=-1", "width: ", SIDE),
    ("/preview/styled.png?width=4097", "width: ", SIDE),
    ("/preview/styled.png?width=1.5", "width: ", SIDE),
    ("/preview/styled.png?width=4096&height=4097", "height: ", SIDE),
    (f"/preview/styled.png?height={'9' * 5000}", "height: ", SIDE),
    ("/preview/styled.png?bbox=0,0,180,1e-3&height=4096", "width", "at most 4096 pixels"),
    ("/preview/styled.png?bbox=1,2,3", "got 3 values", BOX),
    ("/preview/styled.png?bbox=a,b,c,d", "bbox: ", "from -180 to 180"),
    ("/preview/styled.png?bbox=NaN,0,1,1", "bbox: ", "from -180 to 180"),
    ("/preview/styled.png?bbox=0,0,400,10", "bbox: ", "from -180 to 180"),
    ("/preview/styled.png?bbox=0,-91,10,10", "bbox: ", "from -90 to 90"),
    ("/preview/styled.png?bbox=0,0,0,0", "bbox: ", BOX),
    ("/preview/styled.png?bbox=0,10,10,0", "bbox: ", BOX),
    ("/preview/styled.png?bbox=0,0,180,1e-310&height=10", "bbox: ", "1e-09 degrees or more"),
    ("/preview/styled.png?bbox=0,0,1e-300,80&width=9", "bbox: ", "1e-09 degrees or more"),
    ("/preview/styled.png?bbox=0,89,1,90", "bbox: ", "within 85.05 degrees of the equator"),
    ("/preview/many.npy?width=4096&height=4096", "Number of bands (1025)", "equal to 1024"),
    ("/preview/rgb.npy?width=4096&height=4096", "100663296 bytes", "equal to 50331648"),
    ("/tiles/many/0/0/0.npy", "Number of bands (1025)", "equal to 1024"),
    ("/tiles/many/3/0/0@2x.npy", "Number of bands (1025)", "equal to 1024"),
    ("/point/rgb", "lon: ", "expected lon and lat in degrees"),
    ("/point/rgb?lon=1", "lat: ", "expected lon and lat in degrees"),
    ("/point/rgb?lon=181&lat=0", "lon: ", "from -180 to 180"),
    ("/point/rgb?lon=0&lat=91", "lat: ", "from -90 to 90"),
    ("/point/rgb?lon=NaN&lat=0", "lon: ", "from -180 to 180"),
    ("/point/rgb?lon=1,5&lat=0", "lon: ", "from -180 to 180"),
    ("/point/rgb?lon=0&lat=0&z=1", "'z'", "Known here: lon, lat, bands"),
    ("/point/rgb?lon=0&lat=0&bands=q", "'q'", "Bands: B1, B2, B3"),
    ("/statistics/rgb?bands=q", "'q'", "Bands: B1, B2, B3"),
    ("/statistics/rgb?min=0", "'min'", "Known here: bands, bbox"),
    ("/statistics/rgb?bbox=", "bbox: ", "expected a value"),
    ("/layers?limit=0", "limit: ", "expected a whole number from 1 to 1000"),
    ("/layers?limit=1e3", "limit: ", "expected a whole number from 1 to 1000"),
    ("/layers?page=2", "'page'", "Known here: after, limit, q, bbox"),
    ("/layers?after=nothing", "'nothing'", "after: there is no layer"),
    ("/tilejson/styled.json?min=x", "min: ", NUMBER),
    ("/tilejson/rgb.json?bands=B1,B2", "got 2", "one or three bands"),
    ("/tilejson/styled.json?min=9&max=1", "min 9.0", "min must be less than its max"),
    ("/legend/styled.svg?palette=x", "palette: ", COLORS),
    ("/legend/styled.svg?bands=B1,B2", "got 2", "one or three bands"),
    ("/info/styled?gamma=0", "gamma: ", "from 0.01 to 100"),
]


@pytest.mark.parametrize(
    ("query", "wrong", "right"), [*BANDS, *RANGES, *PALETTES, *NUMBERS, *QUERIES]
)
def test_a_style_that_cannot_be_is_refused(
    server: Server, query: str, wrong: str, right: str
) -> None:
    server.check_refuses(f"/tiles/styled/0/0/0.png?{query}", wrong, right)


@pytest.mark.parametrize("query", [query for query, _, _ in (*RANGES, *PALETTES, *NUMBERS)])
def test_a_style_is_refused_where_the_asset_does_not_reach_too(server: Server, query: str) -> None:
    assert server.ask(f"/tiles/styled/3/7/7.png?{query}").status == 400


@pytest.mark.parametrize(("target", "wrong", "right"), ELSEWHERE)
def test_a_question_that_cannot_be_is_refused(
    server: Server, target: str, wrong: str, right: str
) -> None:
    server.check_refuses(target, wrong, right)


@pytest.mark.parametrize(
    "query", ["", "&&", "min=-0.0", "opacity=1e-400", "v=1", "min=-1e38&max=1e38", "palette=%23FFF"]
)
def test_what_is_odd_but_means_something_is_drawn(server: Server, query: str) -> None:
    assert server.ask(f"/tiles/styled/0/0/0.png?{query}").status == 200


def test_raw_pixels_outside_the_asset_are_of_the_bands_asked_for(server: Server) -> None:
    inside = server.ask("/tiles/rgb/0/0/0.npy?bands=B2")
    outside = server.ask("/tiles/rgb/3/7/7.npy?bands=B2")
    assert inside.status == outside.status == 200
    assert inside.body[:128] == outside.body[:128]
