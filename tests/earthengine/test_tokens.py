import asyncio
import gc
import json
import logging
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from google.auth import exceptions
from google.auth.credentials import Credentials
from google.oauth2 import service_account

from tests.support.limits import SOON_S, ends_soon
from tests.support.loopback import Answer, Asked, Loopback, json_answer
from tests.support.standin import TokenServer, refusing
from tests.support.standin_tokens import bearer
from tileserver.earthengine.tokens import GoogleAuth, HttpxRequest
from tileserver.errors import AuthenticationFailed, TileserverError, TransientError

PROJECT = "my-project"
SCOPE = "https://www.googleapis.com/auth/earthengine.readonly"


class Api(Loopback):
    """Answers whoever has a good token."""

    def __init__(self, accepts: Callable[[str], bool]) -> None:
        super().__init__()
        self.accepts = accepts

    async def honest(self, asked: Asked) -> Answer:
        return Answer(b"pixels") if self.accepts(bearer(asked)) else Answer(b"{}", 401)


@pytest.fixture
def tokens() -> Iterator[TokenServer]:
    with TokenServer() as server:
        yield server


@pytest.fixture
def api(tokens: TokenServer) -> Iterator[Api]:
    with Api(tokens.accepts) as server:
        yield server


def key_of(tokens: TokenServer, folder: Path) -> Credentials:
    return credentials_in(tokens.write_service_account(folder / "key.json"))


def credentials_in(path: Path) -> Credentials:
    read: Callable[..., Credentials] = service_account.Credentials.from_service_account_file
    return read(str(path), scopes=[SCOPE])


@pytest.fixture
def auth(tokens: TokenServer, tmp_path: Path) -> GoogleAuth:
    return GoogleAuth(key_of(tokens, tmp_path), PROJECT)


def client(auth: httpx.Auth, **more: Any) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=100)
    return httpx.AsyncClient(auth=auth, trust_env=False, limits=limits, timeout=60, **more)


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    """Run a scenario; fail if a task's error was seen by nobody."""
    unseen: list[Any] = []

    async def watched() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, event: unseen.append(event))
        await scenario()
        gc.collect()

    asyncio.run(watched())
    assert not unseen


class Fixed(Credentials):
    """Credentials whose refreshes are scripted: a token, or an error."""

    def __init__(self, *script: str | Exception, life_s: float | None = 3600) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.script = list(script)
        self.life_s = life_s
        self.refreshes = 0
        self.threads: set[int] = set()
        self.takes_s = 0.0
        self.may_end = threading.Event()
        self.may_end.set()

    def refresh(self, request: Any) -> None:
        self.refreshes += 1
        self.threads.add(threading.get_ident())
        time.sleep(self.takes_s)
        assert self.may_end.wait(SOON_S)
        step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(step, Exception):
            raise step
        self.token = step
        life = None if self.life_s is None else timedelta(seconds=self.life_s)
        self.expiry = None if life is None else datetime.now(UTC).replace(tzinfo=None) + life


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def failure(message: str, retryable: bool = False) -> exceptions.RefreshError:
    return exceptions.RefreshError(message, retryable=retryable)  # type: ignore[no-untyped-call]


def test_a_request_carries_a_token_and_the_project_that_pays(auth: GoogleAuth, api: Api) -> None:
    async def scenario() -> None:
        async with client(auth) as asking:
            assert (await asking.get(api.url)).content == b"pixels"
        assert api.seen[0].headers["x-goog-user-project"] == PROJECT
        assert api.seen[0].headers["authorization"].startswith("Bearer ")

    run(scenario)


def test_five_hundred_waiters_share_one_token(auth: GoogleAuth, tokens: TokenServer) -> None:
    tokens.latency_s = 0.1

    async def scenario() -> None:
        found = await asyncio.gather(*(auth.token() for _ in range(500)))
        assert len(set(found)) == 1
        assert tokens.count() == 1

    run(scenario)


def test_five_hundred_refused_at_once_share_one_new_token(
    auth: GoogleAuth, tokens: TokenServer
) -> None:
    tokens.latency_s = 0.1

    async def refused_once() -> str:
        flow = auth.async_auth_flow(httpx.Request("GET", "http://127.0.0.1"))
        signed = await anext(flow)
        again = await flow.asend(httpx.Response(401, request=signed))
        with pytest.raises(StopAsyncIteration):
            await flow.asend(httpx.Response(200, request=again))
        return str(again.headers["authorization"])

    async def scenario() -> None:
        old = await auth.token()
        found = await asyncio.gather(*(refused_once() for _ in range(500)))
        assert len(set(found)) == 1
        assert found[0] != f"Bearer {old}"
        assert tokens.count() == 2

    run(scenario)


def test_many_requests_that_are_refused_are_asked_again_and_answered(
    auth: GoogleAuth, api: Api, tokens: TokenServer
) -> None:
    async def scenario() -> None:
        async with client(auth) as asking:
            await asking.get(api.url)
            tokens.revoke()
            answers = await asyncio.gather(*(asking.get(api.url) for _ in range(40)))
        assert {answer.status_code for answer in answers} == {200}
        assert tokens.count() == 2

    run(scenario)


def test_the_event_loop_goes_on_while_a_token_is_fetched() -> None:
    credentials = Fixed("one")
    credentials.takes_s = 0.3

    async def scenario() -> None:
        auth = GoogleAuth(credentials, PROJECT)
        waiting = asyncio.create_task(auth.token())
        turns = 0
        while not waiting.done():
            await asyncio.sleep(0.005)
            turns += 1
        assert await waiting == "one"
        # In 0.3 s, in which a loop that is held up turns twice.
        assert turns >= 5
        assert threading.get_ident() not in credentials.threads

    run(scenario)


def test_a_waiter_that_leaves_does_not_take_the_refresh_along() -> None:
    credentials = Fixed("one")
    credentials.may_end.clear()

    async def scenario() -> None:
        auth = GoogleAuth(credentials, PROJECT)
        leaver, stayer = asyncio.create_task(auth.token()), asyncio.create_task(auth.token())
        async with asyncio.timeout(SOON_S):
            while not credentials.refreshes:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        leaver.cancel()
        await asyncio.sleep(0)
        credentials.may_end.set()
        assert await stayer == "one"
        assert leaver.cancelled()
        assert credentials.refreshes == 1

    run(scenario)


def test_near_its_end_a_token_is_renewed_while_requests_go_on_with_it() -> None:
    credentials, clock = Fixed("one", "two"), Clock()

    async def scenario() -> None:
        auth = GoogleAuth(credentials, PROJECT, clock=clock)
        assert await auth.token() == "one"
        clock.now_s += 3600 - 240
        assert await auth.token() == "one"
        assert credentials.refreshes == 1
        clock.now_s += 30
        credentials.takes_s = 0.1
        assert [await auth.token() for _ in range(100)] == ["one"] * 100
        # What was refused is not asked for again: this waits for the renewal that runs.
        assert await auth.renewed("one") == "two"
        assert await auth.token() == "two"
        assert credentials.refreshes == 2

    run(scenario)


def test_when_no_new_token_is_to_be_had_the_old_one_serves_to_its_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    credentials, clock = Fixed("one", failure("internal_failure", retryable=True)), Clock()

    async def scenario() -> None:
        auth = GoogleAuth(credentials, PROJECT, clock=clock)
        assert await auth.token() == "one"
        clock.now_s += 3600 - 200
        for _ in range(199):
            clock.now_s += 1
            assert await auth.token() == "one"
            await asyncio.sleep(0.002)
        assert auth.problem is None
        clock.now_s += 2
        with pytest.raises(TransientError, match="internal_failure"):
            await auth.token()
        assert "internal_failure" in str(auth.problem)
        # After 1, 2, 4 … 60 s, and from then on each minute.
        assert 5 <= credentials.refreshes - 1 <= 9

    run(scenario)
    assert "No new token" in caplog.text


def test_a_token_endpoint_that_fails_is_left_alone_for_longer_and_longer() -> None:
    credentials, clock = Fixed(failure("server_error", retryable=True)), Clock()

    async def scenario() -> None:
        auth = GoogleAuth(credentials, PROJECT, clock=clock)
        tries = []
        for second in range(40):
            before = credentials.refreshes
            with pytest.raises(TransientError):
                await auth.token()
            tries += [second] * (credentials.refreshes - before)
            clock.now_s += 1
        assert tries == [0, 1, 3, 7, 15, 31]

    run(scenario)


def test_after_a_failure_a_good_answer_ends_the_trouble() -> None:
    credentials, clock = Fixed(failure("server_error", retryable=True), "one"), Clock()

    async def scenario() -> None:
        auth = GoogleAuth(credentials, PROJECT, clock=clock)
        with pytest.raises(TransientError):
            await auth.token()
        clock.now_s += 1
        assert await auth.token() == "one"
        assert auth.problem is None

    run(scenario)


def test_one_failure_reaches_all_waiters_and_each_has_its_own() -> None:
    credentials = Fixed(failure("invalid_grant: account not found"))
    credentials.takes_s = 0.1

    async def scenario() -> None:
        auth = GoogleAuth(credentials, PROJECT)
        found = await asyncio.gather(*(auth.token() for _ in range(50)), return_exceptions=True)
        assert {type(each) for each in found} == {AuthenticationFailed}
        assert len({id(each) for each in found}) == 50
        assert credentials.refreshes == 1

    run(scenario)


def test_a_second_refusal_is_the_answer(tokens: TokenServer, auth: GoogleAuth) -> None:
    async def scenario() -> None:
        with Api(lambda token: False) as api:
            async with client(auth) as asking:
                assert (await asking.get(api.url)).status_code == 401
                assert (api.count(), tokens.count()) == (2, 2)
                # A new token was refused too: another would be no better.
                answers = await asyncio.gather(*(asking.get(api.url) for _ in range(20)))
        assert {answer.status_code for answer in answers} == {401}
        assert tokens.count() == 2
        assert api.count() == 22

    run(scenario)


def test_when_a_token_is_refused_and_no_other_is_to_be_had_that_is_said() -> None:
    credentials = Fixed("one", failure("invalid_grant: Token has been expired or revoked."))

    async def scenario() -> None:
        auth = GoogleAuth(credentials, PROJECT)
        with Api(lambda token: False) as api:
            async with client(auth) as asking:
                with pytest.raises(AuthenticationFailed, match="expired or revoked"):
                    await asking.get(api.url)

    run(scenario)


@asynccontextmanager
async def endless(status: str) -> AsyncIterator[str]:
    """Yield the address of a server whose answers never end, unless the token is "good"."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"Bearer good" in head:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npixels")
        else:
            writer.write(f"HTTP/1.1 {status}\r\nContent-Encoding: gzip\r\n\r\n".encode())
        with suppress(ConnectionError):
            while b"Bearer good" not in head and not writer.is_closing():
                writer.write(bytes(65536))
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def test_a_refusal_without_end_is_not_read_to_its_end() -> None:
    async def scenario() -> None:
        auth = GoogleAuth(Fixed("old", "good"), PROJECT)
        async with endless("401 Unauthorized") as url, client(auth) as asking:
            async with asyncio.timeout(5):
                assert (await asking.get(url)).content == b"pixels"

    run(scenario)


def test_a_token_that_credentials_hold_already_is_used() -> None:
    credentials = Fixed("one", "two")
    credentials.refresh(None)

    async def scenario() -> None:
        assert await GoogleAuth(credentials, PROJECT).token() == "one"
        assert credentials.refreshes == 1

    run(scenario)


def test_a_token_without_end_is_never_renewed() -> None:
    credentials = Fixed("one", "two", life_s=None)

    async def scenario() -> None:
        auth = GoogleAuth(credentials, PROJECT)
        assert {await auth.token() for _ in range(10)} == {"one"}

    run(scenario)


def test_a_token_that_seems_to_have_run_out_when_it_comes_is_used_all_the_same() -> None:
    """As when this machine's clock is hours ahead and the answer names the time of the end."""
    credentials = Fixed("one", "two", life_s=-7200)

    async def scenario() -> None:
        auth = GoogleAuth(credentials, PROJECT)
        assert {await auth.token() for _ in range(10)} == {"one"}
        assert credentials.refreshes == 1

    run(scenario)


@pytest.mark.parametrize("token", ["", "two words", "line\r\nx-injected: yes", "é"])
def test_a_token_that_fits_no_header_is_none(token: str) -> None:
    async def scenario() -> None:
        with pytest.raises(TransientError, match="no token"):
            await GoogleAuth(Fixed(token), PROJECT).token()

    run(scenario)


def test_credentials_that_are_refused_are_looked_for_anew() -> None:
    old, new = Fixed(failure("invalid_grant: Invalid JWT Signature.")), Fixed("one", "two")

    async def scenario() -> None:
        auth = GoogleAuth(old, PROJECT, find_again=lambda: new)
        assert await auth.token() == "one"
        assert await auth.renewed("one") == "two"
        assert (old.refreshes, new.refreshes) == (1, 2)

    run(scenario)


def test_credentials_that_are_gone_say_so() -> None:
    def gone() -> Credentials:
        raise AuthenticationFailed("The credentials file is gone.")

    async def scenario() -> None:
        auth = GoogleAuth(Fixed(failure("invalid_grant")), PROJECT, find_again=gone)
        with pytest.raises(AuthenticationFailed, match="is gone"):
            await auth.token()

    run(scenario)


@pytest.mark.parametrize("skew_s", [-600, 600])
def test_a_clock_ten_minutes_off_is_named_as_the_reason(tmp_path: Path, skew_s: float) -> None:
    async def scenario(tokens: TokenServer) -> None:
        auth = GoogleAuth(key_of(tokens, tmp_path), PROJECT)
        with pytest.raises(AuthenticationFailed, match="Set the clock"):
            await auth.token()

    with TokenServer(clock_skew_s=skew_s, tolerance_s=60) as tokens:
        if skew_s < 0:
            run(lambda: scenario(tokens))
        else:
            # Ten minutes behind, an assertion of an hour is still good.
            run(lambda: _has_token(key_of(tokens, tmp_path)))


async def _has_token(credentials: Credentials) -> None:
    assert await GoogleAuth(credentials, PROJECT).token()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer(b"<html>", 500), TransientError),
        (json_answer({"error": "invalid_grant", "error_description": "Bad"}, 400), None),
        (json_answer({"error": {"message": "no"}}, 403), None),
        (Answer(b"not JSON"), None),
        (json_answer({}), None),
        (json_answer([]), None),
        (json_answer({"access_token": 5}), None),
        (json_answer({"access_token": "x", "expires_in": "soon"}), None),
        (Answer(bytes(2_000_000)), TransientError),
    ],
    ids=range(9),
)
def test_no_answer_of_a_token_endpoint_raises_anything_but_our_errors(
    tmp_path: Path, answer: Answer, kind: type[TileserverError] | None
) -> None:
    class Odd(TokenServer):
        async def honest(self, asked: Asked) -> Answer:
            return answer

    async def scenario() -> None:
        with Odd() as tokens:
            with pytest.raises(kind or TileserverError) as raised:
                await GoogleAuth(key_of(tokens, tmp_path), PROJECT).token()
            assert type(raised.value) in (AuthenticationFailed, TransientError)

    run(scenario)


def test_a_token_endpoint_that_is_away_is_a_trouble_that_may_pass(tmp_path: Path) -> None:
    async def scenario() -> None:
        with TokenServer() as tokens:
            credentials = key_of(tokens, tmp_path)
        with pytest.raises(TransientError, match="cannot be reached"):
            await GoogleAuth(credentials, PROJECT).token()

    run(scenario)


@pytest.mark.slow
def test_an_answer_that_drips_is_given_up(tokens: TokenServer) -> None:
    request = HttpxRequest()
    tokens.inject("slow_body")
    with ends_soon(), pytest.raises(exceptions.TransportError):
        request(tokens.token_uri, "POST", b"", timeout=1.5)


def test_the_adapter_gives_status_headers_and_bytes_whatever_the_status(api: Api) -> None:
    with httpx.Client(trust_env=False, timeout=60) as own:
        for request in (HttpxRequest(), HttpxRequest(own)):
            answer = request(api.url, "POST", b"x", {"x-mine": "yes"}, timeout=SOON_S)
            assert (answer.status, answer.data) == (401, b"{}")
            assert answer.headers["content-length"] == "2"
    assert api.seen[-1].headers["x-mine"] == "yes"
    with refusing() as nowhere, pytest.raises(exceptions.TransportError, match="refused"):
        HttpxRequest()(nowhere)
    with pytest.raises(exceptions.TransportError):
        HttpxRequest()("no address")


def test_it_is_not_for_a_client_that_blocks(auth: GoogleAuth, api: Api) -> None:
    with (
        httpx.Client(auth=auth, trust_env=False, timeout=60) as asking,
        pytest.raises(RuntimeError, match="AsyncClient"),
    ):
        asking.get(api.url)


def test_no_token_or_key_is_ever_written(
    tokens: TokenServer,
    api: Api,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    credentials = key_of(tokens, tmp_path)
    key = json.loads((tmp_path / "key.json").read_text())["private_key"]
    shown: list[str] = []

    async def scenario() -> None:
        auth = GoogleAuth(credentials, PROJECT)
        async with client(auth) as asking:
            shown.append(repr(await asking.get(api.url)))
            tokens.revoke()
            shown.append(repr(await asking.get(api.url)))
            tokens.revoke()
            tokens.inject("invalid_grant", times=None)
            try:
                await asking.get(api.url)
            except AuthenticationFailed as exc:
                logging.getLogger("test").exception("failed")
                shown.extend((repr(exc), str(exc), repr(auth), repr(vars(auth))))

    run(scenario)
    out, err = capfd.readouterr()
    everything = "\n".join((caplog.text, out, err, *shown))
    assert "invalid_grant" in everything
    assert "canary" not in everything
    assert not any(line in everything for line in key.splitlines()[1:-1])
