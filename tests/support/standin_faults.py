"""What can go wrong between the server and Earth Engine, each by a name."""

from __future__ import annotations

import asyncio
import email.utils
import gzip
import io
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import lru_cache

from PIL import Image

from tests.support.loopback import Answer, Exchange, error_answer, fault

TOO_MANY = (
    "Too Many Requests: Request was rejected because the request rate or concurrency limit "
    "was exceeded."
)
DAILY_QUOTA = (
    "Your usage exceeded the custom quota for 'earthengine.googleapis.com/daily_eecu_usage_time', "
    "which is adjustable by your administrator in the Google Cloud console: "
    "https://console.cloud.google.com/quotas/?project=_."
)
UNAUTHENTICATED = (
    "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie "
    "or other valid authentication credential."
)
SERVICE_DISABLED = (
    "Google Earth Engine API has not been used in project 123456789 before or it is disabled. "
    "Enable it by visiting https://console.developers.google.com/apis/api/"
    "earthengine.googleapis.com/overview?project=123456789 then retry."
)
HUGE_BYTES = 50_000_000
BOMB_BYTES = 200_000_000

_INVALID, _DENIED, _EXHAUSTED = "INVALID_ARGUMENT", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED"


def _always(row: int, name: str, answer: Answer) -> None:
    async def act(exchange: Exchange) -> Answer:
        return answer

    fault(row, name)(act)


def _limited(**headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return error_answer(429, TOO_MANY, _EXHAUSTED, named)


def _reason(reason: str, message: str) -> Answer:
    details = [
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": reason,
            "domain": "googleapis.com",
        }
    ]
    return error_answer(403, message, _DENIED, details=details)


_always(1, "rate_limited_2s", _limited(retry_after="2"))
_always(2, "rate_limited", _limited())
_always(3, "rate_limited_hour", _limited(retry_after="3600"))
_always(
    3,
    "rate_limited_date",
    _limited(retry_after=email.utils.formatdate(time.time() + 3600, usegmt=True)),
)
_always(3, "rate_limited_garbage", _limited(retry_after="soon"))
_always(3, "rate_limited_negative", _limited(retry_after="-5"))
_always(4, "status_500", error_answer(500, "An internal error has occurred.", "INTERNAL"))
_always(4, "status_502", Answer(b"<html>502</html>", 502, {"content-type": "text/html"}))
_always(4, "status_503", error_answer(503, "The service is currently unavailable.", "UNAVAILABLE"))
_always(4, "status_504", error_answer(504, "Deadline exceeded.", "DEADLINE_EXCEEDED"))
_always(
    5,
    "bad_band",
    error_answer(400, "Image.select: Pattern 'B99' did not match any bands.", _INVALID),
)
_always(
    5,
    "too_many_pixels",
    error_answer(
        400,
        "Total request size (56623104 bytes) must be less than or equal to 50331648 bytes.",
        _INVALID,
    ),
)
_always(5, "out_of_memory", error_answer(400, "User memory limit exceeded.", _INVALID))
_always(5, "computation_timed_out", error_answer(400, "Computation timed out.", _INVALID))
_always(6, "unauthenticated", error_answer(401, UNAUTHENTICATED, "UNAUTHENTICATED"))
_always(
    7,
    "permission_denied",
    error_answer(403, "Permission 'earthengine.assets.get' denied on the asset.", _DENIED),
)
_always(7, "billing_disabled", _reason("BILLING_DISABLED", "This API method requires billing."))
_always(7, "service_disabled", _reason("SERVICE_DISABLED", SERVICE_DISABLED))
_always(
    7,
    "wrong_project",
    _reason(
        "USER_PROJECT_DENIED",
        "Caller does not have required permission to use project elsewhere. Grant the caller the "
        "roles/serviceusage.serviceUsageConsumer role.",
    ),
)
_always(
    7,
    "rate_limited_403",
    error_answer(
        403,
        "Rate Limit Exceeded",
        _DENIED,
        errors=[{"domain": "usageLimits", "reason": "rateLimitExceeded"}],
    ),
)
_always(7, "daily_quota", error_answer(429, DAILY_QUOTA, _EXHAUSTED))
_always(8, "not_found", error_answer(404, "Asset 'gone' not found.", "NOT_FOUND"))
_always(13, "html", Answer(b"<!doctype html><p>Sign in</p>", 200, {"content-type": "text/html"}))
_always(
    13,
    "error_as_200",
    replace(error_answer(500, "An internal error has occurred.", "INTERNAL"), status=200),
)


@fault(10, "reset_mid_body")
async def _reset(exchange: Exchange) -> None:
    await _write_half(exchange)
    # An abort with data sent and a linger of zero is a RST rather than a FIN.
    raw = exchange.writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    exchange.writer.transport.abort()


@fault(10, "eof_before_length")
async def _cut(exchange: Exchange) -> None:
    await _write_half(exchange)


@fault(10, "chunked_cut")
async def _chunked_cut(exchange: Exchange) -> None:
    answer = await exchange.honest()
    half = answer.body[: len(answer.body) // 2]
    head = answer.head({"transfer-encoding": "chunked"})
    exchange.writer.write(head + f"{len(half):x}\r\n".encode() + half + b"\r\n")
    await exchange.writer.drain()


@fault(11, "slow_body")
async def _slow_body(exchange: Exchange) -> None:
    answer = await exchange.honest()
    exchange.writer.write(answer.head())
    for index in range(len(answer.body)):
        if not exchange.is_open:
            return
        exchange.writer.write(answer.body[index : index + 1])
        await exchange.writer.drain()
        await asyncio.sleep(1)


@fault(11, "endless_headers")
async def _endless_headers(exchange: Exchange) -> None:
    exchange.writer.write(b"HTTP/1.1 200 OK\r\n")
    while exchange.is_open:
        exchange.writer.write(b"x-more: yes\r\n")
        await exchange.writer.drain()
        await asyncio.sleep(0.2)


@fault(11, "silence")
async def _silence(exchange: Exchange) -> None:
    """Say nothing until the client hangs up."""
    await asyncio.Event().wait()


@fault(12, "truncated_png")
async def _truncated(exchange: Exchange) -> Answer:
    answer = await exchange.honest()
    return replace(answer, body=answer.body[: len(answer.body) // 2])


@fault(12, "bad_crc")
async def _bad_crc(exchange: Exchange) -> Answer:
    answer = await exchange.honest()
    body = bytearray(answer.body)
    # The last four bytes before IEND's twelve are the checksum of the last IDAT.
    body[-13] ^= 0xFF
    return replace(answer, body=bytes(body))


@fault(12, "wrong_size")
async def _wrong_size(exchange: Exchange) -> Answer:
    answer = await exchange.honest()
    image = _image(answer)
    return replace(answer, body=_saved(image.crop((0, 0, image.width - 1, image.height)), "PNG"))


@fault(12, "jpeg_as_png")
async def _jpeg_as_png(exchange: Exchange) -> Answer:
    answer = await exchange.honest()
    return replace(answer, body=_saved(_image(answer).convert("RGB"), "JPEG"))


@fault(12, "empty_body")
async def _empty(exchange: Exchange) -> Answer:
    return replace(await exchange.honest(), body=b"")


@fault(12, "huge_body")
async def _huge(exchange: Exchange) -> None:
    answer = await exchange.honest()
    exchange.writer.write(answer.head({"content-length": str(HUGE_BYTES)}) + answer.body[:8])
    sent = 8
    while sent < HUGE_BYTES and exchange.is_open:
        part = bytes(min(1 << 18, HUGE_BYTES - sent))
        exchange.writer.write(part)
        await exchange.writer.drain()
        sent += len(part)


@fault(12, "gzip_bomb")
async def _bomb(exchange: Exchange) -> Answer:
    answer = await exchange.honest()
    headers = {**answer.headers, "content-encoding": "gzip"}
    return replace(answer, body=_gzip_bomb(), headers=headers)


@fault(13, "no_content_type")
async def _untyped(exchange: Exchange) -> Answer:
    answer = await exchange.honest()
    headers = {n: v for n, v in answer.headers.items() if n.lower() != "content-type"}
    return replace(answer, headers=headers)


@fault(18, "flapping")
async def _flapping(exchange: Exchange) -> Answer:
    """Fail every other time, the first included."""
    if exchange.turn % 2:
        return await exchange.honest()
    return error_answer(503, "The service is currently unavailable.", "UNAVAILABLE")


@fault(19, "closes_after_answer")
async def _closes_after(exchange: Exchange) -> None:
    """Answer, and close the connection though it was promised to stay."""
    answer = await exchange.honest()
    exchange.writer.write(answer.head() + answer.body)
    await exchange.writer.drain()


@fault(19, "closes_unanswered")
async def _closes_unanswered(exchange: Exchange) -> None:
    """Close on a request that had come, as when it crosses with the end of an idle connection."""


@fault(14, "invalid_grant")
async def _invalid_grant(exchange: Exchange) -> Answer:
    body = b'{"error":"invalid_grant","error_description":"Invalid JWT Signature."}'
    return Answer(body, 400, {"content-type": "application/json"})


@contextmanager
def refusing() -> Iterator[str]:
    """Yield an address at which nothing listens (row 9)."""
    with socket.socket() as held:
        # Bound and not listening: the port is refused, and nobody else can take it.
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


@contextmanager
def unroutable() -> Iterator[str]:
    """Yield an address at which no connection is ever made, nor refused (row 9)."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        waiting = []
        try:
            # With the backlog full, Linux drops what knocks.
            for _ in range(4):
                knocking = socket.socket()
                knocking.setblocking(False)
                waiting.append(knocking)
                with suppress(BlockingIOError):
                    knocking.connect(address)
            yield f"http://127.0.0.1:{address[1]}"
        finally:
            for knocking in waiting:
                knocking.close()


UNRESOLVABLE = "http://earthengine.invalid"
"""A host that no resolver knows, by RFC 6761 (row 9)."""


async def _write_half(exchange: Exchange) -> None:
    answer = await exchange.honest()
    exchange.writer.write(answer.head() + answer.body[: len(answer.body) // 2])
    await exchange.writer.drain()


def _image(answer: Answer) -> Image.Image:
    return Image.open(io.BytesIO(answer.body))


def _saved(image: Image.Image, form: str) -> bytes:
    body = io.BytesIO()
    image.save(body, form)
    return body.getvalue()


@lru_cache(maxsize=1)
def _gzip_bomb() -> bytes:
    return gzip.compress(bytes(BOMB_BYTES), 1)
