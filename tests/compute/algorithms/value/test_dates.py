"""Dates are those of Python's datetime, told in Earth Engine's forms."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.compute.conftest import SCENE, Evaluator
from tileserver.errors import InvalidRequest

MOMENT = datetime(2020, 4, 1, 18, 49, 19, 24000, tzinfo=UTC)
TEXT = "2020-04-01T18:49:19.024"
DENVER = "America/Denver"


def millis(moment: datetime) -> int:
    return round((moment - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(milliseconds=1))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2020", datetime(2020, 1, 1, tzinfo=UTC)),
        ("2020-04", datetime(2020, 4, 1, tzinfo=UTC)),
        ("2020-04-01", datetime(2020, 4, 1, tzinfo=UTC)),
        (TEXT, MOMENT),
        (TEXT + "Z", MOMENT),
    ],
)
def test_a_date_is_told_in_milliseconds(
    ee: ModuleType, evaluator: Evaluator, text: str, expected: datetime
) -> None:
    assert evaluator.value(ee.Date(text)) == {"type": "Date", "value": millis(expected)}


def test_a_date_is_read_in_a_time_zone(ee: ModuleType, evaluator: Evaluator) -> None:
    expected = datetime(2020, 4, 1, tzinfo=ZoneInfo(DENVER))
    assert evaluator.value(ee.Date("2020-04-01", DENVER))["value"] == millis(expected)
    assert evaluator.value(ee.Date.fromYMD(2020, 4, 1, DENVER))["value"] == millis(expected)


def test_an_image_has_the_date_it_began(ee: ModuleType, evaluator: Evaluator) -> None:
    found = evaluator.value(ee.Image(SCENE).date().format("YYYY-MM-dd HH:mm:ss"))
    assert found == "2020-06-01 18:49:19"


def test_an_image_without_a_time_has_no_date(ee: ModuleType, evaluator: Evaluator) -> None:
    with pytest.raises(InvalidRequest, match=r"Image.date: .*system:time_start"):
        evaluator.value(ee.Image(1).date())


@pytest.mark.parametrize(
    ("delta", "unit", "expected"),
    [
        (1, "day", MOMENT + timedelta(days=1)),
        (-2, "week", MOMENT - timedelta(weeks=2)),
        (0.5, "day", MOMENT + timedelta(hours=12)),
        (90, "minutes", MOMENT + timedelta(minutes=90)),
        (1.5, "second", MOMENT + timedelta(seconds=1.5)),
        (10, "month", MOMENT.replace(year=2021, month=2)),
        (-0.5, "month", MOMENT - timedelta(days=15.5)),
        (-1, "year", MOMENT.replace(year=2019)),
    ],
)
def test_a_date_is_advanced(
    ee: ModuleType, evaluator: Evaluator, delta: float, unit: str, expected: datetime
) -> None:
    assert evaluator.value(ee.Date(TEXT).advance(delta, unit))["value"] == millis(expected)


def test_the_last_of_a_month_stays_in_the_month_it_comes_to(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    found = ee.Date("2020-01-31").advance(1, "month").format("YYYY-MM-dd")
    assert evaluator.value(found) == "2020-02-29"


def test_a_day_over_the_change_of_clocks_ends_at_the_same_hour(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    found = ee.Date("2020-03-07T12:00", DENVER).advance(1, "day", DENVER)
    assert evaluator.value(found.format("HH", DENVER)) == "12"
    hours = evaluator.value(found.difference(ee.Date("2020-03-07T12:00", DENVER), "hour"))
    assert hours == 23


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (None, "2020-04-01T18:49:19"),
        ("YYYY_MM_dd", "2020_04_01"),
        ("yy M d", "20 4 1"),
        ("EEE, d MMM yyyy", "Wed, 1 Apr 2020"),
        ("EEEE MMMM", "Wednesday April"),
        ("D DDD", "92 092"),
        ("h:mm a", "6:49 PM"),
        ("KK kk HH", "06 18 18"),
        ("ss.SSS", "19.024"),
        ("xxxx-'W'ww-e", "2020-W14-3"),
        ("'at' HH 'o''clock'", "at 18 o'clock"),
        ("Z ZZ", "+0000 +00:00"),
        ("C G", "20 AD"),
    ],
)
def test_a_date_is_written_after_a_pattern(
    ee: ModuleType, evaluator: Evaluator, pattern: str | None, expected: str
) -> None:
    assert evaluator.value(ee.Date(TEXT).format(pattern)) == expected


def test_a_date_is_written_in_a_time_zone(ee: ModuleType, evaluator: Evaluator) -> None:
    found = evaluator.value(ee.Date(TEXT).format("HH:mm z Z", DENVER))
    assert found == "12:49 MDT -0600"


@pytest.mark.parametrize(
    ("zone", "name"),
    [
        (None, "Coordinated Universal Time"),  # apidocs/ee-date-format, as the next
        ("PST8PDT", "Pacific Daylight Time"),
        ("America/Phoenix", "Mountain Standard Time"),  # Java's, as all others
        ("Europe/Berlin", "Central European Summer Time"),
        ("Europe/London", "British Summer Time"),
        ("Asia/Kolkata", "India Standard Time"),
        ("Asia/Shanghai", "China Standard Time"),
        ("Asia/Tokyo", "Japan Standard Time"),
        ("Australia/Brisbane", "Australian Eastern Standard Time"),
        ("America/Havana", "Cuba Daylight Time"),
        ("Etc/GMT+8", "-08:00"),
    ],
)
def test_a_time_zone_is_named_in_full(
    ee: ModuleType, evaluator: Evaluator, zone: str | None, name: str
) -> None:
    assert evaluator.value(ee.Date(TEXT).format("zzzz", zone)) == name


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("YYYY-MM-dd", "2020-04-01", "2020-04-01T00:00:00"),
        ("yyyyMMdd'T'HHmmss", "20200401T184919", "2020-04-01T18:49:19"),
        ("d MMM yyyy", "1 Apr 2020", "2020-04-01T00:00:00"),
        ("yyyy-DDD", "2020-092", "2020-04-01T00:00:00"),
        ("yyyy-MM-dd h:mm a", "2020-04-01 6:49 PM", "2020-04-01T18:49:00"),
        ("yyyy-MM-dd HH:mm Z", "2020-04-01 12:49 -06:00", "2020-04-01T18:49:00"),
    ],
)
def test_a_date_is_read_after_a_pattern(
    ee: ModuleType, evaluator: Evaluator, pattern: str, text: str, expected: str
) -> None:
    assert evaluator.value(ee.Date.parse(pattern, text).format()) == expected


@pytest.mark.parametrize(
    ("unit", "expected"),
    [("year", 2020), ("month", 4), ("week", 14), ("day", 1), ("hour", 18), ("second", 19)],
)
def test_a_unit_of_a_date_is_told(
    ee: ModuleType, evaluator: Evaluator, unit: str, expected: int
) -> None:
    assert evaluator.value(ee.Date(TEXT).get(unit)) == expected


@pytest.mark.parametrize(
    ("unit", "within", "expected"),
    [
        ("day", "year", 91),
        ("day", "month", 0),
        ("day", "week", 2),
        ("month", "year", 3),
        ("hour", "day", 18),
        ("minute", "day", 18 * 60 + 49),
        # The reference page: 0 where the first unit is not the smaller one.
        ("year", "month", 0),
        ("year", "year", 0),
    ],
)
def test_units_since_a_larger_one_began_are_counted_from_zero(
    ee: ModuleType, evaluator: Evaluator, unit: str, within: str, expected: int
) -> None:
    assert evaluator.value(ee.Date(TEXT).getRelative(unit, within)) == expected


@pytest.mark.parametrize(
    ("unit", "start", "end"),
    [
        ("year", (2020, 1, 1), (2021, 1, 1)),
        ("month", (2020, 4, 1), (2020, 5, 1)),
        ("week", (2020, 3, 30), (2020, 4, 6)),
        ("day", (2020, 4, 1), (2020, 4, 2)),
    ],
)
def test_a_date_lies_in_the_range_of_its_unit(
    ee: ModuleType,
    evaluator: Evaluator,
    unit: str,
    start: tuple[int, int, int],
    end: tuple[int, int, int],
) -> None:
    begin, over = (millis(datetime(*day, tzinfo=UTC)) for day in (start, end))
    found = ee.Date(TEXT).getRange(unit)
    assert evaluator.value(found) == {"type": "DateRange", "dates": [begin, over]}
    share = (millis(MOMENT) - begin) / (over - begin)
    assert evaluator.value(ee.Date(TEXT).getFraction(unit)) == pytest.approx(share)


def test_a_difference_counts_units_of_average_length(ee: ModuleType, evaluator: Evaluator) -> None:
    found = ee.Date("2021-01-01").difference(ee.Date("2020-01-01"), "year")
    assert evaluator.value(found) == pytest.approx(366 / 365.2425)
    assert evaluator.value(ee.Date.unitRatio("day", "minute")) == 1440


def test_parts_of_a_date_are_replaced(ee: ModuleType, evaluator: Evaluator) -> None:
    found = ee.Date(TEXT).update(year=2021, day=3, second=1.5).format("yyyy-MM-dd'T'HH:mm:ss.SSS")
    assert evaluator.value(found) == "2021-04-03T18:49:01.500"


def test_ranges_are_compared(ee: ModuleType, evaluator: Evaluator) -> None:
    spring = ee.DateRange("2020-03-01", "2020-06-01")
    may = ee.DateRange("2020-05-01", "2020-06-01")
    summer = ee.DateRange("2020-06-01", "2020-09-01")
    asked = {
        "in": spring.contains(may),
        "date in": spring.contains(ee.Date("2020-03-01")),
        "end in": spring.contains(ee.Date("2020-06-01")),
        "meet": spring.intersects(may),
        "touch": spring.intersects(summer),
        "empty": spring.intersection(summer).isEmpty(),
        "unbounded": spring.isUnbounded(),
        "all": ee.DateRange.unbounded().isUnbounded(),
        "together": may.union(summer).end().format("YYYY-MM-dd"),
        "common": spring.intersection(may).start().format("YYYY-MM-dd"),
    }
    assert evaluator.value(ee.Dictionary(asked)) == {
        "in": True,
        "date in": True,
        "end in": False,
        "meet": True,
        "touch": False,
        "empty": True,
        "unbounded": False,
        "all": True,
        "together": "2020-09-01",
        "common": "2020-05-01",
    }


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda ee: ee.Date("tomorrow"), "Invalid date"),
        (lambda ee: ee.Date(ee.Number(-1).sqrt()), "Expected a date"),
        (lambda ee: ee.Date("2020-04-01", "Mars/Olympus"), "Unknown time zone"),
        (lambda ee: ee.Date("2020-04-01", "../../etc/passwd"), "Unknown time zone"),
        (lambda ee: ee.Date(TEXT).advance(1, "fortnight"), "is none of year, month, week"),
        (lambda ee: ee.Date(TEXT).advance(1e9, "year"), "outside the years"),
        (lambda ee: ee.Date(TEXT).advance(1e300, "day"), "outside the years"),
        (lambda ee: ee.Date(1e300).format(), "outside the years 1 to 9999"),
        (lambda ee: ee.Date.fromYMD(2021, 2, 29), "There is no date of year 2021"),
        (lambda ee: ee.Date(TEXT).format("YYYY-bb"), "Illegal pattern component: bb"),
        (lambda ee: ee.Date(TEXT).format("'at"), "lacks a closing quote"),
        (lambda ee: ee.Date(TEXT).format("Y" * 1000), "longer than 200"),
        (lambda ee: ee.Date.parse("YYYY-MM-dd", "2020/04/01"), "is malformed at"),
        (lambda ee: ee.Date.parse("YYYY-MM-dd", "2020-02-31"), "is malformed at"),
    ],
)
def test_what_is_no_date_is_refused(
    ee: ModuleType, evaluator: Evaluator, make: Any, said: str
) -> None:
    with pytest.raises(InvalidRequest, match=re.escape(said)):
        evaluator.value(make(ee))
