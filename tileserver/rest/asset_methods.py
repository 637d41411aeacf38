"""The methods that read stored assets: metadata, lists, pixels.

Bands, formats and grids of getPixels are those of
https://developers.google.com/earth-engine/reference/rest/v1/projects.assets/getPixels; without
fileFormat it is AUTO_JPEG_PNG, as in the official client. A folder or collection has no pixels
(400); an asset that may not be read is answered like one that does not exist (404).
"""

from __future__ import annotations

from dataclasses import replace

from starlette.responses import Response

from tileserver.contract.names import full_name, parent_name
from tileserver.contract.wire import request_from_json
from tileserver.rest.call import Call, json_answer, pixels_answer
from tileserver.rest.listing import read_page


async def get_asset(call: Call) -> Response:
    """Answer GET {name}."""
    name = parent_name(call.path["name"])
    asset = await call.api.assets.find(f"{name}/").get_asset(name)
    return await call.api.in_thread(json_answer, asset)


async def list_assets(call: Call) -> Response:
    """Answer GET {parent}:listAssets."""
    return await _page(call, only_images=False)


async def list_images(call: Call) -> Response:
    """Answer GET {parent}:listImages, which is listAssets with images alone."""
    return await _page(call, only_images=True)


async def _page(call: Call, only_images: bool) -> Response:
    api, parent = call.api, parent_name(call.path["parent"])
    page = await api.services.geometry.call(read_page, call.query, only_images)
    found = await api.assets.find_parent(parent).list_assets(parent, page, call.query)
    return await api.in_thread(json_answer, found)


async def get_pixels(call: Call) -> Response:
    """Answer POST {name}:getPixels."""
    name = full_name(call.path["name"])
    request = await call.json(lambda body: request_from_json(name, body))
    asset = await call.api.assets.find(name).find_image(name)
    # The version is part of the cache key, so that a replaced file never shows its old pixels.
    request = replace(request, asset_version=asset.version)
    return pixels_answer(request, await call.pixels(request))
