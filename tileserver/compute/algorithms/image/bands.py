"""Images and their bands: load, constants, select, rename, concatenate."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tileserver.compute.algorithms.value.texts import replace as replace_text
from tileserver.compute.coercion import constant_image, to_image
from tileserver.compute.context import Context, check_length
from tileserver.compute.registry import algorithm
from tileserver.compute.text.regex import Patience, Pattern
from tileserver.compute.values.feature import Element
from tileserver.compute.values.image import INDEX, Band, Image, named, stored_image
from tileserver.compute.values.pixel_type import PixelType
from tileserver.contract.pixels import MAX_BANDS
from tileserver.errors import AssetNotFound, InvalidRequest, shown

_PLAIN = re.compile(r"[\w.-]*", re.ASCII)


@algorithm("Image.load(id: String, version: Long = -1) -> Image")
def load(context: Context, asset_id: str, version: int) -> Image:
    """Return the image of an asset."""
    try:
        return stored_image(context.world.find_image(asset_id))
    except AssetNotFound as exc:
        if context.kind_of(asset_id):
            raise InvalidRequest(f"Asset '{asset_id[:200]}' is not an Image.") from exc
        raise InvalidRequest(
            f"Image asset '{asset_id[:200]}' not found (does not exist or caller does not have "
            "access)."
        ) from exc


@algorithm("Image.constant(value: Object) -> Image")
def constant(context: Context, value: Any) -> Image:
    """Return an image of one value everywhere, or of several, a band each."""
    image = to_image(value, context)
    if image is None or isinstance(value, str):
        raise InvalidRequest(f"Expected a number or a list of numbers, got {shown(value)}.")
    return image


@algorithm("Image.select(input: Image, bandSelectors: List, newNames: List = null) -> Image")
def select(image: Image, selectors: list[Any], new_names: list[str] | None) -> Image:
    """Return bands by name, by a regular expression for names, or by place."""
    if not image.bands and selectors:
        raise InvalidRequest(
            f"Band pattern {shown(selectors[0])} was applied to an Image with no bands."
        )
    patience = Patience()
    bands: list[Band] = []
    for selector in selectors:
        bands += _matching(image, selector, patience)
        check_length(len(bands), MAX_BANDS, "bands")
    if new_names is None:
        return image.derived(named(bands, [band.id for band in bands]))
    return image.derived(_renamed(bands, new_names))


def _matching(image: Image, selector: Any, patience: Patience) -> list[Band]:
    if isinstance(selector, bool) or not isinstance(selector, str | int | float):
        raise InvalidRequest(f"Expected names or places of bands, got {shown(selector)}.")
    if not isinstance(selector, str):
        place = int(selector)
        if not 0 <= place < len(image.bands):
            raise InvalidRequest(
                f"Band number {place} is out of range: the image has {len(image.bands)} bands."
            )
        return [image.bands[place]]
    found = [band for band in image.bands if band.id == selector]
    if (not found and not _PLAIN.fullmatch(selector)) or (not found and "." in selector):
        pattern = Pattern(selector, patience=patience)
        found = [band for band in image.bands if pattern.fullmatch(band.id)]
    if not found:
        raise InvalidRequest(
            f"Pattern '{selector[:80]}' did not match any bands. Available bands: "
            f"[{', '.join(band[:80] for band in image.band_ids[:20])}]."
        )
    return found


def _renamed(bands: Sequence[Band], names: Sequence[Any]) -> list[Band]:
    if len(names) != len(bands):
        raise InvalidRequest(
            f"The number of names ({len(names)}) must match the number of bands ({len(bands)})."
        )
    if wrong := [name for name in names if not isinstance(name, str) or not name]:
        raise InvalidRequest(f"Expected names of bands, got {shown(wrong[0])}.")
    if len(set(names)) < len(names):
        raise InvalidRequest("The names of bands must not repeat.")
    return [replace(band, id=name) for band, name in zip(bands, names, strict=True)]


@algorithm("Image.rename(input: Image, names: List) -> Image")
def rename(image: Image, names: list[Any]) -> Image:
    """Return the same bands under other names."""
    return image.derived(_renamed(image.bands, names))


@algorithm(
    "Image.regexpRename(input: Image, regex: String, replacement: String, all: Boolean = true)"
    " -> Image"
)
def regexp_rename(image: Image, pattern: str, replacement: str, is_all: bool) -> Image:
    """Return the same bands, what a regular expression matches in their names replaced."""
    flags = "g" if is_all else ""
    names = [replace_text(band.id, pattern, replacement, flags) for band in image.bands]
    return image.derived(_renamed(image.bands, names))


@algorithm(
    "Image.addBands(dstImg: Image, srcImg: Image, names: List = null, overwrite: Boolean = false)"
    " -> Image"
)
def add_bands(first: Image, second: Image, names: list[Any] | None, overwrite: bool) -> Image:
    """Return an image's bands and then another's; a repeated name gets a number."""
    added = second if names is None else select(second, names, None)
    if overwrite:
        replaced = {band.id: band for band in added.bands}
        kept = [replaced.pop(band.id, band) for band in first.bands]
        bands = [*kept, *replaced.values()]
    else:
        bands = [*first.bands, *added.bands]
    check_length(len(bands), MAX_BANDS, "bands")
    return first.derived(named(bands, [band.id for band in bands]))


@algorithm("Image.cat(images: List) -> Image")
def cat(context: Context, images: list[Any]) -> Image:
    """Return the bands of all images, one after another."""
    found = [to_image(each, context) for each in images]
    bands = [band for image in found if image is not None for band in image.bands]
    if None in found:
        raise InvalidRequest("Expected images.")
    check_length(len(bands), MAX_BANDS, "bands")
    first = found[0] if found and found[0] else Image(())
    return Image(tuple(named(bands, [band.id for band in bands])), first.properties)


@algorithm("Image.bandNames(image: Image) -> List")
def band_names(image: Image) -> list[str]:
    """Return the names of the bands."""
    return image.band_ids


@algorithm("Image.bandTypes(image: Image) -> Dictionary")
def band_types(image: Image) -> dict[str, PixelType]:
    """Return the type of each band, by its name."""
    return {band.id: band.type for band in image.bands}


@algorithm("Image.slice(image: Image, start: Integer, end: Integer = null) -> Image")
def slice_bands(image: Image, start: int, end: int | None) -> Image:
    """Return the bands from one place to just before another; negative ones count from the end."""
    return image.derived(image.bands[start:end])


@algorithm("Image.id(element: Element) -> String")
def image_id(element: Element) -> str | None:
    """Return the id of an element within its collection, its system:index; or null.

    Without a collection it is the last part of its name, as for Earth Engine's assets.
    """
    index = element.properties.get(INDEX)
    return element.id if index is None else str(index)


@algorithm("Image.metadata(image: Image, property: String, name: String = null) -> Image")
def metadata(image: Image, name: str, band_name: str | None) -> Image:
    """Return a property that is a number as an image of it."""
    value = image.properties.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidRequest(f"Property '{name[:80]}' is not a number.")
    return constant_image([float(value)], [band_name or name])
