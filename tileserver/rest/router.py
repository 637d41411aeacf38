"""Routes a request to its method, and renders errors as Google API errors."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from tileserver.concurrency.deadline import deadline
from tileserver.concurrency.retry_changed import ask_again
from tileserver.errors import InvalidRequest, Overloaded, TileserverError
from tileserver.http.clients import client_of
from tileserver.http.disconnects import ClientGone
from tileserver.http.endpoints import base_url
from tileserver.http.responses import rest_path
from tileserver.rest import (
    asset_methods,
    export_methods,
    expression_methods,
    operation_methods,
    table_methods,
)
from tileserver.rest.call import Api, Call, json_answer
from tileserver.rest.discovery import discovery_document
from tileserver.rest.errors import answer_error, refuse
from tileserver.rest.method import VERSIONS, Method
from tileserver.rest.methods import METHODS, Found, find_method
from tileserver.rest.requests import Room, read_body, read_query

DISCOVERY = "$discovery/rest"
_FORM = "application/x-www-form-urlencoded"

log = logging.getLogger(__name__)

Handler = Callable[[Call], Awaitable[Response]]


def _handlers() -> Mapping[str, Handler]:
    names = {method.handler for method in METHODS if not method.refusal}
    modules = (asset_methods, export_methods, expression_methods, operation_methods, table_methods)
    places = [vars(module) for module in modules]
    return {name: next(place[name] for place in places if name in place) for name in names}


class RestRouter(BaseRoute):
    """The route of everything below `/v1`, `/v1beta`, `/v1alpha` and `/$discovery`."""

    path = "/v1/{method}"
    """Its label in the metrics."""

    def __init__(self, api: Api, deadline_s: float) -> None:
        self.api = api
        self.deadline_s = deadline_s
        self.handlers = _handlers()

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match paths below the API's own, after any number of leading slashes."""
        is_ours = scope["type"] == "http" and rest_path(scope) is not None
        return (Match.FULL if is_ours else Match.NONE), {"route": self}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, with an error response if its method raises."""
        request = Request(scope, receive)
        try:
            with self.api.bodies.room(client_of(scope)) as room:
                async with deadline(self.deadline_s, scope["path"][:80]):
                    response = await self._answer(request, room)
        except ClientGone:
            response = Response(status_code=499)
        except TileserverError as exc:
            response = answer_error(exc)
            if response.status_code >= 500 and type(exc) is not Overloaded:
                log.warning("%s: %s", scope["path"][:200], exc)
        except Exception:
            request_id = scope.get("state", {}).get("request_id", "")
            log.exception("request %s failed", request_id)
            response = refuse(
                500, "INTERNAL", f"An internal error has occurred, request id {request_id}."
            )
        await response(scope, receive, send)

    async def _answer(self, request: Request, room: Room) -> Response:
        path = rest_path(request.scope) or ""
        http_method = request.method
        query = read_query(request.scope["query_string"])
        override = request.headers.get("x-http-method-override", "").upper()
        if http_method == "POST" and override == "GET":
            # Google's clients send a query that is too long for a URL as a body.
            http_method = override
            query |= read_query(await read_body(request, room))
        if path.startswith("$discovery"):
            return self._discovery(request, http_method, path, query)
        _, _, rest = path.partition("/")
        found = find_method(http_method, rest)
        if not isinstance(found, Found):
            return _no_method(found, http_method, path)
        if found.method.refusal:
            return await _refused(request, room, found.method)
        call = Call(self.api, request, found.parameters, query, room)
        return await ask_again(lambda: self.handlers[found.method.handler](call))

    def _discovery(
        self, request: Request, http_method: str, path: str, query: Mapping[str, str]
    ) -> Response:
        version = query.get("version", VERSIONS[0])
        if path != DISCOVERY:
            return _no_method((), http_method, path)
        if http_method not in ("GET", "HEAD"):
            return _no_method(("GET",), http_method, path)
        if version not in VERSIONS:
            known = ", ".join(VERSIONS)
            return refuse(
                404, "NOT_FOUND", f"Version {version[:20]!r} not found, expected {known}."
            )
        try:
            url = base_url(request)
        except InvalidRequest:
            url = ""
        return json_answer(discovery_document(version, url))


async def _refused(request: Request, room: Room, method: Method) -> Response:
    """Answer a method that is refused, once its body has come: clients send it before they read."""
    await read_body(request, room)
    return refuse(400, "FAILED_PRECONDITION", method.refusal)


def _no_method(others: tuple[str, ...], http_method: str, path: str) -> Response:
    if others:
        allowed = ", ".join(others)
        message = f"Method {http_method[:20]} is not allowed here, expected {allowed}."
        return refuse(405, "UNIMPLEMENTED", message, allow=allowed)
    return refuse(404, "NOT_FOUND", f"Method not found: {http_method[:20]} {path[:200]!r}.")
