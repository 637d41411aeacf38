"""A STAC item as an image: its raster assets are files of bands.

https://github.com/radiantearth/stac-spec, versions 1.0 and 1.1, with the extensions EO, Raster and
Render. Nothing in an item is trusted: members of the wrong type are as if they were not there.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from tileserver.contract.band_notes import BandNotes
from tileserver.errors import UnreadableRaster
from tileserver.rasters.band_sets import MAX_FILES, BandFile, BandSet
from tileserver.rasters.files import Place
from tileserver.rasters.stac.renders import visualization

Locate = Callable[[str], Place | str]
"""Returns where the file of a link lies; raises UnreadableRaster if it must not be followed."""

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")
_TIFF_TYPES = ("image/tiff", "image/vnd.stac.geotiff", "image/x-tiff")
_TIFF_NAME = re.compile(r"\.tiff?($|[?#])", re.IGNORECASE)
_NOT_DATA = {"thumbnail", "overview", "metadata"}
_OF_ALL_BANDS = ("unit", "nodata", "eo:common_name", "raster:scale", "raster:offset")
"""Members that STAC 1.1 lets stand for all bands of an asset."""
_PICTURES = {"visual", "tci", "rendered_preview", "preview"}
_MAX_NAME = 100
_MAX_BANDS = 1024
_LARGE = 1e300


class Item(NamedTuple):
    """An image."""

    name: str
    """Of the asset, below that of its collection."""
    where: BandSet
    members: Mapping[str, Any]
    """Its properties and times, as in a sidecar."""


@dataclass(frozen=True)
class _Said:
    """The metadata that an item has for a band of one of its assets."""

    name: str
    notes: BandNotes
    nodata: float | None = None


def is_item(document: Mapping[str, Any]) -> bool:
    """Tell whether a JSON object is a STAC item."""
    return (
        document.get("type") == "Feature"
        and isinstance(document.get("stac_version"), str)
        and isinstance(document.get("assets"), dict)
    )


def name_of(document: Mapping[str, Any]) -> str:
    """Return the id of an item, a collection or a catalogue as part of a name; "" without one.

    >>> name_of({"id": "S2A_T12/2020 a"})
    'S2A_T12_2020_a'
    """
    identity = document.get("id")
    text = identity if isinstance(identity, str) else ""
    return _NOT_IN_NAMES.sub("_", text)[:_MAX_NAME].strip("._")


def read_item(
    document: Mapping[str, Any], name: str, locate: Locate, renders: object = None
) -> Item:
    """Return an item; one without a file that may be read tells why it cannot be drawn.

    Args:
        document: the item.
        name: of the asset.
        locate: finds the files.
        renders: of its collection, for an item that has none.
    """
    properties = _object(document.get("properties"))
    try:
        files = _files(_object(document.get("assets")), locate)
        problem = ""
    except UnreadableRaster as exc:
        files, problem = (), str(exc)
    ids = [each.id for each in files] + [band for each in files for band, _ in each.bands]
    looks = visualization(properties.get("renders") or renders, ids)
    said = _members({**looks, **properties})
    token = hashlib.blake2b(json.dumps(said, sort_keys=True).encode(), digest_size=8).hexdigest()
    return Item(name, BandSet(files, token=token, problem=problem), said)


def members_of(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the members of a sidecar, which may be a STAC item, in the form of Earth Engine."""
    if not is_item(document):
        return document
    return _members(_object(document.get("properties")))


def _members(properties: Mapping[str, Any]) -> dict[str, Any]:
    starts, ends = _times(properties)
    members = {"properties": dict(properties), "startTime": starts, "endTime": ends}
    return {member: value for member, value in members.items() if value}


def _files(assets: Mapping[str, Any], locate: Locate) -> tuple[BandFile, ...]:
    """Return the files of bands.

    Raises:
        UnreadableRaster: there are none, or none that may be read.
    """
    rasters = {key: each for key, each in assets.items() if _is_raster(each)}
    data = {key: each for key, each in rasters.items() if not _is_picture(key, each)} or rasters
    if not data:
        raise UnreadableRaster("the STAC item has no asset that is a GeoTIFF.")
    if len(data) > MAX_FILES:
        raise UnreadableRaster(
            f"the STAC item has {len(data)} GeoTIFFs, more than the {MAX_FILES} that one may have."
        )
    places, refusal = {}, None
    for key, each in data.items():
        try:
            places[key] = locate(each["href"])
        except UnreadableRaster as exc:
            refusal = exc
    if refusal is not None and not places:
        raise refusal
    return _named({key: (places[key], _bands(data[key])) for key in places})


def _named(found: Mapping[str, tuple[Place | str, Sequence[_Said]]]) -> tuple[BandFile, ...]:
    """Return files with the ids of their bands.

    The only band of an asset has the asset's key, one of several its own name; with the key before
    it where another asset has that name.
    """
    ids = _unique(found)
    names = Counter([*ids.values(), *(b.name for _, bands in found.values() for b in bands)])
    files = []
    for key, (location, bands) in found.items():
        if len(bands) == 1:
            given: tuple[tuple[str, BandNotes], ...] = ((ids[key], bands[0].notes),)
        else:
            prefixes = ["" if names[each.name] == 1 else f"{ids[key]}_" for each in bands]
            given = tuple(
                (f"{prefix}{each.name}", each.notes)
                for prefix, each in zip(prefixes, bands, strict=True)
            )
        values = {each.nodata for each in bands}
        nodata = values.pop() if len(values) == 1 else None
        files.append(BandFile(ids[key], location, given, nodata))
    return tuple(files)


def _unique(keys: Mapping[str, Any]) -> dict[str, str]:
    """Return the keys of assets as ids."""
    taken: dict[str, str] = {}
    for key in keys:
        plain = _NOT_IN_NAMES.sub("_", key)[:_MAX_NAME] or "asset"
        number = 1
        while (name := plain if number == 1 else f"{plain}_{number}") in taken.values():
            number += 1
        taken[key] = name
    return taken


def _is_raster(asset: object) -> bool:
    if not isinstance(asset, dict) or not isinstance(asset.get("href"), str):
        return False
    if _NOT_DATA.intersection(_texts(asset.get("roles"))):
        return False
    kind = asset.get("type")
    if isinstance(kind, str):
        return kind.lower().split(";")[0].strip() in _TIFF_TYPES
    return bool(_TIFF_NAME.search(asset["href"]))


def _is_picture(key: str, asset: Mapping[str, Any]) -> bool:
    """Tell whether an asset is a picture made of the others."""
    return key.lower() in _PICTURES or "visual" in _texts(asset.get("roles"))


def _bands(asset: Mapping[str, Any]) -> list[_Said]:
    """Return the bands that an asset lists: `bands` of STAC 1.1, or those of extensions."""
    lists = [_objects(asset.get(each)) for each in ("eo:bands", "raster:bands", "bands")]
    count = max(map(len, lists))
    if not 0 < count <= _MAX_BANDS:
        return []
    merged: list[dict[str, Any]] = [{} for _ in range(count)]
    for each in lists:
        if len(each) == count:
            merged = [{**one, **other} for one, other in zip(merged, each, strict=True)]
    shared = {key: asset[key] for key in _OF_ALL_BANDS if key in asset}
    return [_said({**shared, **each}, place) for place, each in enumerate(merged, start=1)]


def _said(band: Mapping[str, Any], place: int) -> _Said:
    name = _NOT_IN_NAMES.sub("_", _text(band.get("name")) or f"b{place}")[:_MAX_NAME]
    notes = BandNotes(
        description=_text(band.get("description")),
        unit=_text(band.get("unit")),
        common_name=_text(band.get("eo:common_name") or band.get("common_name")),
        wavelength_um=_wavelength(
            band.get("eo:center_wavelength") or band.get("center_wavelength")
        ),
        scale=_number(band.get("raster:scale", band.get("scale"))),
        offset=_number(band.get("raster:offset", band.get("offset"))),
    )
    return _Said(name, notes, _nodata(band.get("nodata")))


def _nodata(value: object) -> float | None:
    """Return a nodata value, which JSON may have to write as a text."""
    is_text = isinstance(value, str) and value.lower() in ("nan", "inf", "-inf")
    return float(value) if is_text else _number(value)  # type: ignore[arg-type]


def _times(properties: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Return when an item begins and ends, in the form of Earth Engine."""
    starts = _time(properties.get("start_datetime")) or _time(properties.get("datetime"))
    return starts, _time(properties.get("end_datetime"))


def _time(value: object) -> str | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    if moment is None:
        return None
    moment = moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    return moment.isoformat().replace("+00:00", "Z")


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _objects(value: object) -> list[Mapping[str, Any]]:
    return [_object(each) for each in value] if isinstance(value, list) else []


def _texts(value: object) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _text(value: object) -> str | None:
    return value[:200] if isinstance(value, str) and value else None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < _LARGE else None


def _wavelength(value: object) -> float | None:
    number = _number(value)
    return number if number is not None and 0 < number < 1e6 else None
