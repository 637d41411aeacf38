"""rio-tiler behind the fewest lines of Starlette; runs in the environment of the peer."""

from __future__ import annotations

from rio_tiler.colormap import cmap
from rio_tiler.io import Reader
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


def tile(request: Request) -> Response:
    """Answer a tile; Starlette calls it in a thread."""
    query, path = request.query_params, request.path_params
    low, high = map(float, query["rescale"].split(","))
    with Reader(query["url"]) as source:
        image = source.tile(
            *(path["x"], path["y"], path["z"]),
            indexes=tuple(map(int, query.getlist("bidx"))),
            tilesize=256,
        )
    image.rescale(((low, high),))
    palette = cmap.get(query["colormap_name"]) if "colormap_name" in query else None
    return Response(image.render(img_format="PNG", colormap=palette), media_type="image/png")


app = Starlette(routes=[Route("/tiles/{z:int}/{x:int}/{y:int}.png", tile)])
