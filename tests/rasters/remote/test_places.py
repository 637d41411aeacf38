from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.rasters.remote.origin import Stored, serve
from tileserver.errors import ConfigError, UnreadableRaster
from tileserver.rasters.remote.places import file_name, find_place
from tileserver.rasters.remote.ranges import Ranges
from tileserver.rasters.remote.s3 import _found, _session

ENDPOINT = {"AWS_S3_ENDPOINT": "127.0.0.1:9000", "AWS_HTTPS": "NO", "AWS_NO_SIGN_REQUEST": "YES"}
KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "top-secret"}


@pytest.mark.parametrize(
    ("location", "environ", "url"),
    [
        ("https://example.org/a b.tif?s=1#f", {}, "https://example.org/a%20b.tif?s=1"),
        ("HTTPS://Example.org/é.tif", {}, "https://example.org/%C3%A9.tif"),
        (
            "s3://scenes/a b/utah.tif",
            {"AWS_NO_SIGN_REQUEST": "YES"},
            "https://scenes.s3.us-east-1.amazonaws.com/a%20b/utah.tif",
        ),
        (
            "s3://scenes/utah?#.tif",
            {"AWS_NO_SIGN_REQUEST": "YES", "AWS_REGION": "eu-north-1"},
            "https://scenes.s3.eu-north-1.amazonaws.com/utah%3F%23.tif",
        ),
        (
            "s3://my.scenes/utah.tif",
            {"AWS_NO_SIGN_REQUEST": "YES", "AWS_DEFAULT_REGION": "cn-north-1"},
            "https://s3.cn-north-1.amazonaws.com.cn/my.scenes/utah.tif",
        ),
        ("s3://scenes/utah.tif", ENDPOINT, "http://scenes.127.0.0.1:9000/utah.tif"),
        (
            "s3://scenes/utah.tif",
            ENDPOINT | {"AWS_VIRTUAL_HOSTING": "FALSE"},
            "http://127.0.0.1:9000/scenes/utah.tif",
        ),
        (
            "s3://scenes/utah.tif",
            {"AWS_ENDPOINT_URL": "https://minio.lan/", "AWS_VIRTUAL_HOSTING": "NO"},
            "https://minio.lan/scenes/utah.tif",
        ),
        ("gs://scenes/a/utah.tif", {}, "https://storage.googleapis.com/scenes/a/utah.tif"),
        (
            "gs://scenes/utah.tif",
            {"CPL_GS_ENDPOINT": "http://127.0.0.1:9"},
            "http://127.0.0.1:9/scenes/utah.tif",
        ),
    ],
)
def test_a_location_is_a_url(location: str, environ: Mapping[str, str], url: str) -> None:
    assert find_place(location, environ).url == url


@pytest.mark.parametrize(
    "location", ["https:///a.tif", "https://[::1/a.tif", "https://a:port/a.tif"]
)
def test_what_is_no_url_is_refused(location: str) -> None:
    with pytest.raises(ConfigError, match=r"^a\.tif: its URL"):
        find_place(location, {})


def test_a_profile_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match="AWS_PROFILE"):
        find_place("s3://scenes/utah.tif", {"AWS_PROFILE": "no-such-profile"})


def test_the_name_of_a_bucket_cannot_name_a_host() -> None:
    place = find_place("s3://a@169.254.169.254:80/a.tif", {"AWS_NO_SIGN_REQUEST": "YES"})
    assert place.url.startswith("https://s3.us-east-1.amazonaws.com/")


def test_the_name_of_a_file_shows_nothing_else_of_its_url() -> None:
    # pragma: allowlist nextline secret
    assert file_name("https://user:pw@example.org/a/utah.tif?sig=secret") == "utah.tif"
    assert file_name("s3://bucket/utah?a.tif") == "utah?a.tif"


def test_another_region_is_another_host_of_amazon_and_nothing_else() -> None:
    place = find_place("s3://scenes/utah.tif", {"AWS_NO_SIGN_REQUEST": "YES"})
    moved = place.in_region("eu-north-1")
    assert moved is not None
    assert moved.url == "https://scenes.s3.eu-north-1.amazonaws.com/utah.tif"
    for region in ("", "example.org/", "eu-north-1.example.org", "a", "eu-north-1:80"):
        assert place.in_region(region) is None
    assert find_place("s3://scenes/utah.tif", ENDPOINT).in_region("eu-north-1") is None


@pytest.mark.parametrize(
    ("location", "environ"),
    [
        (
            "s3://scenes/utah.tif",
            {"AWS_VIRTUAL_HOSTING": "FALSE", "AWS_REGION": "eu-north-1", **KEYS},
        ),
        (
            "gs://scenes/utah.tif",
            {"GS_ACCESS_KEY_ID": "AKIDEXAMPLE", "GS_SECRET_ACCESS_KEY": "top-secret"},
        ),
    ],
)
def test_a_request_is_signed_and_the_range_with_it(
    location: str, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with serve(Stored(b"body" * 100)) as origin:
        local = f"http://127.0.0.1:{origin.port}"
        place = find_place(
            location, environ | {"AWS_ENDPOINT_URL": local, "CPL_GS_ENDPOINT": local}
        )
        ranges = Ranges()
        part = ranges.fetch(place, 4, 7, {})
        ranges.close()
    assert part is not None
    assert part.body == b"body"
    path, headers = origin.requests[0]
    assert path == "/scenes/utah.tif"
    region = environ.get("AWS_REGION", "auto")
    scheme, credential = headers["authorization"].split(",")[0].split(" ")
    assert scheme == "AWS4-HMAC-SHA256"
    assert credential.startswith("Credential=AKIDEXAMPLE/")
    assert credential.endswith(f"/{region}/s3/aws4_request")
    assert "range" in headers["authorization"].split("SignedHeaders=")[1].split(",")[0]
    assert "top-secret" not in str(headers) + repr(place) + repr(place.sign)


def test_without_credentials_the_error_says_what_to_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _session.cache_clear()
    _found.cache_clear()
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", f"{tmp_path}/none")
    monkeypatch.setenv("AWS_CONFIG_FILE", f"{tmp_path}/none")
    sign = find_place("s3://scenes/utah.tif", {}).sign
    with pytest.raises(UnreadableRaster, match="AWS_NO_SIGN_REQUEST=YES"):
        sign("https://scenes.s3.us-east-1.amazonaws.com/utah.tif", {})
