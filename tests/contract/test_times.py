"""Ranges of times from their texts; Python's datetime is the oracle."""

import math
from datetime import UTC, datetime

import pytest

from tileserver.contract.times import TimeRange, epoch_s, parse_time_range, time_text
from tileserver.errors import InvalidRequest


def at(*parts: int) -> float:
    return datetime(*parts, tzinfo=UTC).timestamp()  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2025-06-01/2025-07-01", at(2025, 6, 1), at(2025, 7, 1)),
        ("2025-06-01", at(2025, 6, 1), at(2025, 6, 2)),
        ("2024-02", at(2024, 2, 1), at(2024, 3, 1)),
        ("2024", at(2024, 1, 1), at(2025, 1, 1)),
        ("../2025-07-01", -math.inf, at(2025, 7, 1)),
        ("/2025-07-01", -math.inf, at(2025, 7, 1)),
        ("2025-06-01/..", at(2025, 6, 1), math.inf),
        ("2025-06-01/", at(2025, 6, 1), math.inf),
        ("2025-06-01T10:15:59Z", at(2025, 6, 1, 10, 15, 59), at(2025, 6, 1, 10, 16, 0)),
        ("2025-06-01T10:15", at(2025, 6, 1, 10, 15), at(2025, 6, 1, 10, 16)),
        ("2025-06-01T12:15:00+02:00/..", at(2025, 6, 1, 10, 15), math.inf),
        ("2025-06-01T08:45:00-01:30/..", at(2025, 6, 1, 10, 15), math.inf),
        (
            "2025-06-01t10:15:00z/2025-06-01T10:15:00.5Z",
            at(2025, 6, 1, 10, 15),
            at(2025, 6, 1, 10, 15) + 0.5,
        ),
    ],
)
def test_ranges(text: str, start: float, end: float) -> None:
    assert parse_time_range(text) == TimeRange(start, end)


@pytest.mark.parametrize(
    "text",
    ["", "..", "../..", "/", "June", "2025-13-01", "2025-02-30", "2025-6-1",
     "2025-07-01/2025-06-01",
     "2025-06-01/2025-06-01", "2025-06-01/2025-07-01/2025-08-01", "2025-06-01T25:00:00Z", "0000",
     "2025-06-01T10:00:00+99:00", "2025-06-01x", "٢٠٢٥", "9999-12-31T12:00:00-23:59", "9" * 5000],
)  # fmt: skip
def test_what_is_no_range_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^time: ") as refused:
        parse_time_range(text)
    assert len(str(refused.value)) < 400


def test_texts_come_back() -> None:
    assert time_text(epoch_s("2025-06-01T10:15:59Z")) == "2025-06-01T10:15:59.000000Z"
    assert time_text(math.nan) is None
    assert time_text(1e18) is None
    assert math.isnan(epoch_s(None))
