"""What is drawn of an asset whose layer says nothing of its looks."""

from __future__ import annotations

from tileserver.contract.assets import ImageAsset
from tileserver.contract.true_color import true_color


def default_bands(asset: ImageAsset) -> tuple[str, ...]:
    """Return the red, green and blue bands, the first three where no colours can be told, or one.

    One band is drawn of an image with fewer than three.
    """
    if len(asset.bands) < 3:
        return asset.band_ids[:1]
    return true_color(asset) or asset.band_ids[:3]
