"""Earth Engine itself, over REST.

https://developers.google.com/earth-engine/reference/rest. Errors of the transport are translated
here; `refusals` reads error responses, and `answers` checks the pixels.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import aiohttp
import anyio
import httpx
from cachetools import TTLCache

from tileserver import metrics
from tileserver.contract.formats import ImageFileFormat, check_side
from tileserver.contract.grids import PixelGrid
from tileserver.contract.names import upstream_name, upstream_parent
from tileserver.contract.pixels import PixelRequest
from tileserver.contract.wire import request_to_json
from tileserver.earthengine.answers import MAX_BODY_BYTES, CappedBody, max_body_bytes, verify_body
from tileserver.earthengine.masks import masked_npz, masked_request
from tileserver.earthengine.refusals import AssetRefused, error_of
from tileserver.errors import (
    DeadlineExceeded,
    InvalidRequest,
    TileserverError,
    TransientError,
    UpstreamError,
)
from tileserver.rendering.damaged_file import DamagedFile
from tileserver.rendering.encoders import encode_picture
from tileserver.rendering.png_reader import png_size, read_picture

_MAX_ERROR_BYTES = 65_536
_QUIET_S = 60.0
_MAX_LOGGED = 1000

_HEADERS = {"accept-encoding": "gzip", "content-type": "application/json"}

log = logging.getLogger(__name__)


@contextmanager
def upstream_errors(name: str) -> Iterator[None]:
    """Translate errors of the transport into ours, naming the asset."""
    try:
        yield
    except TimeoutError as exc:
        raise DeadlineExceeded(f"{name}: Earth Engine does not answer in time.") from exc
    except (httpx.TransportError, aiohttp.ClientError) as exc:
        raise _connection_error(name, exc) from exc
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as exc:
        raise UpstreamError(f"{name}: Earth Engine's answer cannot be read.") from exc


def _connection_error(name: str, exc: Exception) -> TileserverError:
    """Return our error for a failed connection.

    The cause tells them apart: the transport raises `httpx.ConnectTimeout` for most of aiohttp's.
    """
    causes = list(_causes(exc))
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        return UpstreamError(f"{name}: the certificate of the endpoint is not valid.")
    if any(isinstance(cause, aiohttp.ConnectionTimeoutError) for cause in causes):
        return TransientError(f"{name}: Earth Engine cannot be reached in time.")
    return TransientError(f"{name}: the connection to Earth Engine failed.")


def _causes(exc: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception and all that led to it."""
    while exc is not None:
        yield exc
        exc = exc.__cause__ or exc.__context__


class EarthEngine:
    """The pixels and metadata of Earth Engine's assets."""

    def __init__(
        self, client: httpx.AsyncClient, project: str, endpoint: str, deadline_s: float = 25
    ) -> None:
        """Send requests through a client from `make_client`.

        Args:
            client: signs the requests.
            project: the Google Cloud project in which expressions are computed.
            endpoint: where the API is, such as "https://earthengine.googleapis.com".
            deadline_s: of each call, in seconds.
        """
        self.client = client
        self.project = project
        self.endpoint = endpoint.rstrip("/")
        self.deadline_s = deadline_s
        self.is_restricted = False
        """True while the project's monthly quota is used up: Earth Engine then grants fewer
        concurrent requests."""
        self._logged: TTLCache[str, None] = TTLCache(_MAX_LOGGED, _QUIET_S)

    async def get_pixels(self, request: PixelRequest) -> bytes:
        """Return the encoded pixels, byte for byte as Earth Engine sent them.

        AUTO_JPEG_PNG is requested as PNG; so are pictures that Earth Engine does not
        write, which are encoded here. NPZ is made of an NPY of the bands and their masks.

        Raises:
            TileserverError: see `refusals.error_of`, `answers.verify_body`, `upstream_errors`.
        """
        if request.file_format is ImageFileFormat.NPZ:
            return await self._values(request)
        if request.expression is not None:
            return await self.compute_pixels(json.loads(request.expression), request)
        name = upstream_name(request.asset_id)
        asked = _asked(request)
        path = f"{quote(name, safe='/:')}:getPixels"
        return await self._pixels(path, request_to_json(asked), asked, request)

    async def compute_pixels(self, expression: Mapping[str, Any], request: PixelRequest) -> bytes:
        """Return the encoded pixels of a computed image.

        Args:
            expression: as of `ee.Image.serialize`, parsed.
            request: as in `get_pixels`; its asset_id only names the image in messages.

        Raises:
            InvalidRequest: the request has a region, which computed images do not take.
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
        """Return the value of an expression as `getInfo` does: of an image, its description.

        Args:
            expression: as of `serialize`, parsed.
            name: names it in messages.

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
        return await self._json("GET", quote(upstream_name(name), safe="/:"), name)

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
            page_size: most assets on a page.
            filter: for collections, such as 'startTime >= "2020-04-01T00:00:00Z"'.
            view: "BASIC" for names and types alone, or "FULL".

        Returns:
            `assets` and, when there are more, `nextPageToken`; either may be absent.

        Raises:
            TileserverError: as `get_pixels`.
        """
        name = upstream_parent(parent)
        given = {
            "pageToken": page_token,
            "pageSize": page_size,
            "filter": filter,
            "view": view,
        }
        query = {key: str(value) for key, value in given.items() if value is not None}
        path = f"{quote(name, safe='/:')}:listAssets"
        return await self._json("GET", path, parent, params=query or None)

    async def _values(self, request: PixelRequest) -> bytes:
        """Return the NPZ of a grid, with a single request.

        Raises:
            InvalidRequest: it has no whole grid, or names no bands.
            TileserverError: as `get_pixels`.
        """
        grid, bands = request.grid, request.band_ids
        if not isinstance(grid, PixelGrid) or not bands:
            raise InvalidRequest(f"{request.asset_id}: an NPZ is of a whole grid and named bands.")
        body = await self.get_pixels(masked_request(request, grid, bands))
        with upstream_errors(request.asset_id):
            return await anyio.to_thread.run_sync(masked_npz, body, grid, bands)

    async def _pixels(
        self, path: str, body: Mapping[str, Any], asked: PixelRequest, wanted: PixelRequest
    ) -> bytes:
        """POST a request, and return its pixels in the wanted format."""
        name = wanted.asset_id
        content = json.dumps(body, separators=(",", ":")).encode()
        with metrics.upstream("pixels"), upstream_errors(name):
            async with asyncio.timeout(self.deadline_s):
                found, headers = await self._send(
                    "POST", path, name, max_body_bytes(asked), content=content
                )
            pixels = verify_body(found, headers.get("content-type"), asked)
            if not wanted.file_format.row.is_earth_engines:
                pixels = await anyio.to_thread.run_sync(_encoded, pixels, wanted.file_format)
        return pixels

    async def _json(self, method: str, path: str, name: str, **more: Any) -> dict[str, Any]:
        """Return a JSON object; `more` are arguments of `httpx.AsyncClient.stream`."""
        with metrics.upstream("metadata"), upstream_errors(name):
            async with asyncio.timeout(self.deadline_s):
                found, _ = await self._send(method, path, name, MAX_BODY_BYTES, **more)
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
        """Return the body and headers of a 200; raise the error of any other response."""
        url = f"{self.endpoint}/v1/{path}"
        async with self.client.stream(method, url, headers=_HEADERS, **more) as response:
            self._note_quota_status(response.headers)
            if response.status_code == 200:
                return await _read(response, name, max_bytes), response.headers
            try:
                text = await _read(response, name, _MAX_ERROR_BYTES)
            except UpstreamError:
                text = b""
        error = error_of(response.status_code, response.headers, text, name)
        if isinstance(error, AssetRefused):
            self._log_refusal(name, error.reason)
        raise error

    def _note_quota_status(self, headers: Mapping[str, str]) -> None:
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

    def _log_refusal(self, name: str, reason: str) -> None:
        """Log why an asset is refused, each reason once a minute."""
        if reason not in self._logged:
            self._logged[reason] = None
            log.error("%s: Earth Engine refuses the asset. %s", name, reason)


async def _read(response: httpx.Response, name: str, max_bytes: int) -> bytes:
    """Return the body; raises UpstreamError beyond `max_bytes`."""
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
        InvalidRequest: a side is longer than the format allows.
    """
    grid = request.grid
    if grid is not None:
        check_side(request.file_format, grid.width or 0, grid.height or 0)
    return replace(request, file_format=request.file_format.upstream)


def _encoded(png: bytes, file_format: ImageFileFormat) -> bytes:
    """Return a PNG in a format that Earth Engine does not write; blocks."""
    try:
        return encode_picture(file_format, read_picture(png, *png_size(png)))
    except DamagedFile as exc:
        raise UpstreamError("Earth Engine's PNG cannot be decoded.") from exc
