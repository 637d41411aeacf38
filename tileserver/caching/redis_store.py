"""A store in Redis or Valkey, shared by workers and machines.

A claim is a key that holds a random token and expires after a few seconds; its owner extends it for
as long as it lives. Only the owner deletes it.
"""

from __future__ import annotations

import asyncio
import math
import secrets
from collections.abc import Awaitable
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from tileserver import metrics
from tileserver.caching.envelope import unwrap, wrap
from tileserver.caching.shared import StoreError
from tileserver.errors import ConfigError

_PREFIX = "tileserver:"
_CLAIM_S = 5.0
"""How long a claim outlives its owner."""
_EXTEND_S = 1.5
_CONNECTIONS = 16
_SOCKET_S = 2.0
"""Longer than the budget of any call, which ends first."""
_DELETE = 'if redis.call("get", KEYS[1]) == ARGV[1] then return redis.call("del", KEYS[1]) end'
_EXTEND = (
    'if redis.call("get", KEYS[1]) == ARGV[1] '
    'then return redis.call("pexpire", KEYS[1], ARGV[2]) end return 0'
)


class RedisStore:
    """Bodies in Redis; a `Store`."""

    name = "redis"
    budget_s = 0.05

    def __init__(self, url: str, ttl_s: float, claim_s: float = _CLAIM_S) -> None:
        """Use the server at a URL; does not connect yet.

        Args:
            url: redis://, rediss:// or unix://, optionally with user, password and database.
            ttl_s: age at which a body expires.
            claim_s: how long a claim outlives its owner.

        Raises:
            ConfigError: the URL is invalid.
        """
        self.ttl_s = ttl_s
        self.claim_s = claim_s
        self._redis = _client(url)
        self._claims: dict[str, tuple[str, asyncio.Task[None]]] = {}

    async def get(self, key: str) -> bytes | None:
        """Return a complete body, or None; deletes damaged ones."""
        try:
            value = await self._redis.get(_PREFIX + key)
        except ResponseError as exc:
            if "WRONGTYPE" not in str(exc):
                raise _failure(exc) from None
            value = b""
        except (RedisError, OSError) as exc:
            raise _failure(exc) from None
        body = None if value is None else unwrap(key, value)
        if value is not None and body is None:
            metrics.SHARED.labels(self.name, "corrupt").inc()
            await _translated(self._redis.delete(_PREFIX + key))
        return None if body is None else body.pixels

    async def put(self, key: str, body: bytes) -> None:
        """Keep a body for a while."""
        await _translated(self._redis.set(_PREFIX + key, wrap(key, body), px=_ms(self.ttl_s)))

    async def claim(self, key: str) -> bool:
        """Claim a missing body; return False while another live process holds the claim."""
        if key in self._claims:
            return False
        token = secrets.token_hex(16)
        place = _claim_key(key)
        if not await _translated(self._redis.set(place, token, nx=True, px=_ms(self.claim_s))):
            return False
        self._claims[key] = token, asyncio.create_task(self._extend(place, token))
        return True

    async def release(self, key: str) -> None:
        """Release a claim, if this process still holds it."""
        token, extending = self._claims.pop(key, (None, None))
        if token is not None and extending is not None:
            extending.cancel()
            await _translated(self._redis.eval(_DELETE, 1, _claim_key(key), token))

    async def close(self) -> None:
        """Release all claims, and close the connections."""
        for key in list(self._claims):
            await self.release(key)
        await _translated(self._redis.aclose(close_connection_pool=True))

    async def _extend(self, place: str, token: str) -> None:
        """Extend a claim for as long as this process holds it."""
        while True:
            await asyncio.sleep(min(_EXTEND_S, self.claim_s / 3))
            try:
                await self._redis.eval(_EXTEND, 1, place, token, str(_ms(self.claim_s)))
            except (RedisError, OSError):
                metrics.SHARED_FAILURES.labels(self.name, "claim").inc()


def _client(url: str) -> Any:
    try:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=_CONNECTIONS,
            timeout=_SOCKET_S,
            socket_timeout=_SOCKET_S,
            socket_connect_timeout=_SOCKET_S,
            protocol=2,
            driver_info=None,
            # One immediate retry: connections from before a restart of Redis are dead.
            retry=Retry(NoBackoff(), 1),
        )
        pool.make_connection()  # type: ignore[no-untyped-call]
    except (ValueError, TypeError, AttributeError, RedisError):
        # Their messages repeat parts of the URL, which contains a password.
        raise ConfigError(
            '[cache] url: expected an address such as "redis://localhost:6379/0", the database a '
            "number, and no options that Redis clients do not know"
        ) from None
    return Redis(connection_pool=pool)


async def _translated(call: Awaitable[Any]) -> Any:
    """Return the answer of Redis; translates errors of the client into StoreError."""
    try:
        return await call
    except (RedisError, OSError) as exc:
        raise _failure(exc) from None


def _failure(exc: Exception) -> StoreError:
    # The kind alone: the message may repeat the request.
    return StoreError(type(exc).__name__)


def _claim_key(key: str) -> str:
    return f"{_PREFIX}{key}:claim"


def _ms(seconds: float) -> int:
    return max(1, math.ceil(seconds * 1000))
