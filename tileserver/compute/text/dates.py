"""Dates written and read after patterns in the letters of Joda-Time: `YYYY-MM-dd HH:mm`."""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from datetime import datetime, tzinfo

from tileserver.compute.text.zone_names import offset_text, zone_name
from tileserver.compute.values.date import zone_of
from tileserver.errors import InvalidRequest, shown

ISO = "YYYY-MM-dd'T'HH:mm:ss"
_MAX_PATTERN = 200
_LETTERS = "GCYxwEeyDMdaKhHkmsSzZ"


def parts_of(pattern: str) -> Iterator[tuple[str, str]]:
    """Yield ("", text) and (letter, its repeats) of a pattern; quoted letters are text.

    Raises:
        InvalidRequest: it is too long, a quote is left open, or a letter is unknown.
    """
    if len(pattern) > _MAX_PATTERN:
        raise InvalidRequest(f"The pattern {shown(pattern)} is longer than {_MAX_PATTERN}.")
    place = 0
    while place < len(pattern):
        char = pattern[place]
        if char == "'":
            text, place = _quoted(pattern, place + 1)
            yield "", text
        elif char.isascii() and char.isalpha():
            count = len(pattern[place:]) - len(pattern[place:].lstrip(char))
            if char not in _LETTERS:
                raise InvalidRequest(f"Illegal pattern component: {char * count}")
            yield char, char * count
            place += count
        else:
            yield "", char
            place += 1


def _quoted(pattern: str, start: int) -> tuple[str, int]:
    """Return the text up to a closing quote and where it goes on; two quotes are one in it."""
    end = pattern.find("'", start)
    while pattern.startswith("''", end) and end > start:
        end = pattern.find("'", end + 2)
    if end < 0:
        raise InvalidRequest(f"The pattern {shown(pattern)} lacks a closing quote.")
    return pattern[start:end].replace("''", "'") or "'", end + 1


def written(moment: datetime, pattern: str) -> str:
    """Return a moment in a pattern; raises as `parts_of`."""
    return "".join(
        _field(moment, letter, len(text)) if letter else text for letter, text in parts_of(pattern)
    )


def _field(moment: datetime, letter: str, count: int) -> str:
    iso = moment.isocalendar()
    match letter:
        case "Y" | "y" | "x":
            year = iso.year if letter == "x" else moment.year
            return f"{year % 100:02d}" if count == 2 else str(year).zfill(count)
        case "M" if count >= 3:
            return (calendar.month_name if count > 3 else calendar.month_abbr)[moment.month]
        case "E":
            names = calendar.day_name if count > 3 else calendar.day_abbr
            return names[moment.weekday()]
        case "S":
            return f"{moment.microsecond // 1000:03d}".ljust(count, "0")[:count]
        case "a":
            return "AM" if moment.hour < 12 else "PM"
        case "G":
            return "AD"
        case "z":
            return zone_name(moment, count > 3)
        case "Z":
            return str(moment.tzinfo) if count > 2 else offset_text(moment, ":" * (count - 1))
    numbers = {
        "C": moment.year // 100,
        "w": iso.week,
        "e": iso.weekday,
        "D": moment.timetuple().tm_yday,
        "M": moment.month,
        "d": moment.day,
        "K": moment.hour % 12,
        "h": moment.hour % 12 or 12,
        "H": moment.hour,
        "k": moment.hour or 24,
        "m": moment.minute,
        "s": moment.second,
    }
    return str(numbers[letter]).zfill(count)


_READ = {"Y": "year", "y": "year", "M": "month", "d": "day", "H": "hour", "m": "minute"}
_READ |= {"s": "second", "S": "milli", "D": "day_of_year", "h": "half_hour", "K": "half_hour"}
_READ |= {"k": "hour"}


def read(text: str, pattern: str, zone: str | None) -> datetime:
    """Return the moment of a text in a pattern; missing fields are those of 1970-01-01T00:00.

    Raises:
        InvalidRequest: the text is not as the pattern says, or the pattern cannot be read with.
    """
    fields = {"year": 1970, "month": 1, "day": 1, "hour": 0, "minute": 0, "second": 0, "milli": 0}
    place, found_zone = 0, zone_of(zone)
    parts = list(parts_of(pattern))
    for i, (letter, form) in enumerate(parts):
        if not letter:
            place = _skipped(text, place, form, pattern)
            continue
        is_tight = i + 1 < len(parts) and parts[i + 1][0] != ""
        token = _token(text, place, letter, len(form) if is_tight else None, pattern)
        place += len(token)
        if letter in "zZ":
            found_zone = _zone(token)
        else:
            _take(fields, letter, form, token, pattern)
    if place != len(text):
        raise _malformed(text, place, pattern)
    return _moment(fields, found_zone, text, pattern)


def _skipped(text: str, place: int, form: str, pattern: str) -> int:
    if not text.startswith(form, place):
        raise _malformed(text, place, pattern)
    return place + len(form)


def _token(text: str, place: int, letter: str, width: int | None, pattern: str) -> str:
    """Return the characters of a field: digits, letters of a name, or a zone."""
    end = place
    limit = len(text) if width is None else min(len(text), place + max(width, 1))
    if letter in "zZ":
        limit = len(text)
    is_sign_next = letter in "YyzZ" and text[place : place + 1] in ("+", "-")
    end += is_sign_next
    while end < limit and (text[end].isalnum() or (letter in "zZ" and text[end] in ":/_")):
        if letter not in "zZaEG" and not text[end].isdigit() and letter != "M":
            break
        end += 1
    if end == place or end - place > 40:
        raise _malformed(text, place, pattern)
    return text[place:end]


def _take(fields: dict[str, int], letter: str, form: str, token: str, pattern: str) -> None:
    if letter == "a":
        fields["is_afternoon"] = token.upper().startswith("P")
    elif letter in "EG":
        pass  # The day of the week follows from the date.
    elif letter == "M" and not token.isdigit():
        names = [name.lower()[:3] for name in calendar.month_abbr]
        if token.lower()[:3] not in names[1:]:
            raise InvalidRequest(f"{shown(token)} is the name of no month.")
        fields["month"] = names.index(token.lower()[:3])
    elif letter not in _READ:
        raise InvalidRequest(f"A date cannot be read with '{letter}' in {shown(pattern)}.")
    elif letter == "S":
        fields["milli"] = int(token[:3].ljust(3, "0"))
    elif letter in "Yy" and len(form) == 2 and len(token) == 2:
        fields["year"] = int(token) + (2000 if int(token) < 70 else 1900)
    else:
        fields[_READ[letter]] = int(token)


def _zone(token: str) -> tzinfo:
    if token[0] in "+-":
        moment = datetime.fromisoformat(f"2000-01-01T00:00:00{token}")
        return moment.tzinfo or zone_of(None)
    return zone_of(token)


def _moment(fields: dict[str, int], zone: tzinfo, text: str, pattern: str) -> datetime:
    hour = fields["hour"]
    if "half_hour" in fields:
        hour = fields["half_hour"] % 12 + (12 if fields.get("is_afternoon") else 0)
    try:
        if "day_of_year" in fields:
            date = f"{fields['year']:04d}-{fields['day_of_year']:03d}"
            day = datetime.strptime(date, "%Y-%j")  # The zone comes below.
            fields |= {"month": day.month, "day": day.day}
        return datetime(
            fields["year"], fields["month"], fields["day"], hour % 24,
            fields["minute"], fields["second"], fields["milli"] * 1000, tzinfo=zone,
        )  # fmt: skip
    except (ValueError, OverflowError) as exc:
        raise _malformed(text, 0, pattern) from exc


def _malformed(text: str, place: int, pattern: str) -> InvalidRequest:
    return InvalidRequest(
        f"Invalid format: {shown(text)} is malformed at {shown(text[place:])}; "
        f"expected it as {shown(pattern)} says."
    )
