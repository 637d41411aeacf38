"""An Earth Engine for tests: a real HTTP server on loopback over the local engine.

    with TokenServer() as tokens, StandIn(folder, accepts=tokens.accepts, latency_s=0.3) as engine:
        engine.inject("reset_mid_body")
        ...  # ask engine.url
        assert engine.count("getPixels") == 2

It refuses what Earth Engine refuses, in its words: unknown members, bad tokens, requests too
large, more than 40 at once. `loopback.FAULTS` are the names of what can be injected.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.loopback import FAULTS, Answer, Asked, Loopback, error_answer, json_answer
from tests.support.standin_expressions import (
    Expression,
    describe,
    expression_pixels,
    first_asset_name,
)
from tests.support.standin_faults import (
    SERVICE_DISABLED,
    TOO_MANY,
    UNAUTHENTICATED,
    UNRESOLVABLE,
    refusing,
    unroutable,
)
from tests.support.standin_tls import TlsFlaw, make_authority, tls_context
from tests.support.standin_tokens import MetadataServer, TokenServer, bearer
from tileserver.contract.names import check_asset_name
from tileserver.contract.pixels import PixelRequest
from tileserver.contract.wire import request_from_json
from tileserver.errors import AssetNotFound, InvalidRequest, NotFound, TileserverError
from tileserver.geo.completion import complete
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.engine import LocalRasters
from tileserver.rasters.roots import Root
from tileserver.rendering.encoders import media_type

__all__ = [
    "FAULTS",
    "SERVICE_DISABLED",
    "TOO_MANY",
    "UNRESOLVABLE",
    "MetadataServer",
    "StandIn",
    "TlsFlaw",
    "TokenServer",
    "make_authority",
    "refusing",
    "tls_context",
    "unroutable",
]

TOKEN = "ya29.canary-of-the-stand-in"
"""The one token that is good where no `accepts` is given."""
PREFIX = "projects/stand-in/assets"
"""Where the assets of a folder go that comes without a prefix."""
TILE_AREA = 256 * 256
MAX_PAYLOAD = 10_485_760
_HELD = 1024
_PATH = re.compile(r"/v1(?:alpha|beta)?/(?P<name>projects/[^:]+?)(?::(?P<verb>\w+))?")
_HINT = re.compile(r" Known here: | Bands: |; expected one of ")
_PIXELS = ("getPixels", "computePixels")


class StandIn(Loopback):
    """Earth Engine's REST API, as far as the server uses it."""

    def __init__(
        self,
        *roots: Root | Path | str,
        accepts: Callable[[str], bool] | None = None,
        latency_s: float = 0.0,
        per_tile_s: float = 0.0,
        slots: int = 40,
        requests_per_second: int | None = None,
        projects: tuple[str, ...] | None = None,
        tls: ssl.SSLContext | None = None,
        idle_s: float | None = None,
        held: dict[object, bytes] | None = None,
    ) -> None:
        """Make a server that `with` starts.

        Args:
            roots: local rasters; a path stands for itself below `PREFIX`.
            accepts: tells a good token; without it `TOKEN` is the one.
            latency_s: every request takes at least this long.
            per_tile_s: and pixels this much longer for every 256x256 of their area.
            slots: requests at once; those above get 429.
            requests_per_second: those above get 429; None is any number.
            projects: what x-goog-user-project may be; None is anything.
            tls: speak TLS, see `tls_context`.
            idle_s: close connections that were unused for so long.
            held: pixels by request, shared with other stand-ins over the same rasters.
        """
        super().__init__(tls, idle_s)
        places = [each if isinstance(each, Root) else Root(str(each), PREFIX) for each in roots]
        self.rasters = LocalRasters(Catalogue(places))
        self.accepts = accepts or (lambda token: token == TOKEN)
        self.latency_s = latency_s
        self.per_tile_s = per_tile_s
        self.slots = slots
        self.requests_per_second = requests_per_second
        self.projects = projects
        self.waits_for = 0.0
        """No pixels are answered before so many requests were in flight at once; math.inf holds
        all of them until it is lowered."""
        self.quota_status: str | None = None
        """Sent as x-earth-engine-quota-status."""
        self._busy = 0
        self._arrivals: deque[float] = deque()
        self._held = {} if held is None else held

    @property
    def pixel_requests(self) -> int:
        """Requests for pixels so far, refused ones included."""
        return sum(self.count(kind) for kind in _PIXELS)

    def __exit__(self, *exc_info: object) -> None:
        """End, and close the rasters."""
        super().__exit__(*exc_info)
        self.rasters.close()

    def kind(self, asked: Asked) -> str:
        """`getPixels`, `computePixels`, `compute`, `listAssets`, `getAsset`, or nothing."""
        match = _PATH.fullmatch(asked.path)
        if match is None:
            return ""
        verbs = {("POST", v): v for v in _PIXELS} | {
            ("POST", "compute"): "compute",
            ("GET", "listAssets"): "listAssets",
            ("GET", None): "getAsset",
        }
        return verbs.get((asked.method, match["verb"]), "")

    async def honest(self, asked: Asked) -> Answer:
        """Return what Earth Engine would answer."""
        refusal = self._refusal(asked)
        if refusal is not None:
            return refusal
        self._busy += 1
        try:
            return await self._admitted(asked)
        finally:
            self._busy -= 1

    async def _admitted(self, asked: Asked) -> Answer:
        ready_s = asked.arrived_s + self.latency_s
        try:
            answer = await self._answer_kind(asked)
        except TileserverError as exc:
            answer = _failure(exc)
        if asked.kind in _PIXELS and answer.status == 200:
            ready_s += self.per_tile_s * int(answer.headers["x-stand-in-area"]) / TILE_AREA
        while asked.kind in _PIXELS and self.max_in_flight < self.waits_for:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        # What the work itself took is part of the latency, not on top of it.
        await asyncio.sleep(max(ready_s - time.monotonic(), 0))
        if self.quota_status is None:
            return answer
        headers = {**answer.headers, "x-earth-engine-quota-status": self.quota_status}
        return Answer(answer.body, answer.status, headers)

    def _refusal(self, asked: Asked) -> Answer | None:
        if self._busy >= self.slots or self._is_too_fast():
            return error_answer(429, TOO_MANY, "RESOURCE_EXHAUSTED")
        if not self.accepts(bearer(asked)):
            challenge = {"www-authenticate": 'Bearer realm="https://accounts.google.com/"'}
            return error_answer(401, UNAUTHENTICATED, "UNAUTHENTICATED", challenge)
        project = asked.headers.get("x-goog-user-project")
        if project and self.projects is not None and project not in self.projects:
            message = f"Caller does not have required permission to use project {project}."
            return error_answer(403, message, "PERMISSION_DENIED")
        if len(asked.body) > MAX_PAYLOAD:
            message = f"Request payload size exceeds the limit: {MAX_PAYLOAD} bytes."
            return error_answer(400, message, "INVALID_ARGUMENT")
        return None

    def _is_too_fast(self) -> bool:
        if self.requests_per_second is None:
            return False
        now = time.monotonic()
        while self._arrivals and self._arrivals[0] <= now - 1:
            self._arrivals.popleft()
        self._arrivals.append(now)
        return len(self._arrivals) > self.requests_per_second

    async def _answer_kind(self, asked: Asked) -> Answer:
        match = _PATH.fullmatch(asked.path)
        name = match["name"] if match else ""
        match asked.kind:
            case "getPixels":
                request = request_from_json(check_asset_name(name), _json(asked))
                return await self._pixels(request)
            case "computePixels":
                return await self._computed(_json(asked))
            case "compute" if name.endswith("/value"):
                return await self._described(_json(asked))
            case "getAsset":
                asset = await self.rasters.get_asset(check_asset_name(name))
                return json_answer(asset.to_json())
            case "listAssets":
                return json_answer(await asyncio.to_thread(self._listed, name, asked.query))
            case _:
                return Answer(b"<!DOCTYPE html><title>Error 404 (Not Found)!!1</title>", 404)

    async def _pixels(self, request: PixelRequest) -> Answer:
        asset = await self.rasters.get_asset(request.asset_id)
        grid = complete(request, asset)
        key = (request, asset.version)
        body = self._held.get(key)
        if body is None:
            body = await self.rasters.get_pixels(request)
            self._keep(key, body)
        return _image(request, body, grid.width * grid.height)

    async def _computed(self, members: Any) -> Answer:
        if not isinstance(members, dict) or "expression" not in members:
            raise InvalidRequest("Invalid value: expected an expression.")
        if "region" in members:
            raise InvalidRequest(
                'Invalid JSON payload received. Unknown name "region": Cannot find field.'
            )
        rest = {name: value for name, value in members.items() if name != "expression"}
        expression = Expression.of(members["expression"])
        request = request_from_json(first_asset_name(self.rasters, expression), rest)
        try:
            pixels = await asyncio.to_thread(expression_pixels, self.rasters, expression, request)
        except AssetNotFound as exc:
            raise _not_loaded(exc) from exc
        return _image(request, pixels.body, pixels.area)

    async def _described(self, members: Any) -> Answer:
        if not isinstance(members, dict) or set(members) != {"expression"}:
            raise InvalidRequest("Invalid value: expected an expression.")
        expression = Expression.of(members["expression"])
        try:
            result = await asyncio.to_thread(describe, self.rasters, expression)
        except AssetNotFound as exc:
            raise _not_loaded(exc) from exc
        return json_answer({"result": result})

    def _keep(self, key: object, body: bytes) -> None:
        """Hold a body for the next who asks, so that many tests share the work of one."""
        if len(self._held) >= _HELD:
            self._held.pop(next(iter(self._held)))
        self._held[key] = body

    def _listed(self, parent: str, query: dict[str, str]) -> dict[str, Any]:
        below = parent if "/assets" in parent else f"{parent}/assets"
        below = below.rstrip("/") + "/"
        catalogue = self.rasters.catalogue
        names = catalogue.names(below)
        if not names:
            raise AssetNotFound(parent)
        children = sorted({below + name.removeprefix(below).split("/")[0] for name in names})
        first = int(query.get("pageToken") or 0)
        size = int(query.get("pageSize") or 1000)
        is_basic = query.get("view") == "BASIC"
        assets = []
        for child in children[first : first + size]:
            if child not in names:
                assets.append({"type": "FOLDER", "name": child, "id": child})
                continue
            asset = catalogue.find(child).asset.to_json()
            assets.append({n: asset[n] for n in ("type", "name", "id")} if is_basic else asset)
        page: dict[str, Any] = {"assets": assets}
        if first + size < len(children):
            page["nextPageToken"] = str(first + size)
        return page


def _not_loaded(exc: AssetNotFound) -> InvalidRequest:
    named = str(exc).removesuffix(" not found.")
    return InvalidRequest(
        f"Image.load: Image {named[0].lower()}{named[1:]} not found (does not exist or caller does "
        "not have access)."
    )


def _json(asked: Asked) -> Any:
    try:
        return asked.json()
    except ValueError as exc:
        raise InvalidRequest("Invalid JSON payload received. Unexpected token.") from exc


def _image(request: PixelRequest, body: bytes, area: int) -> Answer:
    headers = {
        "content-type": media_type(request.file_format, body),
        "x-stand-in-area": str(area),
    }
    return Answer(body, 200, headers)


def _failure(exc: TileserverError) -> Answer:
    if isinstance(exc, NotFound):
        return error_answer(404, str(exc), "NOT_FOUND")
    if isinstance(exc, InvalidRequest):
        # The local engine goes on to say what would have been right; Earth Engine does not.
        message = _HINT.split(str(exc))[0]
        return error_answer(400, message, "INVALID_ARGUMENT")
    return error_answer(500, "An internal error has occurred.", "INTERNAL")
