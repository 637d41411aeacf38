"""Names no asset or layer has; none of them leads out of the catalogue."""

from __future__ import annotations

import pytest

from tests.bad_input.client import message_of
from tests.bad_input.server import Server

NAMES = [
    "..",
    "../rgb",
    "%2e%2e/rgb",
    "%2e%2e%2frgb",
    "rgb/../rgb",
    "./rgb",
    "//rgb",
    "/rgb",
    "rgb/",
    "/etc/passwd",
    "rgb%00",
    "rgb%00.tif",
    "rgb%20",
    "RGB",
    "a" * 5000,
    "%E2%80%AErgb",
    "rgb%E2%80%8B",
    "%3Cscript%3Ealert(1)%3C/script%3E",
    "rgb%3Fx",
    "rgb%23x",
    "rgb%ff",
    "%F0%9F%9A%80",
    "file%3A///etc/passwd",
    "/vsicurl/http%3A//127.0.0.1/x",
    "GTIFF_DIR%3A1%3A/etc/passwd",
    "projects/localhost/assets",
    "projects/localhost/assets/",
    "projects/localhost/assets/rgb.tif",
    "projects/localhost/assets/../../rgb",
    "projects/localhost/assets/rgb:getPixels",
    "projects/localhost/assets/rgb:export",
    "projects/other/assets/rgb",
    "COPERNICUS/S2",
    "users/someone/table",
]
ROUTES = [
    "/tiles/{}/0/0/0.png",
    "/preview/{}.png",
    "/legend/{}.svg",
    "/tilejson/{}.json",
    "/info/{}",
    "/point/{}?lon=0&lat=0",
    "/statistics/{}",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_is_none_is_not_found_on_any_route(server: Server, name: str) -> None:
    for route in ROUTES:
        server.check_refuses(route.format(name), "asset", "not found", "/layers", status=404)


@pytest.mark.parametrize("route", ROUTES)
def test_a_name_with_a_line_break_is_not_found_and_adds_no_header(
    server: Server, route: str
) -> None:
    target = route.format("rgb%0d%0aX-Injected:%201")
    answer = server.ask(target)
    assert answer.status == 404
    assert "x-injected" not in answer.headers
    assert message_of(answer, target)


def test_an_unknown_and_a_forbidden_asset_answer_alike(server: Server) -> None:
    unknown = server.ask("/tiles/projects/localhost/assets/xxxx/0/0/0.png")
    forbidden = server.ask("/tiles/projects/forbidden/assets/xxxx/0/0/0.png")
    assert unknown.text == forbidden.text.replace("forbidden", "localhost")
    assert unknown.status == forbidden.status == 404
