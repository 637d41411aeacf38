"""Filters of listAssets and listImages: a small language, read and applied to images.

    startTime >= "2020-06-02T00:00:00Z" AND endTime < "2021-01-01T00:00:00Z" AND
    intersects("{'type': 'Point', 'coordinates': [-122.99, 37.94]}") AND NOT (properties.CLOUD > 9)

That is https://google.aip.dev/160, where OR binds closer than AND. GDAL leaves out `properties.`
before a property. Decided here:

- an image without endTime ends when it starts; one without either lies in no time;
- a comparison with a property that an image has not is false, `!=` too, as for Earth Engine's
  metadata filters; NOT makes it true;
- `properties.X:*` is true for images that have X; for a list, `:` looks for a member;
- what differs in kind, a number and a word, is compared as text, and only = and != may be so.
"""

from __future__ import annotations

import json
import operator
import re
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, TypeAlias

from tileserver.contract.assets import ImageAsset
from tileserver.errors import InvalidRequest, shown

Test: TypeAlias = Callable[[ImageAsset], bool]
"""Whether an image is wanted."""

_MAX_DEPTH = 50
_MAX_LENGTH = 1_000_000
_FIELDS = frozenset({"startTime", "endTime", "updateTime", "name", "id", "type", "sizeBytes"})
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<operator><=|>=|!=|<>|==|[=<>:])
      | (?P<bracket>[()])
      | (?P<number>-?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.:-]))
      | (?P<word>(?:properties\.)?system:\w+|[^\W\d][\w./-]*|\d[\w.:+-]*|\*)
    )""",
    re.VERBOSE,
)
_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_EXPECTED = (
    'expected comparisons such as startTime >= "2020-06-02T00:00:00Z", properties.CLOUD < 9.5 or '
    "intersects(\"{'type': 'Point', 'coordinates': [1, 2]}\"), joined by AND, OR, NOT and brackets"
)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str

    @property
    def value(self) -> str | float | bool:
        """What a literal stands for."""
        if self.kind == "text":
            return re.sub(r"\\(.)", r"\1", self.text[1:-1])
        if self.kind == "number":
            return float(self.text)
        return {"true": True, "false": False}.get(self.text, self.text)


def parse_filter(text: str) -> Test:
    """Return the test that a filter describes; an empty one lets everything pass.

    Raises:
        InvalidRequest: it cannot be read; says where.
    """
    tokens = _tokens(text)
    if not tokens:
        return lambda asset: True
    parser = _Parser(tokens)
    test = parser.conjunction(0)
    if parser.rest:
        raise _wrong(parser.rest[0])
    return test


def with_prefixes(text: str) -> str:
    """Return a filter with `properties.` before each property, as Earth Engine's own v1 wants it.

    Raises:
        InvalidRequest: it cannot be read.

    >>> with_prefixes('(CLOUD < 9.5 AND startTime > "2020-01-01T00:00:00Z")')
    '( properties.CLOUD < 9.5 AND startTime > "2020-01-01T00:00:00Z" )'
    """
    parse_filter(text)
    tokens = _tokens(text)
    is_property = [
        token.kind == "word"
        and following.kind == "operator"
        and token.text not in _FIELDS
        and not token.text.startswith("properties.")
        for token, following in pairwise([*tokens, _Token("", "")])
    ]
    return " ".join(
        f"properties.{token.text}" if bare else token.text
        for token, bare in zip(tokens, is_property, strict=True)
    )


def time_filter(start: str | None, end: str | None) -> Test:
    """Return the test of an image's time that listImages makes of startTime and endTime.

    Raises:
        InvalidRequest: one is no time.
    """
    tests = [
        _compared(name, _COMPARISONS[sign], limit)
        for name, sign, limit in (("startTime", ">=", start), ("endTime", "<", end))
        if limit
    ]
    return lambda asset: all(test(asset) for test in tests)


def region_filter(text: str) -> Test:
    """Return the test whether an image meets a region: GeoJSON, in any quotes.

    Raises:
        InvalidRequest: it is no geometry.
    """
    # Late, as it imports shapely, which tiles do without.
    from tileserver.geo.outlines import Region, meets, read_region

    try:
        region: Region = read_region(json.loads(text.replace("'", '"')))
    except (ValueError, RecursionError):
        raise InvalidRequest(f"region: expected a GeoJSON geometry, got {shown(text)}.") from None
    return lambda asset: meets(asset, region)


def _tokens(text: str) -> list[_Token]:
    if len(text) > _MAX_LENGTH:
        raise InvalidRequest(f"Invalid filter: longer than {_MAX_LENGTH} characters.")
    found, place, text = [], 0, text.rstrip()
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None or match.lastgroup is None:
            raise _wrong(_Token("", text[place:].strip()))
        found.append(_Token(match.lastgroup, match[match.lastgroup]))
        place = match.end()
    return found


def _wrong(token: _Token | None) -> InvalidRequest:
    place = f"at {shown(token.text)}" if token else "at its end"
    return InvalidRequest(f"Invalid filter, {place}: {_EXPECTED}.")


class _Parser:
    """Takes the tokens one after the other."""

    def __init__(self, tokens: list[_Token]) -> None:
        self.rest = deque(tokens)

    def conjunction(self, depth: int) -> Test:
        """Read what AND joins."""
        if depth > _MAX_DEPTH:
            raise InvalidRequest(f"Invalid filter: brackets more than {_MAX_DEPTH} deep.")
        tests = [self._disjunction(depth)]
        while self._takes("word", "AND"):
            tests.append(self._disjunction(depth))
        return lambda asset: all(test(asset) for test in tests)

    def _disjunction(self, depth: int) -> Test:
        tests = [self._term(depth)]
        while self._takes("word", "OR"):
            tests.append(self._term(depth))
        return lambda asset: any(test(asset) for test in tests)

    def _term(self, depth: int) -> Test:
        negations = 0
        while self._takes("word", "NOT"):
            negations += 1
        if self._takes("bracket", "("):
            test = self.conjunction(depth + 1)
            self._need("bracket", ")")
        else:
            test = self._comparison()
        return (lambda asset: not test(asset)) if negations % 2 else test

    def _comparison(self) -> Test:
        name = self._need("word", None, "text")
        if name.text == "intersects":
            self._need("bracket", "(")
            region = self._need("text")
            self._need("bracket", ")")
            return region_filter(str(region.value))
        sign = self._need("operator").text
        literal = self._need("word", None, "text", "number").value
        if sign == ":":
            return _having(str(name.value), literal)
        return _compared(str(name.value), _COMPARISONS[sign], literal)

    def _takes(self, kind: str, text: str) -> bool:
        if self.rest and (self.rest[0].kind, self.rest[0].text.upper()) == (kind, text):
            self.rest.popleft()
            return True
        return False

    def _need(self, kind: str, text: str | None = None, *more: str) -> _Token:
        if not self.rest or self.rest[0].kind not in (kind, *more):
            raise _wrong(self.rest[0] if self.rest else None)
        first = self.rest.popleft()
        if text is not None and first.text != text:
            raise _wrong(first)
        return first


def _compared(name: str, compare: Callable[[Any, Any], bool], literal: Any) -> Test:
    if name in ("startTime", "endTime", "updateTime"):
        limit = _time(literal, name)
        return lambda asset: (found := _time_of(asset, name)) is not None and compare(found, limit)
    return lambda asset: (
        (found := _value_of(asset, name)) is not None and _holds(compare, found, literal)
    )


def _holds(compare: Callable[[Any, Any], bool], found: Any, literal: Any) -> bool:
    if _is_number(found):
        try:
            return compare(found, float(literal))
        except ValueError:
            pass
    elif type(found) is type(literal):
        return compare(found, literal)
    return compare in (operator.eq, operator.ne) and compare(_text(found), _text(literal))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _having(name: str, literal: Any) -> Test:
    def has(asset: ImageAsset) -> bool:
        found = _value_of(asset, name)
        if found is None or literal == "*":
            return found is not None
        members = found if isinstance(found, list) else [found]
        return any(_holds(operator.eq, each, literal) for each in members)

    return has


def _value_of(asset: ImageAsset, name: str) -> Any:
    """Return a field or property of an image, None if it has none."""
    short = name.removeprefix("properties.")
    if short in asset.properties:
        return asset.properties[short]
    match short:
        case "name" | "id":
            return asset.to_json()[short]
        case "type":
            return "IMAGE"
        case "sizeBytes" | "system:asset_size":
            return asset.size_bytes
        case "system:index":
            return asset.name.rpartition("/")[2]
        case "system:time_start" | "system:time_end":
            found = _time_of(asset, "startTime" if short.endswith("start") else "endTime")
            return None if found is None else found.timestamp() * 1000
    return None


def _time_of(asset: ImageAsset, name: str) -> datetime | None:
    times = {
        "startTime": asset.start_time,
        "endTime": asset.end_time or asset.start_time,
        "updateTime": asset.update_time,
    }
    try:
        return _time(times[name], name) if times[name] else None
    except InvalidRequest:
        return None


def _time(value: object, name: str) -> datetime:
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        raise InvalidRequest(
            f'{name}: expected a time such as "2020-06-02T00:00:00Z", got {shown(value)}.'
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
