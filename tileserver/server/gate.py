"""The middleware that admits requests and adds headers to every response."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from tileserver.concurrency.deadline import deadline
from tileserver.errors import TileserverError
from tileserver.http.addresses import base_url
from tileserver.http.clients import KEY_NAME, client_of
from tileserver.http.disconnects import ClientGone
from tileserver.http.error_responses import on_error
from tileserver.http.hosts import sender_of
from tileserver.http.keys import Holder, take_query_keys
from tileserver.http.request_ids import request_id
from tileserver.http.responses import COMMON_HEADERS, QUERY_KEY, rest_path
from tileserver.http.routes import Resource, row_of
from tileserver.http.rules import Rules
from tileserver.rest.errors import answer_error
from tileserver.rest.requests import Bodies, read_body

RawHeaders = list[tuple[bytes, bytes]]

_ONE_ORIGIN: RawHeaders = [
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-content-type-options", b"nosniff"),
]
_SHOWN_ANYWHERE: RawHeaders = [
    (b"cross-origin-resource-policy", b"cross-origin"),
    (b"x-content-type-options", b"nosniff"),
]
_READ_ANYWHERE: RawHeaders = [
    *_SHOWN_ANYWHERE,
    (b"access-control-allow-origin", b"*"),
    (
        b"access-control-expose-headers",
        b"ETag, Cache-Status, Server-Timing, Retry-After, X-Request-Id",
    ),
    (b"timing-allow-origin", b"*"),
]
"""For pages of every origin, which read it without credentials."""
_SANDBOX = (
    b"content-security-policy",
    b"default-src 'none'; style-src 'unsafe-inline'; sandbox",
)
"""For responses that a browser opens by their URL; the map page has a policy of its own."""
_PREFLIGHT = {
    "access-control-allow-headers": "Authorization, Content-Type, X-API-Key, If-None-Match",
    "access-control-max-age": "86400",
}
_READING = "GET, HEAD, OPTIONS"
_READING_BY_POST = "GET, HEAD, POST, OPTIONS"
_BODY_S = 10.0
"""Limit for a body that may hold the key, so that clients without one free memory soon."""
_CHALLENGES = ('Basic realm="tileserver", charset="UTF-8"', 'Bearer realm="tileserver"')


class Gate:
    """Admit requests by rules, add headers to responses, answer OPTIONS, refuse websockets."""

    def __init__(self, app: ASGIApp, rules: Rules, bodies: Bodies) -> None:
        self.app = app
        self.rules = rules
        self.bodies = bodies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it before any work is done for it."""
        if scope["type"] == "websocket":
            await WebSocketClose()(scope, receive, send)
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        resource = self.rules.resource(scope["path"], rest_path(scope))
        own_id = request_id(scope["headers"])
        common = [*self._sharing(resource), (b"x-request-id", own_id)]
        state = scope.setdefault("state", {})
        state["request_id"], state[COMMON_HEADERS] = own_id.decode(), [*common, _SANDBOX]
        answer: ASGIApp
        try:
            answer, receive = await self._admitted(resource, scope, receive)
        except TileserverError as exc:
            answer = await _refusal(scope, exc)
        except ClientGone:
            answer = Response(status_code=499)
        await answer(scope, receive, self._with_headers(common, send))

    async def _admitted(
        self, resource: Resource, scope: Scope, receive: Receive
    ) -> tuple[ASGIApp, Receive]:
        """Return the application that answers a request, and the request's body.

        Raises:
            TileserverError: the request is not admitted.
        """
        sender = sender_of(scope["headers"])
        if scope["method"] == "POST" and sender.origin is not None:
            # Pages behind a proxy post to the address that they know. A response to GET may be
            # repeated for whoever sends the same headers, so there none of a proxy's may decide.
            sender = sender._replace(address=base_url(Request(scope), self.rules.hosts.public_url))
        self.rules.check_host(resource, sender)
        if scope["method"] == "OPTIONS":
            return _preflight(resource, scope["path"]), receive
        holder = None
        if self.rules.keys:
            receive, holder = await self._holder(resource, scope, receive)
        self.rules.check_sender(resource, scope["method"], sender, holder)
        self.rules.check_asset(resource, scope["path"], sender)
        return self.app, receive

    def _with_headers(self, common: RawHeaders, send: Send) -> Send:
        """Return `send` with headers added to the response."""
        is_keyed = bool(self.rules.keys)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                # No response has any of these yet; checking for each would cost more than the rest.
                has_policy = any(name == _SANDBOX[0] for name, _ in message["headers"])
                own = () if has_policy else (_SANDBOX,)
                message["headers"] = [*message["headers"], *common, *own]
                if is_keyed:
                    _keep_to_one_holder(MutableHeaders(scope=message))
            await send(message)

        return send_with_headers

    async def _holder(
        self, resource: Resource, scope: Scope, receive: Receive
    ) -> tuple[Receive, Holder | None]:
        """Return the holder of the request's key, and take the key out of the query string."""
        keys = self.rules.keys
        scope["query_string"], in_query = take_query_keys(scope["query_string"])
        holder = keys.holder(scope["headers"], in_query)
        if holder is None and resource is Resource.API and _has_query_as_body(scope):
            with self.bodies.room(client_of(scope)) as room:
                async with deadline(_BODY_S, scope["path"][:80]):
                    body = await read_body(Request(scope, receive), room)
            receive, holder = _again(body, receive), keys.holder((), take_query_keys(body)[1])
        if holder:
            scope["state"][KEY_NAME] = holder.name
            scope["state"][QUERY_KEY] = holder.in_query
        return receive, holder

    def _sharing(self, resource: Resource) -> RawHeaders:
        """Return the headers that say which web pages may read the response."""
        if resource in (Resource.ASSET, Resource.API, Resource.FIGURES):
            is_hidden = resource is not Resource.ASSET or self.rules.is_private
            return _ONE_ORIGIN if is_hidden else _SHOWN_ANYWHERE
        return _SHOWN_ANYWHERE if resource is Resource.PICTURE else _READ_ANYWHERE


def _keep_to_one_holder(headers: MutableHeaders) -> None:
    """Forbid shared caches to store a response that needs a key."""
    kept = headers.get("cache-control", "").replace("public", "private")
    if "private" not in kept and "no-store" not in kept:
        kept = f"private, {kept}" if kept else "private"
    headers["cache-control"] = kept
    headers.add_vary_header("Authorization, X-API-Key")


def _preflight(resource: Resource, path: str) -> Response:
    is_api = resource in (Resource.API, Resource.PICTURE)
    row = row_of(path)
    # Areas are posted; that reads pixels, and changes nothing.
    is_posted = is_api or (row is not None and "POST" in row.methods)
    methods = _READING_BY_POST if is_posted else _READING
    headers = {"allow": methods}
    if not is_api and resource not in (Resource.ASSET, Resource.FIGURES):
        headers |= {"access-control-allow-methods": methods, **_PREFLIGHT}
    return Response(status_code=204, headers=headers)


async def _refusal(scope: Scope, exc: TileserverError) -> Response:
    if rest_path(scope) is not None:
        response = answer_error(exc)
    else:
        response = await on_error(Request(scope), exc)
    if response.status_code == 401:
        for challenge in _CHALLENGES:
            response.headers.append("www-authenticate", challenge)
    return response


def _has_query_as_body(scope: Scope) -> bool:
    """Tell whether a POST stands for a GET with too long a URL, as Google's clients send it."""
    override = (b"x-http-method-override", b"get")
    lowered = ((name, value.lower()) for name, value in scope["headers"])
    return scope["method"] == "POST" and override in lowered


def _again(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that repeats a body already read, then goes on with the original."""
    left = [body]

    async def receive_again() -> Message:
        if left:
            return {"type": "http.request", "body": left.pop(), "more_body": False}
        return await receive()

    return receive_again
