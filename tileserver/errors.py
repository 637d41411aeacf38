"""What can go wrong, as one tree that knows nothing of HTTP.

    TileserverError
    ├── InvalidRequest            can never succeed as asked
    │   ├── RequestTooLarge       more bytes, pixels or bands than Earth Engine allows
    │   └── InvalidName           a name no asset or layer can have
    ├── NotFound
    │   ├── AssetNotFound         no such asset, or none the caller may see
    │   └── TileOutOfRange        z, x or y outside the pyramid
    ├── AccessDenied              not from there, or not on this server
    │   └── KeyRequired           not without an API key
    ├── UnreadableRaster          the file behind an asset cannot be read
    │   └── RasterUnreachable     the server of a remote file fails; asking again may help
    ├── DeadlineExceeded          the answer would come too late
    ├── Overloaded                ask again later
    │   ├── RateLimited           Earth Engine says: too many requests
    │   ├── QuotaExhausted        Earth Engine says: not before tomorrow
    │   ├── StoreFull             no room for one more map, thumbnail or table
    │   ├── UpstreamDown          the breaker is open
    │   ├── AssetChanged          a file changed each time that it was read
    │   └── BeingWritten          a file is being written
    ├── UpstreamError             Earth Engine failed, or its answer is not what was asked for
    │   ├── TransientError        asking again may help
    │   ├── TooComplex            out of memory or time; a smaller request may help
    │   └── AuthenticationFailed  no credentials, or Earth Engine refuses them
    └── ConfigError               the configuration or the command line is wrong

Messages say what came and what would have been right. They are shown to clients, so they
name assets, never paths.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

_MAX_SHOWN = 80
_HUGE = 10**100


def shown(value: object) -> str:
    """Return a value that came as a message shows it: short, and on one line.

    >>> shown({"a": [1, None]})
    "{'a': [1, None]}"
    """
    return _brief(value, _MAX_SHOWN)[:_MAX_SHOWN].replace("\n", " ")


def _brief(value: object, room: int) -> str:
    """Return the beginning of a value's repr: no more of it is looked at than there is room for.

    What strangers build may share its parts, and then be longer than any memory; and what is no
    plain value may know of paths.
    """
    match value:
        case str() | bytes():
            return repr(value[: room + 1])
        case list() | tuple():
            left, right = "[]" if isinstance(value, list) else "()"
            end = f",{right}" if len(value) == 1 and right == ")" else right
            return left + _joined((("", each) for each in value), room) + end
        case Mapping():
            return "{" + _joined(((k, v) for k, v in value.items()), room, is_named=True) + "}"
        case int() if abs(value) >= _HUGE:
            return "a huge int"
        case None | bool() | int() | float() | set() | frozenset() | type():
            return repr(value)
    name = type(value).__name__
    return f"an {name}" if name[0] in "AEIO" else f"a {name}"


def _joined(members: Iterable[tuple[object, object]], room: int, is_named: bool = False) -> str:
    text = ""
    for name, value in members:
        if len(text) > room:
            break
        key = f"{_brief(name, room)}: " if is_named else ""
        # One less each time, so that what is nested ends too.
        more = key + _brief(value, room - len(text) - len(key) - 1) if room > 0 else "…"
        text += f", {more}" if text else more
    return text


class TileserverError(Exception):
    """Anything this package raises on purpose."""


class InvalidRequest(TileserverError):
    """The request can never succeed as asked."""


class RequestTooLarge(InvalidRequest):
    """The request asks for more bytes, pixels or bands than Earth Engine allows."""


class InvalidName(InvalidRequest):
    """The name is not one an asset or a layer can have."""


class NotFound(TileserverError):
    """What was asked for does not exist."""


class AssetNotFound(NotFound):
    """No such asset, or none the caller may see; the two are not told apart."""

    def __init__(self, name: str, hint: str = "") -> None:
        super().__init__(f"Asset {name!r} not found{hint and '; '}{hint}.")


class TileOutOfRange(NotFound):
    """The tile's z, x or y lies outside the pyramid."""


class AccessDenied(TileserverError):
    """The request is refused because of where it comes from or how the server is set up."""


class KeyRequired(AccessDenied):
    """The request carries no API key, or none that is known."""


class UnreadableRaster(TileserverError):
    """The file behind an asset cannot be read."""


class RasterUnreachable(UnreadableRaster):
    """The server of a remote file fails; asking again may help."""


class DeadlineExceeded(TileserverError):
    """The answer would come too late to be of use."""


class Overloaded(TileserverError):
    """Too much is asked at once; ask again after `retry_after_s`."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RateLimited(Overloaded):
    """Earth Engine answered 429: the rate or the number of requests at once is too high."""


class QuotaExhausted(Overloaded):
    """Earth Engine answered that a daily or monthly quota is used up."""


class StoreFull(Overloaded):
    """There is no room to keep one more map, thumbnail or table; those there are stay."""


class UpstreamDown(Overloaded):
    """Earth Engine failed too often of late; it is not asked for a while."""


class AssetChanged(Overloaded):
    """The file behind an asset changed while it was read, or since its version was told."""

    def __init__(self, name: str | None = None) -> None:
        """`name` is the asset's; None is one that an expression reads."""
        what = "An asset of the expression" if name is None else f"Asset {name!r}"
        super().__init__(f"{what} changed while it was read; ask again.", retry_after_s=1.0)


class BeingWritten(Overloaded):
    """The file behind an asset is being written."""

    def __init__(self, name: str) -> None:
        """`name` is the asset's."""
        super().__init__(
            f"{name}: its file is being written; it is shown once that is done.", retry_after_s=2.0
        )


class UpstreamError(TileserverError):
    """Earth Engine failed, or its answer is not what was asked for."""


class TransientError(UpstreamError):
    """Earth Engine failed in a way that may pass; asking again may help."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class TooComplex(UpstreamError):
    """Earth Engine ran out of memory or time; a request for fewer pixels may succeed."""


class AuthenticationFailed(UpstreamError):
    """There are no credentials, or Earth Engine does not accept them."""


class ConfigError(TileserverError):
    """The configuration or the command line is wrong."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name most like this one, for "did you mean", or None if none is like it."""
    return next(iter(difflib.get_close_matches(name[:_MAX_SHOWN], list(known), n=1)), None)
