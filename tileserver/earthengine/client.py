"""Earth Engine itself, over REST.

https://developers.google.com/earth-engine/reference/rest. What httpx raises becomes one of our
errors here, once; `upstream` judges refusals and `bodies` the pixels.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import anyio
import httpx

from tileserver import metrics
from tileserver.contract.formats import check_side
from tileserver.contract.pixels import ImageFileFormat, PixelRequest
from tileserver.contract.wire import request_to_json
from tileserver.earthengine.abandon import abandonable
from tileserver.earthengine.answers import MAX_BODY_BYTES, CappedBody, max_body_bytes, verify_body
from tileserver.earthengine.connections import Connections
from tileserver.earthengine.refusals import AssetRefused, error_of
from tileserver.errors import (
    DeadlineExceeded,
    InvalidName,
    InvalidRequest,
    Overloaded,
    TransientError,
    UpstreamError,
)
from tileserver.rendering.damaged import DamagedFile
from tileserver.rendering.encoders import encode_picture
from tileserver.rendering.png_reader import png_size, read_picture

_MAX_ERROR_BYTES = 65_536
_QUIET_S = 60.0

_FULL_NAME = re.compile(
    r"projects/(?:[\w.-]+\.\w+:)?[a-z][-a-z0-9]{4,28}[a-z0-9]/assets/.*", re.ASCII | re.DOTALL
)
_HEADERS = {"accept-encoding": "gzip", "content-type": "application/json"}

log = logging.getLogger(__name__)


@contextmanager
def upstream_errors(name: str) -> Iterator[None]:
    """Raise our errors in place of httpx's, naming the asset."""
    try:
        yield
    except httpx.PoolTimeout as exc:
        raise Overloaded(f"{name}: too many requests wait for Earth Engine.", 1) from exc
    except httpx.ConnectTimeout as exc:
        raise TransientError(f"{name}: Earth Engine cannot be reached in time.") from exc
    except (httpx.TimeoutException, TimeoutError) as exc:
        raise DeadlineExceeded(f"{name}: Earth Engine does not answer in time.") from exc
    except httpx.TransportError as exc:
        if _is_untrusted(exc):
            raise UpstreamError(f"{name}: the certificate of the endpoint is not valid.") from exc
        raise TransientError(f"{name}: the connection to Earth Engine failed.") from exc
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as exc:
        raise UpstreamError(f"{name}: Earth Engine's answer cannot be read.") from exc


def _is_untrusted(exc: BaseException) -> bool:
    cause: BaseException | None = exc
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def asset_name(asset_id: str) -> str:
    """Return the name under which Earth Engine's API knows an asset, as the `ee` client does.

    Raises:
        InvalidName: no asset can have that name.

    >>> asset_name("USGS/SRTMGL1_003")
    'projects/earthengine-public/assets/USGS/SRTMGL1_003'
    >>> asset_name("users/someone/scene")
    'projects/earthengine-legacy/assets/users/someone/scene'
    """
    parts = asset_id.split("/")
    if len(asset_id) > 1000 or any(part in ("", ".", "..") for part in parts):
        raise InvalidName(f"{asset_id[:80]!r} is not the name of an asset.")
    if _FULL_NAME.fullmatch(asset_id):
        return asset_id
    home = "legacy" if parts[0] in ("projects", "users") else "public"
    return f"projects/earthengine-{home}/assets/{asset_id}"


class EarthEngine:
    """The pixels and metadata of Earth Engine's assets."""

    def __init__(
        self, client: Connections, project: str, endpoint: str, deadline_s: float = 25
    ) -> None:
        """Ask through a client from `make_client`.

        Args:
            client: signs the requests.
            project: the Google Cloud project in which expressions are computed.
            endpoint: where the API is, such as "https://earthengine.googleapis.com".
            deadline_s: after this many seconds a call has failed, whatever it waits for.
        """
        self.client = client
        self.project = project
        self.endpoint = endpoint.rstrip("/")
        self.deadline_s = deadline_s
        self.is_restricted = False
        """True while Earth Engine says that the project's monthly quota is used up: it then
        grants fewer requests at once."""
        self._told: dict[str, float] = {}

    async def get_pixels(self, request: PixelRequest) -> bytes:
        """Return the encoded pixels, byte for byte as Earth Engine sent them.

        AUTO_JPEG_PNG is asked for as PNG; so are pictures that Earth Engine does not write,
        which are encoded here.

        Raises:
            TileserverError: see `upstream.error_of`, `bodies.verify_body`, `upstream_errors`.
        """
        if request.expression is not None:
            return await self.compute_pixels(json.loads(request.expression), request)
        name = asset_name(request.asset_id)
        asked = _asked(request)
        path = f"{quote(name, safe='/:')}:getPixels"
        return await self._pixels(path, request_to_json(asked), asked, request)

    async def compute_pixels(self, expression: Mapping[str, Any], request: PixelRequest) -> bytes:
        """Return the encoded pixels of a computed image.

        Args:
            expression: what `ee.Image.serialize` writes, parsed.
            request: as in `get_pixels`; its asset_id only names the image in messages.

        Raises:
            InvalidRequest: the request has a region, which computed images do not know.
            TileserverError: as `get_pixels`.
        """
        if request.region is not None:
            raise InvalidRequest(f"{request.asset_id}: a computed image takes a grid, no region.")
        asked = _asked(request)
        body = {"expression": expression, **request_to_json(asked)}
        return await self._pixels(
            f"projects/{self.project}/image:computePixels", body, asked, request
        )

    async def compute_value(self, expression: Mapping[str, Any], name: str) -> Any:
        """Return what `getInfo` of the official client returns: of an image, its description.

        Args:
            expression: what `serialize` writes, parsed.
            name: what stands for it in messages.

        Raises:
            TileserverError: as `get_pixels`.
        """
        content = json.dumps({"expression": expression}, separators=(",", ":")).encode()
        path = f"projects/{self.project}/value:compute"
        document = await self._json("POST", path, name, content=content)
        if "result" not in document:
            raise UpstreamError(f"{name}: expected a result from Earth Engine.")
        return document["result"]

    async def get_asset(self, name: str) -> dict[str, Any]:
        """Return the EarthEngineAsset of that name.

        Raises:
            TileserverError: as `get_pixels`.
        """
        return await self._json("GET", quote(asset_name(name), safe="/:"), name)

    async def list_assets(
        self,
        parent: str,
        page_token: str | None = None,
        page_size: int | None = None,
        filter: str | None = None,
        view: str | None = None,
    ) -> dict[str, Any]:
        """Return one page of the assets in a folder, collection or project.

        Args:
            parent: its name; of a project "projects/ID".
            page_token: `nextPageToken` of the page before.
            page_size: at most so many.
            filter: for collections, such as 'startTime >= "2020-04-01T00:00:00Z"'.
            view: "BASIC" for names and types alone, or "FULL".

        Returns:
            `assets` and, when there are more, `nextPageToken`; either may be absent.

        Raises:
            TileserverError: as `get_pixels`.
        """
        root = re.fullmatch(r"(projects/[^/]+)(/assets/?)?", parent)
        name = root[1] if root else asset_name(parent)
        given = {
            "pageToken": page_token,
            "pageSize": page_size,
            "filter": filter,
            "view": view,
        }
        query = {key: str(value) for key, value in given.items() if value is not None}
        path = f"{quote(name, safe='/:')}:listAssets"
        return await self._json("GET", path, parent, params=query or None)

    async def _pixels(
        self, path: str, body: Mapping[str, Any], asked: PixelRequest, wanted: PixelRequest
    ) -> bytes:
        """POST what is asked, and return it in the format that is wanted."""
        name = wanted.asset_id
        content = json.dumps(body, separators=(",", ":")).encode()
        with metrics.upstream("pixels"), upstream_errors(name):
            async with asyncio.timeout(self.deadline_s):
                found, headers = await abandonable(
                    self._send("POST", path, name, max_body_bytes(asked), content=content)
                )
            pixels = verify_body(found, headers.get("content-type"), asked)
            if not wanted.file_format.row.is_earth_engines:
                pixels = await anyio.to_thread.run_sync(_encoded, pixels, wanted.file_format)
        return pixels

    async def _json(self, method: str, path: str, name: str, **more: Any) -> dict[str, Any]:
        """Ask for a JSON object; `more` is what else `Connections.send` takes."""
        with metrics.upstream("metadata"), upstream_errors(name):
            async with asyncio.timeout(self.deadline_s):
                found, _ = await abandonable(self._send(method, path, name, MAX_BODY_BYTES, **more))
        try:
            document = json.loads(found)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise UpstreamError(f"{name}: expected a JSON object from Earth Engine.")
        return document

    async def _send(
        self, method: str, path: str, name: str, max_bytes: int, **more: Any
    ) -> tuple[bytes, Mapping[str, str]]:
        """Return the body and headers of a 200; raise what any other answer means."""
        url = f"{self.endpoint}/v1/{path}"
        response = await self.client.send(method, url, headers=_HEADERS, **more)
        try:
            self._look_at_quota(response.headers)
            if response.status_code == 200:
                return await _read(response, name, max_bytes), response.headers
            try:
                said = await _read(response, name, _MAX_ERROR_BYTES)
            except UpstreamError:
                said = b""
        finally:
            await response.aclose()
        error = error_of(response.status_code, response.headers, said, name)
        if isinstance(error, AssetRefused):
            self._tell(name, error.reason)
        raise error

    def _look_at_quota(self, headers: Mapping[str, str]) -> None:
        status = headers.get("x-earth-engine-quota-status")
        if status is None:
            return
        restricted = "parallelism_restricted=true" in status
        if restricted and not self.is_restricted:
            log.warning(
                "The project %s has used up its monthly compute quota: Earth Engine grants fewer "
                "requests at once until the month ends.",
                self.project,
            )
        self.is_restricted = restricted

    def _tell(self, name: str, reason: str) -> None:
        """Log why an asset is refused; the same reason not again for a minute."""
        now_s = time.monotonic()
        if now_s - self._told.get(reason, -_QUIET_S) >= _QUIET_S:
            self._told = {r: s for r, s in self._told.items() if now_s - s < _QUIET_S}
            self._told[reason] = now_s
            log.error("%s: Earth Engine refuses the asset. %s", name, reason)


async def _read(response: httpx.Response, name: str, max_bytes: int) -> bytes:
    """Return the body, read only as far as it may be long."""
    try:
        body = CappedBody(response.headers, max_bytes)
        async for chunk in response.aiter_raw():
            body.add(chunk)
        return body.whole()
    except UpstreamError as exc:
        raise UpstreamError(f"{name}: {exc}") from exc.__cause__


def _asked(request: PixelRequest) -> PixelRequest:
    """Return the request as it goes to Earth Engine: with a format that is its own and fixed.

    Raises:
        InvalidRequest: a side is longer than the format that is wanted can have.
    """
    grid = request.grid
    if grid is not None:
        check_side(request.file_format, grid.width or 0, grid.height or 0)
    return replace(request, file_format=request.file_format.upstream)


def _encoded(png: bytes, file_format: ImageFileFormat) -> bytes:
    """Return a PNG of Earth Engine's in a format that it does not write; blocks."""
    try:
        return encode_picture(file_format, read_picture(png, *png_size(png)))
    except DamagedFile as exc:
        raise UpstreamError("Earth Engine's PNG cannot be decoded.") from exc
