"""Bearer tokens for Earth Engine, fetched by google-auth over httpx.

No message, repr or log contains a token or key.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import anyio
import httpx
from google.auth import exceptions, transport
from google.auth.credentials import Credentials

from tileserver import metrics
from tileserver.earthengine.refusals import LOGIN, without_secrets
from tileserver.errors import AuthenticationFailed, TileserverError, TransientError

_TIMEOUT_S = 5.0
_MAX_ANSWER_BYTES = 1_000_000
_REFRESH_S = 20.0
"""A refresh that takes longer has failed; google-auth tries three times within it."""
_RENEW_AHEAD_S = 225.0
"""When to fetch the next token; the metadata server has none before four minutes to the end."""
_SHORTEST_LIFE_S = 10.0
_FIRST_WAIT_S, _LONGEST_WAIT_S = 1.0, 60.0
_REFUSED_WAIT_S = 10.0
"""Pause before the next token after a new one was refused too."""
_REFUSED_TOLD_S = 30.0
"""How long a refused token counts as a problem; then a request must try, or it never ends."""
_MAX_REFUSED_BYTES = 65_536

_REMEDIES = (
    (r"reasonable timeframe|iat and exp|not yet valid", "Set the clock of this machine right."),
    (r"account not found|Invalid JWT Signature", "Make a new key for the service account."),
    (
        r"impersonated",
        "Grant roles/iam.serviceAccountTokenCreator on the service account to be impersonated.",
    ),
)
"""What to do about a refused token, by a pattern of google-auth's message."""

log = logging.getLogger(__name__)


class HttpxRequest(transport.Request):
    """The transport of google-auth: httpx, bounded in time and size."""

    def __init__(self, client: httpx.Client | None = None) -> None:
        """Without a client each call makes one: tokens are fetched once an hour."""
        self._client = client

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **kwargs: Any,
    ) -> transport.Response:
        """Send a request, and return the response whatever its status.

        Raises:
            google.auth.exceptions.TransportError: there is no response.
        """
        timeout_s = min(timeout or _TIMEOUT_S, _TIMEOUT_S)
        if self._client is not None:
            return _ask(self._client, timeout_s, method, url, body, headers)
        with httpx.Client(trust_env=False, follow_redirects=False) as client:
            return _ask(client, timeout_s, method, url, body, headers)


def _ask(
    client: httpx.Client,
    timeout_s: float,
    method: str,
    url: str,
    body: bytes | None,
    headers: Mapping[str, str] | None,
) -> transport.Response:
    ends_s = time.monotonic() + timeout_s
    answer = bytearray()
    try:
        with client.stream(
            method, url, content=body, headers=headers, timeout=timeout_s
        ) as response:
            for chunk in response.iter_bytes():
                answer += chunk
                # httpx's own timeout begins anew with each chunk.
                if time.monotonic() > ends_s or len(answer) > _MAX_ANSWER_BYTES:
                    raise _unanswered("The answer is too long or too slow.")
            return _Answer(response.status_code, response.headers, bytes(answer))
    except (httpx.HTTPError, httpx.InvalidURL) as exc:
        raise _unanswered(f"{type(exc).__name__}: {exc}") from exc


def _unanswered(why: str) -> exceptions.TransportError:
    return exceptions.TransportError(why)  # type: ignore[no-untyped-call]


class _Answer(transport.Response):
    """A response in google-auth's interface."""

    def __init__(self, status: int, headers: Mapping[str, str], data: bytes) -> None:
        self._status, self._headers, self._data = status, headers, data

    @property
    def status(self) -> int:
        return self._status

    @property
    def headers(self) -> Mapping[str, str]:
        return self._headers

    @property
    def data(self) -> bytes:
        return self._data


@dataclass(frozen=True, slots=True)
class _Token:
    value: str = field(repr=False)
    ends_s: float
    """On the clock of `GoogleAuth`."""
    renew_s: float


def _token_of(credentials: Credentials, now_s: float, least_life_s: float = 0) -> _Token | None:
    """Return the token that credentials hold, if it has not run out."""
    value = credentials.token
    if not isinstance(value, str) or not re.fullmatch(r"[\x21-\x7e]+", value):
        return None
    life_s = math.inf
    if credentials.expiry is not None:
        # google-auth's dates are in UTC and do not say so.
        life_s = (credentials.expiry.replace(tzinfo=UTC) - datetime.now(UTC)).total_seconds()
    if life_s <= 0:
        life_s = least_life_s
    renew_s = now_s + life_s - min(_RENEW_AHEAD_S, life_s / 4)
    return _Token(value, now_s + life_s, renew_s) if life_s > 0 else None


class GoogleAuth(httpx.Auth):
    """Signs requests with a bearer token, renewed by one task in a thread.

    A valid token is used while the next is fetched. When fetching fails it is used to its
    end, and the pauses between attempts grow to a minute.
    """

    def __init__(
        self,
        credentials: Credentials,
        project: str,
        request: transport.Request | None = None,
        find_again: Callable[[], Credentials] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Sign for `project`, which is billed.

        Args:
            credentials: of the account.
            project: a Google Cloud project id.
            request: the transport for tokens.
            find_again: returns new credentials when these are refused, as after their file was
                replaced; blocks.
            clock: seconds, monotonic.
        """
        self._credentials = credentials
        self._project = project
        self._request = request or HttpxRequest()
        self._find_again = find_again
        self._clock = clock
        self._token = _token_of(credentials, clock())
        self._refresh: asyncio.Task[None] | None = None
        self._failure: TileserverError | None = None
        self._refused_until_s = -math.inf
        self._wait_s = 0.0
        self._not_before_s = -math.inf

    @property
    def problem(self) -> str | None:
        """Why there is no valid token; None while there is one or none was needed."""
        if self._clock() < self._refused_until_s:
            return "Earth Engine refuses even a new token."
        if self._token is not None and self._clock() < self._token.ends_s:
            return None
        return None if self._failure is None else str(self._failure)

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Sign; after a 401 sign once more with a new token."""
        token = await self.token()
        self._sign(request, token)
        response = yield request
        if response.status_code != 401:
            self._refused_until_s = -math.inf
            return
        renewed = await self.renewed(token)
        if renewed == token:
            return
        _shorten(response)
        self._sign(request, renewed)
        response = yield request
        if response.status_code != 401:
            return
        self._refused_until_s = self._clock() + _REFUSED_TOLD_S
        if self._clock() >= self._not_before_s:
            log.error("Earth Engine refuses even a new token.")
            self._not_before_s = self._clock() + _REFUSED_WAIT_S

    def sync_auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        """Refuse: tokens are renewed by a task."""
        raise RuntimeError("GoogleAuth is for httpx.AsyncClient")

    def _sign(self, request: httpx.Request, token: str) -> None:
        request.headers["authorization"] = f"Bearer {token}"
        request.headers["x-goog-user-project"] = self._project

    async def token(self) -> str:
        """Return a valid token.

        Raises:
            AuthenticationFailed: there is none, and a retry will not help.
            TransientError: there is none for now.
        """
        held, now_s = self._token, self._clock()
        if held is None or now_s >= held.ends_s:
            return await self._next()
        if now_s >= held.renew_s and now_s >= self._not_before_s:
            self._begin()
        return held.value

    async def renewed(self, refused: str) -> str:
        """Return a token in place of a refused one, or the same if there is no other.

        Raises:
            AuthenticationFailed, TransientError: as `token`.
        """
        held = self._token
        if held is not None and held.value != refused:
            return held.value
        if self._refresh is None and self._clock() < self._not_before_s:
            return refused
        return await self._next()

    async def _next(self) -> str:
        """Wait for the shared refresh; begin it unless the last one failed a moment ago."""
        if self._refresh is None and self._clock() < self._not_before_s and self._failure:
            raise _copy(self._failure)
        # A cancelled waiter must not cancel the refresh of the others.
        await asyncio.shield(self._begin())
        if self._failure is not None or self._token is None:
            raise _copy(self._failure or TransientError("There is no token yet."))
        return self._token.value

    def _begin(self) -> asyncio.Task[None]:
        if self._refresh is None:
            self._refresh = asyncio.create_task(self._renew())
        return self._refresh

    async def _renew(self) -> None:
        """Fetch a token, and keep it or the failure; raises nothing."""
        try:
            with anyio.fail_after(_REFRESH_S):
                # A limiter of its own, so that reads of pixels do not delay it.
                self._token = await anyio.to_thread.run_sync(
                    self._fetch, abandon_on_cancel=True, limiter=anyio.CapacityLimiter(1)
                )
        except TileserverError as exc:
            self._fail(exc)
        except TimeoutError:
            self._fail(TransientError("Google's token endpoint does not answer in time."))
        else:
            self._failure, self._wait_s, self._not_before_s = None, 0.0, -math.inf
        finally:
            self._refresh = None

    def _fail(self, failure: TileserverError) -> None:
        metrics.TOKEN_FAILURES.inc()
        self._failure = failure
        self._wait_s = min(max(2 * self._wait_s, _FIRST_WAIT_S), _LONGEST_WAIT_S)
        self._not_before_s = self._clock() + self._wait_s
        log.warning("No new token; the next try is in %.0f s. %s", self._wait_s, failure)

    def _fetch(self) -> _Token:
        """Return a new token; blocks."""
        try:
            return _fetched(self._credentials, self._request, self._clock())
        except AuthenticationFailed:
            if self._find_again is None:
                raise
        found = self._find_again()
        token = _fetched(found, self._request, self._clock())
        self._credentials = found
        return token


def _fetched(credentials: Credentials, request: transport.Request, now_s: float) -> _Token:
    try:
        credentials.refresh(request)  # type: ignore[no-untyped-call]
    except exceptions.TransportError as exc:
        raise TransientError(
            f"Google's token endpoint cannot be reached: {_error_text(exc)}"
        ) from None
    except exceptions.GoogleAuthError as exc:
        raise _refusal(exc) from None
    except Exception as exc:  # A malformed answer raises nearly anything.
        raise TransientError(
            f"Google's token endpoint gave an answer that is none ({type(exc).__name__})."
        ) from None
    # With the clock here far ahead, a token that has just come seems to have run out.
    token = _token_of(credentials, now_s, _SHORTEST_LIFE_S)
    if token is None:
        raise TransientError("Google's token endpoint gave no token.")
    return token


def _refusal(exc: exceptions.GoogleAuthError) -> TileserverError:
    """Return our error for google-auth's, with the remedy."""
    said = _error_text(exc)
    # The metadata server's failures come wrapped.
    if exc.retryable or isinstance(exc.__cause__, exceptions.TransportError):
        return TransientError(f"Google's token endpoint fails: {said}")
    remedy = next((r for pattern, r in _REMEDIES if re.search(pattern, said)), f"Run `{LOGIN}`.")
    return AuthenticationFailed(f"Google gives no token: {said} {remedy}")


def _error_text(exc: Exception) -> str:
    """Return the message of an error, without secrets."""
    text = str(exc.args[0]) if exc.args else type(exc).__name__
    if len(exc.args) > 1 and isinstance(exc.args[1], str):
        text = f"{text} {_message(exc.args[1])}"
    return without_secrets(text).rstrip(".") + "."


def _message(body: str) -> str:
    try:
        return str(json.loads(body)["error"]["message"])
    except (ValueError, LookupError, TypeError):
        return ""


def _copy(failure: TileserverError) -> TileserverError:
    """Return a copy of an error: one raised to many tasks would gather the traces of all."""
    return type(failure)(*failure.args)


def _shorten(response: httpx.Response) -> None:
    """Limit a body that httpx reads before it sends the request again."""
    response.headers.pop("content-encoding", None)
    stream = response.stream
    if isinstance(stream, httpx.AsyncByteStream):
        response.stream = _First(stream)


class _First(httpx.AsyncByteStream):
    """The beginning of a body."""

    def __init__(self, stream: httpx.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        taken = 0
        async for chunk in self._stream:
            yield chunk
            taken += len(chunk)
            if taken > _MAX_REFUSED_BYTES:
                return

    async def aclose(self) -> None:
        await self._stream.aclose()
