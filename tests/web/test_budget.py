"""What the page costs: bytes until it stands, and memory while one moves about."""

import gzip
import re
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import BrowserContext

from tests.web.conftest import ROOT, Demo, Visitor, link, middle
from tests.web.test_build import imported_by
from tileserver.http.compressed import without_comments

MAX_BYTES = 120_000
"""Of the page with Leaflet, compressed."""
MOST_GROWTH_BYTES = 2_000_000


def test_the_page_takes_few_bytes_until_it_stands(server_url: str) -> None:
    html = (ROOT / "web" / "index.html").read_text()
    files = {"", "main.js", *imported_by("page.js")}
    files |= set(re.findall(r'(?:href|src)="([^"]+\.(?:js|css|svg))"', html))
    sizes = {}
    with httpx.Client(
        base_url=server_url, headers={"accept-encoding": "gzip"}, timeout=60
    ) as client:
        for name in files:
            with client.stream("GET", name) as answer:
                assert answer.status_code == 200
                sizes[name] = sum(map(len, answer.iter_raw()))
    largest = sorted(sizes.items(), key=lambda each: -each[1])[:8]
    assert sum(sizes.values()) <= MAX_BYTES, largest


@pytest.mark.parametrize(
    "text",
    [
        "const a = `\n// not a comment\n/* nor this */\n`;",
        "const url = 'http://x'; // behind code\n",
        "f(`${g(`a`)}`);\nconst b = `\n  // kept\n`;",
        "/* one */ code();",
        ".a { color: red; } /* behind */",
    ],
)
def test_code_is_sent_as_it_is(text: str) -> None:
    assert without_comments(text) == text


@pytest.mark.parametrize("path", sorted((ROOT / "web").rglob("*.js")), ids=lambda path: path.name)
def test_of_each_module_only_comments_are_left_out(path: Path) -> None:
    text = path.read_text()
    if "vendor" in path.parts:
        return
    left_out = [
        line
        for line, sent in zip(text.split("\n"), without_comments(text).split("\n"), strict=True)
        if line != sent
    ]
    assert [line for line in left_out if not line.lstrip().startswith(("//", "/*", "*"))] == []


def test_a_file_comes_compressed_and_with_the_same_lines(server_url: str) -> None:
    plain = (ROOT / "web" / "page.js").read_bytes()
    with httpx.Client(base_url=server_url, timeout=60) as client:
        bare = client.get("page.js", headers={"accept-encoding": "identity"})
        assert bare.content == plain
        assert "content-encoding" not in bare.headers
        with client.stream("GET", "page.js", headers={"accept-encoding": "br, gzip"}) as answer:
            body = b"".join(answer.iter_raw())
        assert answer.headers["content-encoding"] == "gzip"
        assert "accept-encoding" in answer.headers["vary"].lower()
        text = gzip.decompress(body).decode()
        # Without lines of comment, which keep their place.
        lines = zip(text.split("\n"), plain.decode().split("\n"), strict=True)
        assert {each for each in lines if each[0] != each[1]}
        assert "export async function start() {" in text
        assert int(answer.headers["content-length"]) == len(body) < len(plain) / 2
        again = client.get("page.js", headers={"if-none-match": answer.headers["etag"]})
        assert again.status_code == 304
        # A browser takes over the headers of a 304.
        for name in ("content-security-policy", "referrer-policy", "cache-control", "vary"):
            assert again.headers[name] == answer.headers[name]
        part = client.get("page.js", headers={"range": "bytes=0-9", "accept-encoding": "gzip"})
        assert (part.status_code, part.content) == (206, plain[:10])


@pytest.mark.parametrize("context", [{"viewport": {"width": 820, "height": 600}}], indirect=True)
def test_memory_stays_flat_while_the_map_is_moved(
    visitor: Visitor, context: BrowserContext, demo: Demo
) -> None:
    lat, lon = middle(demo.scene)
    visitor.open(link(11, lat, lon, demo.scene["name"], demo.world["name"]))
    visitor.wait_for_tiles()
    session = context.new_cdp_session(visitor.page)
    session.send("Performance.enable")

    def measured(moves: range) -> dict[str, float]:
        for number in moves:
            east = lon + 0.3 * ((number % 7) - 3)
            fragment = link(11, round(lat, 3), round(east, 3), demo.scene["name"])
            visitor.page.evaluate(f"location.hash = {fragment!r}")
            visitor.page.mouse.click(600, 300)
        visitor.page.keyboard.press("Escape")
        visitor.wait_until("document.querySelectorAll('img.leaflet-tile').length < 200")
        visitor.wait_for_tiles()
        session.send("HeapProfiler.collectGarbage")
        metrics = session.send("Performance.getMetrics")["metrics"]
        return {each["name"]: each["value"] for each in metrics}

    before = measured(range(7))
    after = measured(range(7, 42))
    assert after["JSHeapUsedSize"] - before["JSHeapUsedSize"] < MOST_GROWTH_BYTES
    # Some nodes await the next collection.
    assert after["Nodes"] < before["Nodes"] * 1.5
