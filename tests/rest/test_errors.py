import json

import pytest

from tileserver import errors
from tileserver.rest.errors import answer_error, error_body

KINDS = [
    (errors.InvalidRequest("no"), 400, "INVALID_ARGUMENT"),
    (errors.RequestTooLarge("no"), 400, "INVALID_ARGUMENT"),
    (errors.AssetNotFound("x"), 404, "NOT_FOUND"),
    (errors.TileOutOfRange("no"), 404, "NOT_FOUND"),
    (errors.UnreadableRaster("no"), 400, "FAILED_PRECONDITION"),
    (errors.RasterUnreachable("no"), 502, "UNAVAILABLE"),
    (errors.DeadlineExceeded("no"), 400, "INVALID_ARGUMENT"),
    (errors.TooComplex("no"), 400, "INVALID_ARGUMENT"),
    (errors.RateLimited("no", 3), 429, "RESOURCE_EXHAUSTED"),
    (errors.QuotaExhausted("no"), 429, "RESOURCE_EXHAUSTED"),
    (errors.UpstreamDown("no", 2.5), 503, "UNAVAILABLE"),
    (errors.AuthenticationFailed("no"), 403, "PERMISSION_DENIED"),
    (errors.TransientError("no"), 502, "UNAVAILABLE"),
    (errors.ConfigError("no"), 500, "INTERNAL"),
]


@pytest.mark.parametrize(("exc", "code", "status"), KINDS)
def test_every_error_has_the_shape_that_clients_read(
    exc: errors.TileserverError, code: int, status: str
) -> None:
    answer = answer_error(exc)
    assert answer.status_code == code
    error = json.loads(bytes(answer.body))["error"]
    assert (error["code"], error["status"]) == (code, status)
    assert str(exc) in error["message"]
    assert answer.headers["cache-control"] == "no-store"


def test_no_error_of_the_tree_is_a_401_and_what_may_pass_says_when() -> None:
    assert all(code != 401 for _, code, _ in KINDS)
    assert answer_error(errors.UpstreamDown("no", 2.5)).headers["retry-after"] == "3"
    assert answer_error(errors.RateLimited("no")).headers["retry-after"] == "1"


def test_what_takes_too_long_is_told_in_earth_engine_s_words() -> None:
    answer = answer_error(errors.DeadlineExceeded("x: no pixels within 25 s."))
    message = json.loads(bytes(answer.body))["error"]["message"]
    assert message.startswith("Computation timed out. ")


def test_an_unknown_member_is_told_twice_as_earth_engine_does() -> None:
    said = "Invalid JSON payload received. Unknown name \"origin\" at 'grid': Cannot find field."
    error = error_body(400, "INVALID_ARGUMENT", f"{said} Known here: dimensions.")["error"]
    assert error["details"] == [
        {
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{"field": "grid", "description": said}],
        }
    ]
