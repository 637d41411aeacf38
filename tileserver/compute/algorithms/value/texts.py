"""Strings. Places count from zero; those before the beginning count from the end."""

from __future__ import annotations

import json
import re
from typing import Any

from tileserver.compute.coercion import object_type
from tileserver.compute.context import MAX_LIST, MAX_TEXT, Context, check_length
from tileserver.compute.registry import algorithm
from tileserver.compute.text.numbers import formatted, number_text
from tileserver.compute.text.regex import Pattern
from tileserver.compute.values.equality import is_same
from tileserver.compute.values.to_json import Count, json_text, parsed_bytes, to_json
from tileserver.compute.values.truth import is_true
from tileserver.errors import InvalidRequest, shown

_REFERENCE = re.compile(r"\\(.)|\$(\d)|\$\{(\w+)\}", re.DOTALL)


def text_of(value: Any) -> str:
    """Return any value as text: numbers in their shortest form, other values as JSON."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return number_text(value)
        case None:
            return "null"
    return checked(json_text(value, (", ", ": "), ensure_ascii=True))


def checked(text: str) -> str:
    """Return a text; raise InvalidRequest if it is too long."""
    check_length(len(text), MAX_TEXT, "characters in a string")
    return text


@algorithm("String(input: Object) -> String")
def string(value: Any) -> str:
    """Return a value as a string."""
    return text_of(value)


@algorithm('Number.format(number: Number, pattern: String = "%s") -> String')
def format_number(number: float, pattern: str) -> str:
    """Return a number as a string, after a pattern of printf."""
    return formatted(number, pattern)


@algorithm("String.cat(string1: String, string2: String) -> String")
def cat(first: str, second: str) -> str:
    """Return two strings, one after the other."""
    return checked(first + second)


@algorithm("String.length(string: String) -> Integer")
def length(text: str) -> int:
    """Return the number of characters."""
    return len(text)


@algorithm("String.slice(string: String, start: Integer, end: Integer = null) -> String")
def slice_text(text: str, start: int, end: int | None) -> str:
    """Return the characters from one place to just before another."""
    return text[start:end]


@algorithm("String.index(target: String, pattern: String) -> Integer")
def index(text: str, part: str) -> int:
    """Return where a string first occurs in another, or -1."""
    return text.find(part)


@algorithm("String.rindex(target: String, pattern: String) -> Integer")
def rindex(text: str, part: str) -> int:
    """Return where a string last occurs in another, or -1."""
    return text.rfind(part)


@algorithm("String.toLowerCase(string: String) -> String")
def to_lower_case(text: str) -> str:
    """Return a string in lower case."""
    return text.lower()


@algorithm("String.toUpperCase(string: String) -> String")
def to_upper_case(text: str) -> str:
    """Return a string in upper case."""
    return text.upper()


@algorithm("String.trim(string: String) -> String")
def trim(text: str) -> str:
    """Return a string without blanks at its ends."""
    return text.strip()


@algorithm("String.compareTo(string1: String, string2: String) -> Integer")
def compare_to(first: str, second: str) -> int:
    """Return -1, 0 or 1 as a string comes before another, is the same, or comes after."""
    return (first > second) - (first < second)


@algorithm("String.equals(reference: String, target: Object) -> Boolean")
def equals(text: str, other: Any) -> bool:
    """Tell whether something is the same string."""
    return is_same(text, other)


def _pattern(text: str, flags: str, allowed: str) -> Pattern:
    if wrong := sorted(set(flags) - set(allowed)):
        raise InvalidRequest(f"Unknown flag {wrong[0]!r}; expected {' or '.join(allowed)}.")
    return Pattern(text, ignores_case="i" in flags)


@algorithm('String.match(input: String, regex: String, flags: String = "") -> List')
def match(text: str, pattern: str, flags: str) -> list[str]:
    """Return the first match of a pattern and its groups, or with flag g all matches."""
    compiled = _pattern(pattern, flags, "gi")
    found = compiled.find_all(text) if "g" in flags else compiled.search(text) or []
    check_length(len(found), MAX_LIST, "matches")
    return found


@algorithm(
    'String.replace(input: String, regex: String, replacement: String, flags: String = "")'
    " -> String"
)
def replace(text: str, pattern: str, replacement: str, flags: str) -> str:
    """Return a string with the first match of a pattern replaced, or with flag g all of them."""
    made = 0

    def count(new: str) -> str:
        nonlocal made
        made += len(new)
        check_length(made, 2 * MAX_TEXT, "characters in a string")
        return new

    def by(found: Any) -> str:
        return count(_REFERENCE.sub(lambda part: count(_referred(part, found)), replacement))

    return checked(_pattern(pattern, flags, "gi").replaced(text, by, "g" in flags))


def _referred(part: re.Match[str], found: Any) -> str:
    """Return the text for `$1`, `${name}` or an escaped character of a replacement."""
    escaped, number, name = part.groups()
    if escaped is not None:
        return escaped
    try:
        return found[int(number) if number is not None else name] or ""
    except IndexError:
        raise InvalidRequest(f"There is no group {shown(number or name)}.") from None


@algorithm('String.split(string: String, regex: String, flags: String = "") -> List')
def split(text: str, pattern: str, flags: str) -> list[str]:
    """Return the parts between the matches of a pattern; for an empty one each character."""
    if not pattern:
        check_length(len(text), MAX_LIST, "parts of a string")
    found = list(text) if not pattern else _pattern(pattern, flags, "i").split(text)
    check_length(len(found), MAX_LIST, "parts of a string")
    # As in Java: nothing at the end is no part.
    while pattern and len(found) > 1 and not found[-1]:
        found.pop()
    return found


@algorithm("String.decodeJSON(string: String) -> Object")
def decode_json(context: Context, text: str) -> Any:
    """Return the value of a string of JSON."""
    # Parsed, nested brackets need thirty times their length.
    context.count_bytes(parsed_bytes(text))
    try:
        return json.loads(checked(text), parse_constant=_no_constant)
    except (ValueError, RecursionError) as exc:
        raise InvalidRequest(f"Expected JSON, got {shown(text)}.") from exc


def _no_constant(name: str) -> Any:
    raise ValueError(name)


@algorithm("String.encodeJSON(object: Object) -> String")
def encode_json(value: Any) -> str:
    """Return a value as JSON."""
    return checked(json_text(value, (",", ":"), ensure_ascii=False))


algorithm("ObjectType(value: Object = null) -> String", "Return the name of a value's type.")(
    object_type
)


@algorithm("Describe(input: Object) -> Object")
def describe(context: Context, value: Any) -> Any:
    """Return the `getInfo` JSON of a value."""
    count = Count()
    found = to_json(value, 0, count)
    context.count_bytes(100 * count.values)
    return found


@algorithm("IsEqual(left: Object = null, right: Object = null) -> Boolean")
def is_equal(left: Any, right: Any) -> bool:
    """Tell whether two values are the same; an image is the same only as itself."""
    return is_same(left, right)


@algorithm(
    "If(condition: Object = null, trueCase: Object = null, falseCase: Object = null) -> Object"
)
def choose(condition: Any, if_true: Any, if_false: Any) -> Any:
    """Return one of two values; null, zero and empty values select the second.

    An expression evaluates the selected one alone (`graph`).
    """
    return if_true if is_true(condition) else if_false
