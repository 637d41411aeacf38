"""The methods that read stored assets: metadata, lists, pixels.

Of getPixels, beside what `grids`, `render` and `encoders` say of it:

- bands, formats and grids are those of
  https://developers.google.com/earth-engine/reference/rest/v1/projects.assets/getPixels;
- no fileFormat is AUTO_JPEG_PNG, as the official client has it;
- the state of the file is part of what is cached, so a replaced file never serves old pixels;
- a folder, a collection and what nobody may read have no pixels: 400, 404 and the same 404.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from starlette.responses import Response

from tileserver.contract.assets import ImageAsset
from tileserver.contract.wire import request_from_json
from tileserver.errors import AssetNotFound, InvalidRequest
from tileserver.rasters.folders import Tree
from tileserver.rest.assets import image_json
from tileserver.rest.calls import Api, Call, json_answer, pixels_answer
from tileserver.rest.filters import with_prefixes
from tileserver.rest.listing import is_seen, list_page, read_page
from tileserver.rest.names import full_name, is_root, parent_name


async def get_asset(call: Call) -> Response:
    """Answer GET {name}."""
    api, name = call.api, parent_name(call.path["name"])
    if not api.is_local(f"{name}/"):
        if not api.services.layers.may_read(name):
            raise AssetNotFound(name)
        assert api.remote is not None
        return json_answer(await api.remote.get_asset(name))
    # An image that may not be read is looked for like a folder that there is not.
    if api.services.layers.may_read(name) and await api.in_thread(api.tree.is_image, name):
        asset = await _find_image(api, name)
        return await api.services.geometry.call(lambda: json_answer(image_json(asset)))
    return json_answer(await api.in_thread(_folder_json, api, name))


def _check_access(api: Api, name: str) -> None:
    if not api.services.layers.may_read(name):
        raise AssetNotFound(name)


def _folder_json(api: Api, name: str) -> dict[str, Any]:
    folder = api.tree.folder(name)
    if not is_seen(api.tree, folder, api.services.layers.may_read):
        raise AssetNotFound(name)
    return folder.to_json()


async def list_assets(call: Call) -> Response:
    """Answer GET {parent}:listAssets."""
    return await _listed(call, only_images=False)


async def list_images(call: Call) -> Response:
    """Answer GET {parent}:listImages, which is listAssets with images alone."""
    return await _listed(call, only_images=True)


async def _listed(call: Call, only_images: bool) -> Response:
    api, parent = call.api, parent_name(call.path["parent"])
    page = await api.services.geometry.call(read_page, call.query, only_images)
    if api.remote is None or api.holds_local(parent):
        may_read = api.services.layers.may_read
        return await api.in_thread(lambda: json_answer(list_page(api.tree, parent, page, may_read)))
    if not _may_list(api, parent):
        if is_root(parent):
            return json_answer({})
        raise AssetNotFound(parent)
    query = _remote_query(call.query) if only_images else call.query
    return json_answer(_readable(api, await api.remote.list_assets(parent, query), only_images))


def _may_list(api: Api, name: str) -> bool:
    # What "folder/**" allows is allowed to be listed, too.
    return any(map(api.services.layers.may_read, (name, f"{name}/")))


def _remote_query(query: Mapping[str, str]) -> dict[str, str]:
    """Return the query of listAssets for one of listImages, which Earth Engine's v1 has not."""
    parts = [
        f'{name} {sign} "{query[name]}"'
        for name, sign in (("startTime", ">="), ("endTime", "<"))
        if query.get(name)
    ]
    if query.get("region"):
        region = json.dumps(json.loads(query["region"].replace("'", '"'))).replace('"', "'")
        parts.append(f'intersects("{region}")')
    if query.get("filter"):
        parts.append(f"({with_prefixes(query['filter'])})")
    kept = {name: query[name] for name in ("pageSize", "pageToken", "view") if query.get(name)}
    return {**kept, "filter": " AND ".join(parts)} if parts else kept


def _readable(api: Api, page: Mapping[str, Any], only_images: bool) -> dict[str, Any]:
    """Return a page of Earth Engine's without what may not be read here."""
    found = [
        each
        for each in page.get("assets") or []
        if _may_list(api, str(each.get("name", "")))
        and (not only_images or each.get("type") == "IMAGE")
    ]
    kept = {"images" if only_images else "assets": found} if found else {}
    token = page.get("nextPageToken")
    return {**kept, "nextPageToken": token} if token else kept


async def get_pixels(call: Call) -> Response:
    """Answer POST {name}:getPixels."""
    api, name = call.api, full_name(call.path["name"])
    asked = await call.json(lambda body: request_from_json(name, body))
    _check_access(api, name)
    try:
        asset = await _find_image(api, name)
    except AssetNotFound:
        if api.is_local(name):
            await api.in_thread(_refuse_folder, api.tree, name)
        raise
    asked = replace(asked, asset_version=asset.version)
    return pixels_answer(asked, await call.pixels(asked))


async def _find_image(api: Api, name: str) -> ImageAsset:
    """Return an image; of a local one, as its file is at this moment and not a little before."""
    if api.is_local(name):
        return (await api.in_thread(api.tree.catalogue.find, name, 0.0)).asset
    return await api.services.layers.source.get_asset(name)


def _refuse_folder(tree: Tree, name: str) -> None:
    kind = tree.folder(name).to_json()["type"]
    raise InvalidRequest(f"Asset {name!r} is not an IMAGE but a {kind}, which has no pixels.")
