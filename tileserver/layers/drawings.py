"""How a layer is drawn, in full: what a client needs to colour its values as the server does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tileserver.contract.pixels import VisualizationOptions
from tileserver.contract.processing import Processing
from tileserver.errors import InvalidRequest
from tileserver.layers.layers import Layer

_PLAIN = VisualizationOptions()


def drawing(layer: Layer) -> dict[str, Any] | None:
    """Return how the values of a layer become colours, as JSON; None if they cannot be drawn.

    Beside the members of `drawing_json` it has `made`, whether processing makes the bands of
    others; `processed`, whether the layer has steps of its own that change its looks; and `light`,
    whether elevations are shaded by the light on them, which their values do not tell.
    """
    steps, own = layer.processing or Processing(), layer.definition.processing
    try:
        options = layer.style.options()
    except InvalidRequest:
        return None
    return {
        **drawing_json(layer.style.bands, options, steps),
        "made": bool(steps.makes),
        "processed": steps.changes_looks or (own is not None and own.changes_looks),
        "light": bool(steps.relief),
    }


def drawing_json(
    bands: Sequence[str], options: VisualizationOptions | None, steps: Processing
) -> dict[str, Any]:
    """Return how bands become colours; `processing.drawing` and `rendering.render` do it.

    `ranges` has one pair for all bands or one each; none clips to 0..255. `palette` has hex
    colours. `curve` is log or equalize, which has `quantiles` of each band. `classes` are [low,
    high or null, [red, green, blue, alpha]]; where there are some, nothing else counts but the
    opacity.
    """
    options = options or _PLAIN
    return {
        "bands": list(bands),
        "ranges": [[each.min, each.max] for each in options.ranges],
        "palette": list(options.palette_colors),
        "gamma": options.gamma,
        "opacity": options.opacity,
        "curve": str(steps.shading.curve) if steps.shading else None,
        "quantiles": [list(each) for each in steps.shading.quantiles] if steps.shading else [],
        "classes": [[each.low, each.high, list(each.color)] for each in steps.classes or ()],
    }
