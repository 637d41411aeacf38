r"""Translates Java's regular expressions, which Earth Engine uses, to RE2's syntax.

RE2 matches in linear time and bounded memory, and so has no look-around, back-references,
recursion, atomic groups or possessive repetition. Constructs that are only spelt differently are
translated; those with another meaning in RE2, or without support there, are refused with a reason:
https://docs.oracle.com/javase/8/docs/api/java/util/regex/Pattern.html and
https://github.com/google/re2/wiki/Syntax.

As in Java, `\w`, `\d`, `\s`, `\b` and `\p{Alpha}` know ASCII alone. `$` is the very end of the
text, where Java would also stop before a last line break.
"""

from __future__ import annotations

import re

MAX_COUNT = 1000
"""Of a repetition, RE2's own limit: https://github.com/google/re2/blob/main/re2/parse.cc."""
_TOKEN = re.compile(
    r"""(?P<quoted>\\Q.*?(?:\\E|\Z))
      | \\(?P<property>[pP](?:\{[^}]*\}|.))
      | \\u(?P<unicode>[0-9A-Fa-f]{4})
      | \\c(?P<control>[@-_])
      | \\(?P<escape>.)
      | (?P<posix>\[:\^?[a-z]+:\])
      | (?P<opening>\[\^?\]?)
      | (?P<group>\(\?(?:<[=!]|P?<|P[=>]|[=!>&]|[A-Za-z0-9+#-]*[:)]?))
      | \{(?P<count>[0-9]*(?:,[0-9]*)?)\}
      | (?P<other>&&|.)
    """,
    re.DOTALL | re.VERBOSE,
)
_BLANK = r"\t \x{a0}\x{1680}\x{180e}\x{2000}-\x{200a}\x{202f}\x{205f}\x{3000}"
_LINE_BREAK = r"\n\x{b}\f\r\x{85}\x{2028}\x{2029}"
_SETS = {"h": _BLANK, "v": _LINE_BREAK}
_SPELT = {"e": r"\x{1b}", "Z": r"\z", "R": rf"(?:\r\n|[{_LINE_BREAK}])"}
_POSIX = {
    *("lower", "upper", "ascii", "alpha", "digit", "alnum", "punct"),
    *("graph", "print", "blank", "cntrl", "xdigit", "space"),
}
_UNKNOWN_ESCAPES = {
    "C": r"\C, half a character, is unknown",
    "G": r"\G, the end of the match before, is not supported",
    "N": r"characters by name, \N, are not supported",
    "X": r"\X, several characters seen as one, is not supported",
    "k": r"back-references such as \k<name> are not supported",
} | {str(n): rf"back-references such as \{n} are not supported" for n in range(1, 10)}
_GROUPS = {
    "(?=": "look-ahead",
    "(?!": "look-ahead",
    "(?<=": "look-behind",
    "(?<!": "look-behind",
    "(?>": "an atomic group",
    "(?P=": "a back-reference",
    "(?P>": "recursion",
    "(?&": "recursion",
}
_FLAGS = re.compile(r"\(\?(?:[ims]*(?:-[ims]+)?[:)]|P?<)")


class Unsupported(ValueError):
    """A pattern is wrong, or uses an unsupported construct; says which."""


def translated(text: str) -> str:
    r"""Return a Java pattern in RE2's syntax; RE2 may still refuse it.

    Raises:
        Unsupported: RE2 has no such construct, or gives it another meaning.

    >>> translated(r"(?<year>\d+)\p{Alpha}{,3}\u00e9")
    '(?<year>\\d+)[[:alpha:]]{0,3}\\x{e9}'
    """
    if not text.isascii():
        _check_characters(text)
    written, in_class = [], False
    for token in _TOKEN.finditer(text):
        kind, found = str(token.lastgroup), token[token.lastgroup or 0]
        if kind == "opening":
            if in_class:
                raise Unsupported(r"a class within a class is not supported; a bracket is \[")
            in_class = True
        elif in_class and found == "]" and kind == "other":
            in_class = False
        written.append(_written(kind, found, token[0], in_class))
    return "".join(written)


def _check_characters(text: str) -> None:
    if any(0xD800 <= ord(each) < 0xE000 for each in text):
        raise Unsupported("half of a surrogate pair is no character")


def _written(kind: str, found: str, text: str, in_class: bool) -> str:
    match kind:
        case "quoted":
            return "".join(map(_literal, text[2:].removesuffix(r"\E")))
        case "property":
            return _property(found, text, in_class)
        case "unicode":
            return _character(int(found, 16))
        case "control":
            return _character(ord(found) ^ 64)
        case "escape":
            return _escape(found, text, in_class)
        case "posix" if not in_class:
            raise Unsupported(f"{text} belongs into a class, [{text}]")
        case "group" if not in_class:
            return _group(found)
        case "count" if not in_class:
            return _count(found, text)
        case "other" if in_class and found == "&&":
            raise Unsupported("intersections of classes, &&, are not supported")
    return text


def _literal(character: str) -> str:
    return character if character.isalnum() else _character(ord(character))


def _character(code: int) -> str:
    _check_characters(chr(code))
    return rf"\x{{{code:x}}}"


def _property(found: str, text: str, in_class: bool) -> str:
    r"""Return `[[:alpha:]]` for `\p{Alpha}`, RE2's own name for one of Unicode."""
    name = found[1:].strip("{}")
    if name.lower() in _POSIX and len(name) > 1:
        inner = f"[:{'^' if found[0] == 'P' else ''}{name.lower()}:]"
        return inner if in_class else f"[{inner}]"
    return rf"\{found[0]}{{{name.removeprefix('Is')}}}" if name.startswith("Is") else text


def _escape(found: str, text: str, in_class: bool) -> str:
    if found in _UNKNOWN_ESCAPES:
        raise Unsupported(_UNKNOWN_ESCAPES[found])
    if found.lower() in _SETS:
        if in_class and found.isupper():
            raise Unsupported(rf"\{found} within a class is not supported")
        inner = _SETS[found.lower()]
        return inner if in_class else f"[{'^' if found.isupper() else ''}{inner}]"
    if found in _SPELT and not (in_class and found != "e"):
        return _SPELT[found]
    # RE2 knows no escapes of other letters than ASCII's; they stand for themselves.
    return text if found.isascii() else found


def _group(found: str) -> str:
    if found in _GROUPS:
        raise Unsupported(f"{_GROUPS[found]}, {found}…), is not supported")
    if found[2:3].isdigit() or found[2:3] in ("R", "+"):
        raise Unsupported(f"recursion, {found[:20]}, is not supported")
    if not _FLAGS.fullmatch(found):
        raise Unsupported(f"of flags there are i, m and s, got {found[:20]}")
    return found


def _count(found: str, text: str) -> str:
    least, comma, most = found.partition(",")
    if not least and not most:
        return text
    for each in (least, most):
        if len(each) > 4 or int(each or 0) > MAX_COUNT:
            raise Unsupported(f"a part may be repeated {MAX_COUNT} times at most")
    return f"{{{least or 0}{comma}{most}}}"
