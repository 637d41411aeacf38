import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

import httpx
import pytest

from tests.support.loopback import Answer, Asked, Loopback
from tileserver.earthengine.connections import make_client


class Elsewhere(Loopback):
    """Sets cookies, and sends everybody on to another address."""

    async def honest(self, asked: Asked) -> Answer:
        status = 302 if asked.path == "/go" else 200 if asked.headers.get("token") else 401
        return Answer(b"body", status, {"set-cookie": "a=b", "location": "/elsewhere"})


class Signing(httpx.Auth):
    """Signs once it has been refused, as with a token that has run out."""

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        if (yield request).status_code == 401:
            request.headers["token"] = "t"
            yield request


def run(
    work: Callable[[httpx.AsyncClient], Awaitable[None]], auth: httpx.Auth | None = None
) -> None:
    async def connected() -> None:
        async with make_client(auth, 1) as client:
            await work(client)

    asyncio.run(connected())


def test_no_cookie_goes_back_and_no_redirect_is_followed() -> None:
    with Elsewhere() as server:

        async def work(client: httpx.AsyncClient) -> None:
            for _ in range(2):
                response = await client.get(f"{server.url}/go", headers={"accept": "x"})
                assert response.status_code == 302
                assert response.content == b"body"

        run(work)
        assert [each.path for each in server.seen] == ["/go", "/go"]
        assert all("cookie" not in each.headers for each in server.seen)
        assert server.seen[0].headers["accept"] == "x"
        assert server.seen[0].headers["user-agent"].startswith("ee-tileserver/")


def test_what_is_refused_is_signed_anew_over_the_same_connection() -> None:
    with Elsewhere() as server:

        async def work(client: httpx.AsyncClient) -> None:
            response = await client.post(f"{server.url}/x", content=b"{}")
            assert response.status_code == 200
            assert response.content == b"body"

        # With one connection, a second request hangs if the first answer is left open.
        run(work, Signing())
        assert [each.status for each in server.seen] == [401, 200]
        assert [each.body for each in server.seen] == [b"{}", b"{}"]


def test_an_answer_that_makes_signing_fail_is_closed() -> None:
    class Failing(httpx.Auth):
        async def async_auth_flow(
            self, request: httpx.Request
        ) -> AsyncGenerator[httpx.Request, httpx.Response]:
            yield request
            raise ValueError("no token")

    with Elsewhere() as server:

        async def work(client: httpx.AsyncClient) -> None:
            for _ in range(2):
                with pytest.raises(ValueError, match="no token"):
                    await client.get(f"{server.url}/x")

        run(work, Failing())
        assert len(server.seen) == 2
