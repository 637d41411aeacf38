"""Addresses that cannot be: tiles outside the pyramid, malformed numbers, suffixes, pages."""

from __future__ import annotations

import pytest

from tests.bad_input.server import Server
from tileserver.contract.formats import TILE_SUFFIXES

WHOLE = "expected a whole number such as 12"
ZOOMS = "0 to 24"
TILE_FORM = "expected /tiles/{layer}/{z}/{x}/{y}.png"
SUFFIXES = f"expected one of {', '.join(TILE_SUFFIXES)}"
SCALES = "expected @2x for 512 pixels, or nothing for 256"

# below /tiles/styled/, status, what is wrong, what would be right
TILES = [
    ("-1/0/0.png", 404, "got -1", ZOOMS),
    ("25/0/0.png", 404, "got 25", ZOOMS),
    ("9223372036854775808/0/0.png", 404, "got 9223372036854775808", ZOOMS),
    ("0/-1/0.png", 404, "x=-1", "0 to 0"),
    ("0/0/-1.png", 404, "y=-1", "0 to 0"),
    ("0/0/1.png", 404, "y=1", "0 to 0"),
    ("3/8/0.png", 404, "x=8", "0 to 7"),
    ("3/0/8.png", 404, "y=8", "0 to 7"),
    ("3/2097151/12.png", 404, "x=2097151", "0 to 7"),
    ("3/9223372036854775808/0.png", 404, "x=9223372036854775808", "0 to 7"),
    ("24/16777216/0.png", 404, "x=16777216", "0 to 16777215"),
    (f"3/{'9' * 5000}/0.png", 400, "x: ", WHOLE),
    ("1e3/0/0.png", 400, "z: ", WHOLE),
    ("+1/0/0.png", 400, "z: ", WHOLE),
    ("-0/0/0.png", 400, "z: ", WHOLE),
    ("0x1/0/0.png", 400, "z: ", WHOLE),
    ("%201/0/0.png", 400, "z: ", WHOLE),
    ("03/0/0.png", 400, "z: ", WHOLE),
    ("NaN/0/0.png", 400, "z: ", WHOLE),
    ("3/00/0.png", 400, "x: ", WHOLE),
    ("3/%EF%BC%91/0.png", 400, "x: ", WHOLE),
    ("3/1.0/0.png", 400, "x: ", WHOLE),
    ("3/{x}/{y}.png", 400, "x: ", WHOLE),
    ("3/0%0a/0.png", 400, "x: ", WHOLE),
    ("3/0/.png", 400, "y: ", WHOLE),
    ("3/0/0%00.png", 400, "y: ", WHOLE),
    ("3/0/-.png", 400, "y: ", WHOLE),
    ("3/0", 404, "no such page", TILE_FORM),
    ("3//0.png", 404, "no such page", TILE_FORM),
    ("", 404, "no such page", TILE_FORM),
    ("3/0/0/0.png", 404, "'styled/3' not found", "/layers"),
    ("%0A/", 404, "no such page", TILE_FORM),
]
SUFFIXED = [
    ("tiles/styled/0/0/0.tif", 400, "'.tif'", SUFFIXES),
    ("tiles/styled/0/0/0.png.exe", 400, "'.png.exe'", SUFFIXES),
    ("tiles/styled/0/0/0.PNG", 400, "'.PNG'", SUFFIXES),
    ("tiles/styled/0/0/1.0.png", 400, "'.0.png'", SUFFIXES),
    ("tiles/styled/0/0/0.png%20", 400, "'.png '", SUFFIXES),
    ("tiles/styled/0/0/0.%E2%80%AEgnp", 400, r"\u202e", SUFFIXES),
    ("tiles/styled/0/0/0.", 400, "'.'", SUFFIXES),
    ("tiles/styled/0/0/0", 400, "'none'", SUFFIXES),
    ("tiles/styled/0/0/0@1x.png", 400, "'@1x'", SCALES),
    ("tiles/styled/0/0/0@3x.png", 400, "'@3x'", SCALES),
    ("tiles/styled/0/0/0@2x@2x.png", 400, "'@2x@2x'", SCALES),
    ("tiles/styled/0/0/0@0.5x.png", 400, "'@0'", SCALES),
    ("tiles/styled/0/0/0.png/", 404, "no such page", TILE_FORM),
    ("preview/styled", 400, "'none'", SUFFIXES),
    ("preview/styled.tif", 400, "'.tif'", SUFFIXES),
    ("preview/.png", 400, "'none'", SUFFIXES),
    ("preview/styled.png/", 400, "'.png/'", SUFFIXES),
    ("legend/styled.gif", 400, "'styled.gif'", "expected one of .svg, .png, .json"),
    ("legend/styled", 400, "'styled'", "expected one of .svg, .png, .json"),
    ("tilejson/styled", 404, "no such page", "expected /tilejson/{layer}.json"),
    ("tilejson/styled.json/", 404, "no such page", "expected /tilejson/{layer}.json"),
]
PAGES = [
    "/nothing",
    "/info",
    "/info/%0A/",
    "/layers/",
    "/healthz/x",
    "/..",
    "/../../etc/passwd",
    "/%2e%2e/%2e%2e/etc/passwd",
    "/..%2f..%2fetc/passwd",
    "/%5c..%5c",
    "//etc/passwd",
    "/%00",
    "/index.html%00.png",
    "/index.html/x",
    "/%ff%fe",
    "/" + "a" * 300,
    "/" + "a/" * 2000,
    "/vendor",
    "/node_modules/.package-lock.json",
]


@pytest.mark.parametrize(("address", "status", "wrong", "right"), TILES)
def test_a_tile_that_cannot_be_is_refused(
    server: Server, address: str, status: int, wrong: str, right: str
) -> None:
    server.check_refuses(f"/tiles/styled/{address}", wrong, right, status=status)


@pytest.mark.parametrize(("address", "status", "wrong", "right"), SUFFIXED)
def test_a_suffix_that_is_none_is_refused(
    server: Server, address: str, status: int, wrong: str, right: str
) -> None:
    server.check_refuses(f"/{address}", wrong, right, status=status)


@pytest.mark.parametrize("target", PAGES)
def test_a_page_that_is_none_is_not_found(server: Server, target: str) -> None:
    server.check_refuses(target, "no such page", "/ is the map, /layers lists", status=404)


def test_a_percent_encoded_digit_is_a_digit(server: Server) -> None:
    assert server.ask("/tiles/styled/%30/0/0.png").status == 200
