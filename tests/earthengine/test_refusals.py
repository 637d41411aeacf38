import email.utils
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tileserver.earthengine.refusals import (
    AssetRefused,
    error_of,
    for_clients,
    retry_after_s,
    without_secrets,
)
from tileserver.errors import (
    AssetNotFound,
    AuthenticationFailed,
    InvalidRequest,
    QuotaExhausted,
    RateLimited,
    RequestTooLarge,
    TileserverError,
    TooComplex,
    TransientError,
    UpstreamError,
)

NAME = "projects/my-project/assets/scene"
DAILY = (
    "Your usage exceeded the custom quota for 'earthengine.googleapis.com/daily_eecu_usage_time', "
    "which is adjustable by your administrator in the Google Cloud console: "
    "https://console.cloud.google.com/quotas/?project=_."
)
PER_MINUTE = (
    "Quota exceeded for quota metric 'Number of read requests' and limit 'Number of read requests "
    "per minute per user' of service 'earthengine.googleapis.com' for consumer "
    "'project_number:123456789'."
)


def google(message: Any, **more: Any) -> bytes:
    return json.dumps({"error": {"code": 0, "message": message, "status": "X", **more}}).encode()


def reasons(*names: str) -> list[dict[str, str]]:
    return [{"reason": name} for name in names]


def error(status: int, message: str, /, **more: Any) -> TileserverError:
    return error_of(status, {}, google(message, **more), NAME)


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (
            400,
            "Total request size (56623104 bytes) must be less than or equal to 50331648 bytes.",
            RequestTooLarge,
        ),
        (
            400,
            "Pixel grid dimensions (40818x1) must be less than or equal to 32768.",
            RequestTooLarge,
        ),
        (400, "Request payload size exceeds the limit: 10485760 bytes.", RequestTooLarge),
        (413, "Request payload size exceeds the limit: 10485760 bytes.", RequestTooLarge),
        (400, "User memory limit exceeded.", TooComplex),
        (400, "Earth Engine memory capacity exceeded", TooComplex),
        (400, "Computation timed out.", TooComplex),
        (400, "Deadline exceeded.", TooComplex),
        (400, "Quota exceeded: Too many concurrent aggregations.", RateLimited),
        (429, "Quota exceeded: Too many concurrent aggregations.", RateLimited),
        (429, PER_MINUTE, RateLimited),
        (429, "Too Many Requests: Request was rejected because …", RateLimited),
        (429, DAILY, QuotaExhausted),
        (403, DAILY, QuotaExhausted),
        (400, DAILY, QuotaExhausted),
        (400, "Earth Engine capacity exceeded.", TransientError),
        (400, "An internal error has occurred", TransientError),
        (500, "An internal error has occurred.", TransientError),
        (503, "The service is currently unavailable.", TransientError),
        (504, "Deadline exceeded.", TransientError),
        (401, "Request had invalid authentication credentials.", AuthenticationFailed),
        (404, "Asset 'x' not found.", AssetNotFound),
        (
            400,
            "Image.load: Image asset 'X' not found (does not exist or caller does not have "
            "access).",
            AssetRefused,
        ),
        (
            400,
            "ImageCollection.load: ImageCollection asset 'X' not found (does not exist or …).",
            AssetRefused,
        ),
        (400, "Asset 'X' does not exist or doesn't allow this operation.", AssetRefused),
        (403, "Permission 'earthengine.assets.get' denied.", AssetRefused),
        (400, "Image.select: Pattern 'nonBand' did not match any bands.", InvalidRequest),
        (400, "Unable to transform edge (6144.000000, 0.000000 to …)", InvalidRequest),
        (418, "I am a teapot", UpstreamError),
        (302, "elsewhere", UpstreamError),
    ],
)
def test_each_text_of_earth_engine_becomes_one_error(
    status: int, message: str, kind: type[TileserverError]
) -> None:
    assert type(error(status, message)) is kind


def test_a_permanent_refusal_is_told_in_earth_engines_own_words() -> None:
    text = "Pixel grid dimensions (40818x1) must be less than or equal to 32768."
    assert str(error(400, text)) == text


@pytest.mark.parametrize("status", [400, 403, 404, 418])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Bad gateway</html>",
        b'"text"',
        b"[]",
        b'{"error": "text"}',
        b'{"error": {"message": 4}}',
        b'{"error": {"message": "x", "details": 3}}',
        b'{"error": {"message": "x", "details": ["y"]}}',
        b"[" * 100_000,
        b"\xff\xfe",
    ],
    ids=lambda body: repr(body[:30]),
)
def test_a_refusal_that_is_not_earth_engines_is_an_upstream_error(status: int, body: bytes) -> None:
    assert type(error_of(status, {}, body, NAME)) is UpstreamError


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, AuthenticationFailed), (429, RateLimited), (500, TransientError), (502, TransientError)],
)
def test_where_the_status_says_enough_the_body_may_be_anything(
    status: int, kind: type[TileserverError]
) -> None:
    assert type(error_of(status, {}, b"<html>", NAME)) is kind


def test_an_error_within_a_list_is_read_too() -> None:
    body = b"[" + google("User memory limit exceeded.") + b"]"
    assert type(error_of(400, {}, body, NAME)) is TooComplex


@pytest.mark.parametrize("reason", ["rateLimitExceeded", "userRateLimitExceeded"])
def test_a_403_for_the_rate_is_a_rate_limit(reason: str) -> None:
    found = error_of(403, {"retry-after": "7"}, google("Slow", errors=reasons(reason)), NAME)
    assert isinstance(found, RateLimited)
    assert found.retry_after_s == 7


@pytest.mark.parametrize(
    ("message", "reason", "remedy"),
    [
        (
            "Earth Engine API has not been used in project 1 before or it is disabled.",
            "SERVICE_DISABLED",
            "gcloud services enable earthengine.googleapis.com",
        ),
        (
            "Caller does not have required permission to use project x.",
            "USER_PROJECT_DENIED",
            "roles/serviceusage.serviceUsageConsumer",
        ),
        ("This API method requires billing.", "BILLING_DISABLED", "Enable billing"),
        ("Project 'x' is not registered to use Earth Engine.", "", "/register"),
        ("Request had insufficient authentication scopes.", "", "--scopes="),
        ("Permission 'earthengine.assets.get' denied.", "", "roles/earthengine.viewer"),
    ],
)
def test_a_403_hides_the_asset_from_clients_and_tells_the_operator_what_to_do(
    message: str, reason: str, remedy: str
) -> None:
    found = error(403, message, details=reasons(reason))
    assert isinstance(found, AssetRefused)
    assert str(found) == str(AssetNotFound(NAME))
    assert remedy in found.reason
    assert message in found.reason


def test_the_wait_that_earth_engine_asks_for_comes_along() -> None:
    for status in (429, 503):
        found = error_of(status, {"retry-after": "2"}, google("Later"), NAME)
        assert isinstance(found, RateLimited | TransientError)
        assert found.retry_after_s == 2


@pytest.mark.parametrize("value", ["", "soon", "-5", "1.5", "+3", "1e3", "9" * 30, "Mon, 99", "٣"])
def test_a_wait_that_makes_no_sense_is_ignored(value: str) -> None:
    assert retry_after_s({"retry-after": value}) is None


def test_a_wait_may_be_a_date() -> None:
    date = email.utils.formatdate(time.time() + 90, usegmt=True)
    assert retry_after_s({"retry-after": date}) == pytest.approx(90, abs=5)


def test_a_date_that_has_passed_is_no_wait() -> None:
    assert retry_after_s({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0


def test_a_date_is_read_by_the_clock_of_the_one_who_sent_it() -> None:
    headers = {
        "retry-after": "Wed, 21 Oct 2015 07:28:30 GMT",
        "date": "Wed, 21 Oct 2015 07:28:00 GMT",
    }
    assert retry_after_s(headers) == 30


def test_clients_do_not_see_projects_and_accounts() -> None:
    shown = str(error(429, f"{PER_MINUTE} me@my-project.iam.gserviceaccount.com"))
    assert "123456789" not in shown
    assert "gserviceaccount" not in shown
    assert "per minute per user" in shown


SECRETS = (
    "ya29.a0AfH6SMBx-_y",
    "Bearer abc.def",
    "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJ4In0.c2ln",  # pragma: allowlist secret
    "1//0gRefreshToken-x_y",
    "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----",  # pragma: allowlist secret
    "QUJD" * 20,
)


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500])
def test_no_error_repeats_a_secret(status: int, secret: str) -> None:
    found = error(status, f"Refused: {secret} is what came.")
    said = f"{found} {found!r} {getattr(found, 'reason', '')}"
    assert not any(part in said for part in secret.split() if part not in ("Bearer", "PRIVATE"))


@given(st.text(max_size=3000))
def test_a_foreign_text_becomes_one_short_printable_line(text: str) -> None:
    for line in (without_secrets(text), for_clients(text)):
        assert len(line) <= 600
        assert line.isprintable()


@given(
    st.integers(100, 599),
    st.one_of(st.binary(max_size=200), st.text(max_size=200).map(google)),
    st.text(max_size=30),
)
def test_any_answer_at_all_is_one_of_our_errors(status: int, body: bytes, wait: str) -> None:
    assert isinstance(error_of(status, {"retry-after": wait}, body, NAME), TileserverError)
