"""What fails says why, and comes back by itself when the server does."""

import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import BrowserContext, Route, expect

from tests.support.commands import serving
from tests.web.conftest import ROOT, Demo, Visitor, link, middle
from tests.web.test_page import answer_layers, layer_named

CENTRE = (512, 320)
WRONG = re.compile(r"undefined|\bNaN\b|\[object|\bnull\b|Infinity")


@dataclass
class Restartable:
    """The server of the demo in a process that can be ended and started again at its address."""

    stack: ExitStack = field(default_factory=ExitStack)
    url: str = ""
    keeper: socket.socket = field(default_factory=socket.socket)
    """Keeps the port from others; it does not listen, so whoever asks there is refused."""

    def __post_init__(self) -> None:
        self.keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.keeper.bind(("127.0.0.1", 0))

    def start(self) -> None:
        port = self.keeper.getsockname()[1]
        self.url = self.stack.enter_context(serving("--port", str(port), cwd=ROOT)).url

    def stop(self) -> None:
        self.stack.close()


@pytest.fixture
def restartable() -> Iterator[Restartable]:
    server = Restartable()
    with server.keeper, server.stack:
        server.start()
        yield server


def all_text(visitor: Visitor) -> str:
    """Return all that a person sees or hears of the page, a text a line."""
    return str(
        visitor.page.evaluate("""() => [
            document.title,
            document.body.innerText,
            ...[...document.querySelectorAll("*")].flatMap(each => ["aria-label", "title", "alt",
                "placeholder", "aria-valuetext", "aria-description"].map(
                    name => each.getAttribute(name) ?? "")),
            ...[...document.querySelectorAll("input")].map(each => each.value),
        ].join("\\n")""")
    )


def expect_words(visitor: Visitor) -> None:
    """Expect that no value has become text that was not meant to be."""
    text = all_text(visitor)
    assert len(text) > 100
    found = [line for line in text.splitlines() if WRONG.search(line)]
    assert found == []


def test_all_goes_on_by_itself_when_the_server_is_back(
    context: BrowserContext, restartable: Restartable, demo: Demo
) -> None:
    visitor = Visitor(context.new_page(), f"{restartable.url}/")
    lat, lon = middle(demo.scene)
    visitor.open(link(11, lat, lon, demo.scene["name"]))
    visitor.wait_for_tiles()
    restartable.stop()
    visitor.page.evaluate(f"location.hash = '#map=12/{lat}/{lon}&l={demo.scene['name']}'")
    row = visitor.row(demo.scene)
    expect(row.locator(".row-problem")).to_contain_text("The server does not answer.")
    message = visitor.page.locator(".message")
    expect(message).to_contain_text("The server does not answer. 1 layer waits for it.")
    visitor.page.mouse.click(*CENTRE)
    inspector = visitor.page.locator("#inspector")
    expect(inspector).to_contain_text("The server does not answer.")
    elevation = visitor.row(demo.elevation)
    elevation.locator(".switch").click()
    expect_words(visitor)
    restartable.start()
    inspector.locator(".band").first.wait_for()
    expect(inspector).not_to_contain_text("The server does not answer.")
    visitor.wait_for_tiles()
    expect(message).to_have_count(0)
    expect(visitor.page.locator(".row-problem:visible")).to_have_count(0)
    expect(elevation.locator(".legend")).to_be_visible()
    expect_words(visitor)


def test_a_page_opened_without_a_server_behind_it_starts_when_there_is_one(
    context: BrowserContext, restartable: Restartable
) -> None:
    visitor = Visitor(context.new_page(), f"{restartable.url}/")
    # The files of the page come; what the server computes does not, as behind a proxy.
    visitor.page.route("**/layers", lambda route: route.abort())
    visitor.page.goto(visitor.server_url)
    expect(visitor.page.locator("#panel")).to_contain_text("The server does not answer.")
    expect_words(visitor)
    visitor.page.unroute("**/layers")
    visitor.wait_for_tiles()
    expect(visitor.page.locator("#panel .wrong:visible")).to_have_count(0)


def test_only_missing_tiles_are_asked_for_again(visitor: Visitor, demo: Demo) -> None:
    asked: list[str] = []
    broken: set[str] = set()

    def answer(route: Route) -> None:
        if route.request.resource_type == "image":
            asked.append(route.request.url)
            if len(asked) % 2:
                broken.add(route.request.url)
        if route.request.url in broken:
            return route.fulfill(status=500, content_type="text/plain", body="The disk is gone.\n")
        return route.fallback()

    visitor.page.route("**/tiles/**", answer)
    visitor.open(link(11, *middle(demo.scene), demo.scene["name"]))
    problem = visitor.row(demo.scene).locator(".row-problem")
    expect(problem).to_contain_text("missing. The disk is gone. The page goes on asking.")
    visitor.wait_until(
        "[...document.querySelectorAll('img.leaflet-tile')].every(one => one.complete)"
    )
    before = set(asked)
    again = set(broken)
    asked.clear()
    # Before the route goes, or a request between the two is not seen.
    visitor.page.on(
        "request",
        lambda request: asked.append(request.url) if request.resource_type == "image" else None,
    )
    visitor.page.unroute("**/tiles/**")
    visitor.wait_for_tiles()
    expect(problem).to_be_hidden()
    assert set(asked) == again
    assert again < before


def test_no_text_of_the_page_is_a_value_that_went_wrong(visitor: Visitor, demo: Demo) -> None:
    """Opens what there is to open; each tool, note, hint and error has words alone."""
    page = visitor.page
    visitor.open(
        link(11, *middle(demo.scene), demo.scene["name"], f"{demo.elevation['name']};o=0.5")
    )
    visitor.wait_for_tiles()
    row = visitor.row(demo.scene)
    row.get_by_role("button", name="More about").click()
    expect_words(visitor)
    row.get_by_role("button", name="Copy XYZ URL").click()
    expect(page.locator(".message")).not_to_have_count(0)
    expect_words(visitor)
    page.mouse.click(*CENTRE)
    page.locator("#inspector .band").first.wait_for()
    expect_words(visitor)
    names = page.locator("#tool-list button").evaluate_all(
        "all => all.map(one => one.dataset.tool)"
    )
    for name in names:
        button = page.locator(f"#tool-list button[data-tool='{name}']")
        button.click()
        if name == "go-to":
            expect(page.get_by_role("dialog", name="Go to")).to_be_visible()
        expect_words(visitor)
        page.keyboard.press("Escape")
    page.evaluate("location.hash = '#map=9/99/0&l=no-such-layer;o=7'")
    expect(page.locator(".message").first).to_be_visible()
    expect_words(visitor)


def test_a_list_without_titles_and_styles_has_words_alone(visitor: Visitor) -> None:
    bare = {"name": "bare", "tiles": "x/{z}/{x}/{y}.png", "title": None, "style": None}
    errors = [{"name": None}, {"title": "mars"}, {}]
    layers = [bare, layer_named("full", visible=False)]
    answer_layers(visitor, {"": {"layers": layers, "next": None, "errors": errors}})
    visitor.open()
    visitor.page.locator(".not-shown summary").click()
    visitor.row({"name": "bare"}).get_by_role("button", name="More about").click()
    visitor.row({"name": "bare"}).locator(".switch").click()
    expect(visitor.row({"name": "bare"}).locator(".row-problem")).to_be_visible()
    visitor.page.mouse.click(*CENTRE)
    expect(visitor.page.locator("#inspector .wrong")).to_be_visible()
    expect_words(visitor)
