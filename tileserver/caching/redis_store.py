"""A Redis or Valkey that workers and machines share; the only user of redis.

A claim is a key with a word of its own that expires after a few seconds, and is put off again and
again while its owner lives: when that dies, the next takes over. Only who set it takes it away.
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
"""For so long a claim outlives its owner."""
_PUT_OFF_S = 1.5
_CONNECTIONS = 16
_SOCKET_S = 2.0
"""More than any call may take: the call's own budget comes first."""
_DELETE = 'if redis.call("get", KEYS[1]) == ARGV[1] then return redis.call("del", KEYS[1]) end'
_PUT_OFF = (
    'if redis.call("get", KEYS[1]) == ARGV[1] '
    'then return redis.call("pexpire", KEYS[1], ARGV[2]) end return 0'
)


class RedisStore:
    """Bodies in Redis; a `Store`."""

    name = "redis"
    budget_s = 0.05

    def __init__(self, url: str, ttl_s: float, claim_s: float = _CLAIM_S) -> None:
        """Share what is at an address; nothing is asked of it yet.

        Args:
            url: redis://, rediss:// or unix://, with user, password and database if need be.
            ttl_s: age at which Redis forgets a body.
            claim_s: for how long a claim outlives its owner.

        Raises:
            ConfigError: there can be no such address.
        """
        self.ttl_s = ttl_s
        self.claim_s = claim_s
        self._redis = _client(url)
        self._claims: dict[str, tuple[str, asyncio.Task[None]]] = {}

    async def get(self, key: str) -> bytes | None:
        """Return a body that is whole, or None; what is none is deleted."""
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
            await _told(self._redis.delete(_PREFIX + key))
        return None if body is None else body.pixels

    async def put(self, key: str, body: bytes) -> None:
        """Keep a body for a while."""
        await _told(self._redis.set(_PREFIX + key, wrap(key, body), px=_ms(self.ttl_s)))

    async def claim(self, key: str) -> bool:
        """Return whether to fetch the body; False while somebody else who lives does."""
        if key in self._claims:
            return False
        word = secrets.token_hex(16)
        place = _claim_key(key)
        if not await _told(self._redis.set(place, word, nx=True, px=_ms(self.claim_s))):
            return False
        self._claims[key] = word, asyncio.create_task(self._put_off(place, word))
        return True

    async def release(self, key: str) -> None:
        """Give a claim back, if it is still ours."""
        word, putting_off = self._claims.pop(key, (None, None))
        if word is not None and putting_off is not None:
            putting_off.cancel()
            await _told(self._redis.eval(_DELETE, 1, _claim_key(key), word))

    async def close(self) -> None:
        """Give back all claims, and hang up."""
        for key in list(self._claims):
            await self.release(key)
        await _told(self._redis.aclose(close_connection_pool=True))

    async def _put_off(self, place: str, word: str) -> None:
        """Let a claim expire later, as long as it is ours and this process lives."""
        while True:
            await asyncio.sleep(min(_PUT_OFF_S, self.claim_s / 3))
            try:
                await self._redis.eval(_PUT_OFF, 1, place, word, str(_ms(self.claim_s)))
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
            # Once more at once: a connection from before Redis was started anew is of no use.
            retry=Retry(NoBackoff(), 1),
        )
        pool.make_connection()  # type: ignore[no-untyped-call]
    except (ValueError, TypeError, AttributeError, RedisError):
        # What these say repeats parts of the address, and it holds a password.
        raise ConfigError(
            '[cache] url: expected an address such as "redis://localhost:6379/0", the database a '
            "number, and no options that Redis clients do not know"
        ) from None
    return Redis(connection_pool=pool)


async def _told(call: Awaitable[Any]) -> Any:
    """Return what Redis answers; raise StoreError in place of what its client raises."""
    try:
        return await call
    except (RedisError, OSError) as exc:
        raise _failure(exc) from None


def _failure(exc: Exception) -> StoreError:
    # The kind alone: what it says may repeat what was sent.
    return StoreError(type(exc).__name__)


def _claim_key(key: str) -> str:
    return f"{_PREFIX}{key}:claim"


def _ms(seconds: float) -> int:
    return max(1, math.ceil(seconds * 1000))
