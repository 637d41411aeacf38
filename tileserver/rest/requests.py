"""Bodies and queries of requests, read within limits of size, time and memory.

Clients send JSON without a Content-Type, or a long query as the body of a POST that stands for a
GET, so the headers decide little.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request

from tileserver.errors import InvalidRequest, Overloaded, RequestTooLarge, shown
from tileserver.http.disconnects import ClientGone

MAX_BYTES = 10_485_760
"""https://developers.google.com/earth-engine/guides/usage."""
_MAX_DRAINED = 10 * MAX_BYTES
_MAX_TOTAL_BYTES = 64_000_000
"""Memory for all bodies of a worker."""
_SHORT_BYTES = 16_384
_STALLED_S = 5.0
_LEAST_BYTES_PER_S = 16_000
"""After `_STALLED_S`; a stalled body holds memory that others could use."""
_MAX_DEPTH = 400
"""Of nested arrays and objects; the official client starts a named node after 50 levels."""
_MAX_CONTAINERS = 600_000
_MAX_PARAMETERS = 1000
_NOT_JSON = "Invalid JSON payload received."


class Bodies:
    """Bounds the memory of the bodies of all requests in progress."""

    def __init__(self, max_bytes: int = _MAX_TOTAL_BYTES) -> None:
        self.max_bytes = max_bytes
        self.held_bytes = 0
        self.by_client: Counter[str] = Counter()

    @contextmanager
    def room(self, client: str) -> Iterator[Room]:
        """Yield the memory account of one request, and free its memory at the end."""
        room = Room(self, client)
        try:
            yield room
        finally:
            self.held_bytes -= room.held_bytes
            self.by_client[client] -= room.held_bytes
            if not self.by_client[client]:
                del self.by_client[client]


class Room:
    """The memory account of one request's body."""

    def __init__(self, bodies: Bodies, client: str) -> None:
        self.bodies = bodies
        self.client = client
        self.held_bytes = 0

    def take(self, size: int) -> None:
        """Account for a part of a body.

        One client may take as much as is free: see `concurrency`.

        Raises:
            Overloaded: there is no more.
        """
        bodies = self.bodies
        own_bytes = bodies.by_client[self.client] + size
        if own_bytes > bodies.max_bytes - bodies.held_bytes:
            raise Overloaded(
                f"The requests under way hold {bodies.held_bytes} bytes of bodies, "
                f"at most {bodies.max_bytes} are allowed, half of them for one client."
            )
        self.held_bytes += size
        bodies.held_bytes += size
        bodies.by_client[self.client] = own_bytes


async def read_body(request: Request, room: Room) -> bytes:
    """Return the body.

    Raises:
        RequestTooLarge: it has more than `MAX_BYTES`, of which no more than that was kept.
        InvalidRequest: it comes too slowly.
        Overloaded: too many bodies are held already.
        ClientGone: the client has hung up.
    """
    chunks, size = [], 0
    stream, began_s = request.stream(), time.monotonic()
    while True:
        try:
            async with asyncio.timeout(_STALLED_S):
                chunk = await anext(stream, None)
        except TimeoutError:
            raise _too_slow() from None
        except ClientDisconnect:
            raise ClientGone from None
        if chunk is None:
            break
        size += len(chunk)
        if size < _LEAST_BYTES_PER_S * (time.monotonic() - began_s - _STALLED_S):
            raise _too_slow()
        if size <= MAX_BYTES:
            # A short body is read even when the memory for bodies is used up.
            if size > _SHORT_BYTES:
                room.take(size - room.held_bytes)
            chunks.append(chunk)
        elif chunks:
            chunks = []
        # Closing the connection while the client sends would lose the response.
        if size > _MAX_DRAINED:
            break
    if size > MAX_BYTES:
        raise RequestTooLarge(f"Request payload size exceeds the limit: {MAX_BYTES} bytes.")
    return b"".join(chunks)


def _too_slow() -> InvalidRequest:
    return InvalidRequest(
        f"The body comes too slowly, expected at least {_LEAST_BYTES_PER_S} bytes a second."
    )


def read_json(body: bytes) -> Any:
    """Return parsed JSON.

    Raises:
        InvalidRequest: it is not JSON, repeats a member, is nested deeper than any client's
            request, or holds NaN or an infinity elsewhere than in an expression, where Python's
            client writes them as they are: `ee.Number(float("inf"))`.
    """
    # Parsed, nested brackets need thirty times their length.
    if body.count(b"[") + body.count(b"{") > _MAX_CONTAINERS:
        raise InvalidRequest(f"{_NOT_JSON} It has more than {_MAX_CONTAINERS} arrays and objects.")
    constants: list[str] = []

    def infinite(text: str) -> float:
        constants.append(text)
        return float(text)

    try:
        document = json.loads(
            body,
            object_pairs_hook=_members,
            parse_constant=infinite,
            parse_float=_finite,
        )
        if b"\\ud" in body.lower():
            # Half of a surrogate pair can be parsed, but never written again.
            json.dumps(document, ensure_ascii=False).encode()
    except RecursionError:
        raise _too_deep() from None
    except ValueError as exc:
        raise InvalidRequest(f"{_NOT_JSON} {_error_text(exc)}") from None
    _check_depth(document)
    if constants and not _is_in_expression(document, len(constants)):
        raise InvalidRequest(f"{_NOT_JSON} Expected a finite number, got {constants[0]}.")
    return document


def _is_in_expression(document: Any, count: int) -> bool:
    """Tell whether all of a number of infinite numbers of a document are in its expression."""
    expression = document.get("expression") if isinstance(document, dict) else None
    level, found = [expression], 0
    while level:
        found += sum(1 for each in level if isinstance(each, float) and not math.isfinite(each))
        level = [child for each in level for child in _children(each)]
    return found == count


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _error_text(exc: ValueError) -> str:
    if isinstance(exc, json.JSONDecodeError):
        return f"{exc.msg} at character {exc.pos}."
    return "It is not UTF-8." if isinstance(exc, UnicodeError) else str(exc)[:200]


def _members(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        times = Counter(name for name, _ in pairs)
        raise ValueError(f"Name {shown(times.most_common(1)[0][0])} is given twice in an object.")
    return members


def _no_number(text: str) -> float:
    raise ValueError(f"Expected a finite number, got {text}.")


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _no_number(text[:40])


def _check_depth(document: Any) -> None:
    level = [document]
    for _ in range(_MAX_DEPTH):
        level = [
            child
            for each in level
            if isinstance(each, dict | list)
            for child in (each.values() if isinstance(each, dict) else each)
            if isinstance(child, dict | list)
        ]
        if not level:
            return
    raise _too_deep()


def _too_deep() -> InvalidRequest:
    return InvalidRequest(f"{_NOT_JSON} It is nested more than {_MAX_DEPTH} deep.")


def read_query(text: bytes) -> dict[str, str]:
    """Return the parameters of a query string; the last one of a name counts.

    Raises:
        InvalidRequest: it cannot be read.
    """
    try:
        pairs = parse_qsl(text.decode("ascii"), errors="strict", max_num_fields=_MAX_PARAMETERS)
    except ValueError as exc:
        raise InvalidRequest(
            f"The query is not percent-encoded UTF-8 of at most {_MAX_PARAMETERS} parameters."
        ) from exc
    return dict(pairs)
