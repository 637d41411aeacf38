"""Where links of documents may lead."""

from __future__ import annotations

import pytest

from tileserver.errors import UnreadableRaster
from tileserver.rasters.files import Place
from tileserver.rasters.stac.links import Base

LOCAL = Base(Place("/data/in", "a/item.json"), Place("/data/in", "catalog.json"))
REMOTE = Base("https://one.example/a/b/item.json?x=1", "https://one.example/catalog.json")


@pytest.mark.parametrize(
    ("href", "below"),
    [
        ("B04.tif", "a/B04.tif"),
        ("./x/../B04.tif", "a/B04.tif"),
        ("../b/B04.tif", "b/B04.tif"),
        ("a%20b.tif", "a/a b.tif"),
        ("/data/in/c/B04.tif", "c/B04.tif"),
        ("file:///data/in/c/B04.tif", "c/B04.tif"),
    ],
)
def test_links_of_a_file_lead_to_files_below_its_root(href: str, below: str) -> None:
    assert LOCAL.locate(href) == Place("/data/in", below)


@pytest.mark.parametrize(
    "href",
    [
        "../../secret.tif",
        "../..",
        "..%2F..%2Fsecret.tif",
        "/etc/passwd",
        "/data/inner/x.tif",
        "file:///etc/passwd",
        "file://host/data/in/x.tif/../../../../etc/passwd",
        "a\x00.tif",
        "a%00.tif",
        "a\\..\\..\\x.tif",
        "",
        " ",
        "/vsicurl/http://x/y.tif",
        "ftp://one.example/x.tif",
        "data:image/tiff;base64,AAAA",
        "https://other.example/x.tif",
        "s3://bucket/x.tif",
        "x" * 5000,
    ],
)
def test_links_of_a_file_lead_nowhere_else(href: str) -> None:
    with pytest.raises(UnreadableRaster):
        LOCAL.locate(href)


@pytest.mark.parametrize(
    ("href", "url"),
    [
        ("B04.tif", "https://one.example/a/b/B04.tif"),
        ("../B04.tif", "https://one.example/a/B04.tif"),
        ("../../../../B04.tif", "https://one.example/B04.tif"),
        ("/B04.tif", "https://one.example/B04.tif"),
        ("https://ONE.example/x.tif?sig=1", "https://ONE.example/x.tif?sig=1"),
    ],
)
def test_links_of_a_url_stay_on_its_host(href: str, url: str) -> None:
    assert REMOTE.locate(href) == url


@pytest.mark.parametrize(
    "href",
    [
        "https://two.example/x.tif",
        "//two.example/x.tif",
        "https://one.example.evil.example/x.tif",
        "https://one.example@two.example/x.tif",
        "https://one.example:8443/x.tif",
        "http://one.example/x.tif",
        "http://169.254.169.254/latest/x.tif",
        "s3://one.example/x.tif",
        "file:///etc/passwd",
        "https:///x.tif",
    ],
)
def test_links_of_a_url_lead_to_no_other_host(href: str) -> None:
    with pytest.raises(UnreadableRaster):
        REMOTE.locate(href)


def test_hosts_of_the_configuration_are_allowed() -> None:
    hosts = ("two.example", "*.s3.amazonaws.com", "bucket")
    base = Base(LOCAL.location, LOCAL.root, hosts)
    for url in ("https://two.example/x.tif", "https://a.s3.amazonaws.com/x.tif", "s3://bucket/x"):
        assert base.locate(url) == url
    for url in ("https://two.example:8443/x.tif", "https://evil.example/a.s3.amazonaws.com"):
        with pytest.raises(UnreadableRaster, match=r"\[remote\] hosts"):
            base.locate(url)


def test_a_bucket_is_the_host_of_s3() -> None:
    base = Base("s3://bucket/a/item.json", "s3://bucket/catalog.json")
    assert base.locate("../b.tif") == "s3://bucket/b.tif"
    with pytest.raises(UnreadableRaster):
        base.locate("s3://other/b.tif")


def test_any_host_is_no_address() -> None:
    base = Base(LOCAL.location, LOCAL.root, ("*",))
    assert base.locate("https://three.example/x.tif")
    for host in ("169.254.169.254", "127.0.0.1:8080", "[::1]", "localhost", "a.localhost:80"):
        with pytest.raises(UnreadableRaster):
            base.locate(f"http://{host}/x.tif")
        named = Base(LOCAL.location, LOCAL.root, ("*", host))
        assert named.locate(f"http://{host}/x.tif")
