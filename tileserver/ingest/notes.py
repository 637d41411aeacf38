"""Metadata of sources for the COG that is made of them, and a list of the losses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import rasterio
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.io import DatasetReader

from tileserver.errors import InvalidRequest
from tileserver.ingest.mosaics import Mosaic, Piece

Tags = Mapping[str, Mapping[str, str]]
"""By GDAL's domain, "" being the default one, and by name."""

_NOT_NOTES = {"IMAGE_STRUCTURE", "DERIVED_SUBDATASETS", "COLOR_PROFILE", "TIFF"}
"""Domains that tell how a file is stored."""
_OF_STORAGE = {"OVR_RESAMPLING_ALG"}
_OF_VALUES = "STATISTICS_"
_TABLES = {"uint8", "uint16"}
_MAX_TOLD = 20


@dataclass(frozen=True)
class BandNotes:
    """The notes of a source about a band."""

    description: str
    color: ColorInterp
    scale: float = 1.0
    offset: float = 0.0
    unit: str = ""
    tags: Tags = field(default_factory=dict)
    color_table: tuple[tuple[int, tuple[int, ...]], ...] = ()


@dataclass(frozen=True)
class Notes:
    """The notes of sources that hold for the image made of them."""

    tags: Tags
    bands: tuple[BandNotes, ...]
    gcps: tuple[GroundControlPoint, ...] = ()
    """If they, not a geotransform, give the image its place."""
    gcps_crs: CRS | None = None
    lost: tuple[str, ...] = ()
    """Notes that no file can hold, or that not all sources share; in words."""


def notes_of(mosaic: Mosaic) -> Notes:
    """Return the notes of the sources of an image.

    Raises:
        InvalidRequest: sources of one band have another scale, offset or unit each, so that their
            values do not go together.
    """
    lost: list[str] = []
    first = mosaic.pieces[0].dataset
    tags = _shared([_tags(each.dataset) for each in mosaic.pieces], "", lost)
    bands = tuple(_band(mosaic, place, lost) for place in range(len(mosaic.band_ids)))
    gcps, gcps_crs = first.gcps
    is_placed = first.crs is not None
    if gcps and is_placed:
        lost.append(f"{len(gcps)} ground control points beside a geotransform")
    points = () if is_placed else tuple(gcps)
    return Notes(tags, bands, points, gcps_crs if points else None, tuple(lost))


def missing(notes: Notes, raster: Path) -> tuple[str, ...]:
    """Return which of the notes are not in a file, for people, with those lost before."""
    lost = list(notes.lost)
    with rasterio.open(raster, driver="GTiff") as dataset:
        lost += _not_there(notes.tags, _tags(dataset), "")
        if len(notes.gcps) != len(dataset.gcps[0]):
            lost.append("ground control points")
        for index, band in enumerate(notes.bands, 1):
            of_band = f" of band {band.description}"
            lost += _not_there(band.tags, _tags(dataset, index), of_band)
            kept = _own_notes(dataset, index)
            pairs = {
                "scale": (band.scale, kept.scale),
                "offset": (band.offset, kept.offset),
                "unit": (band.unit, kept.unit),
                "description": (band.description, kept.description),
                "colour interpretation": (band.color, kept.color),
            }
            lost += [f"{name}{of_band}" for name, (one, other) in pairs.items() if one != other]
            if not set(band.color_table) <= set(kept.color_table):
                lost.append(f"colour table{of_band}")
    return tuple(lost)


def told(lost: Sequence[str]) -> str:
    """Return the losses as one text, its end cut if it is long."""
    more = f" and {len(lost) - _MAX_TOLD} more" if len(lost) > _MAX_TOLD else ""
    return ", ".join(lost[:_MAX_TOLD]) + more


def _band(mosaic: Mosaic, place: int, lost: list[str]) -> BandNotes:
    """Return the notes of a band of the image, from all pieces that it is made of."""
    band_id = mosaic.band_ids[place]
    pieces = [each for each in mosaic.pieces if each.first_band <= place < each.bands.stop]
    found = [_own_notes(each.dataset, _index(each, place)) for each in pieces]
    for name in ("scale", "offset", "unit"):
        values = {getattr(each, name) for each in found}
        if len(values) > 1:
            raise InvalidRequest(
                f"band {band_id} has another {name} in each source: "
                f"{' and '.join(sorted(map(str, values)))}; their values do not go together"
            )
    of_band = f" of band {band_id}"
    first = found[0]
    tags = _shared([each.tags for each in found], of_band, lost)
    if len(pieces) > 1 or mosaic.missing is not None:
        tags = _without_statistics(tags)
    if len({each.color_table for each in found}) > 1:
        lost.append(f"colour tables{of_band} but for the first source's")
    table = first.color_table
    if table and mosaic.dtype.name not in _TABLES:
        lost.append(f"colour table{of_band}, as pixels of type {mosaic.dtype.name} have none")
        table = ()
    color = first.color
    if color is ColorInterp.palette and not table:
        color = ColorInterp.gray
    description = first.description if mosaic.keeps_descriptions else ""
    if first.description not in ("", band_id) and not description:
        lost.append(f"description {first.description!r}{of_band}, which the id replaces")
    return BandNotes(
        description or band_id, color, first.scale, first.offset, first.unit, tags, table
    )


def _index(piece: Piece, place: int) -> int:
    return piece.indexes[place - piece.first_band]


def _own_notes(dataset: DatasetReader, index: int) -> BandNotes:
    color = dataset.colorinterp[index - 1]
    return BandNotes(
        dataset.descriptions[index - 1] or "",
        color,
        dataset.scales[index - 1],
        dataset.offsets[index - 1],
        dataset.units[index - 1] or "",
        _tags(dataset, index),
        _color_table(dataset, index) if color is ColorInterp.palette else (),
    )


def _color_table(dataset: DatasetReader, index: int) -> tuple[tuple[int, tuple[int, ...]], ...]:
    try:
        return tuple(sorted(dataset.colormap(index).items()))
    except ValueError:
        # It says that its values are places in a table, and has none.
        return ()


def _tags(dataset: DatasetReader, index: int = 0) -> dict[str, dict[str, str]]:
    """Return the tags of a file, or of a band, without those of how it is stored."""
    domains = ["", *sorted(set(dataset.tag_namespaces(index)) - _NOT_NOTES - {""})]
    found = {}
    for domain in domains:
        items: dict[str, Any] = dataset.tags(index, ns=domain or None)
        found[domain] = {k: str(v) for k, v in items.items() if k not in _OF_STORAGE}
    return {domain: items for domain, items in found.items() if items}


def _shared(every: Sequence[Tags], of_what: str, lost: list[str]) -> Tags:
    """Return the tags that all sources have in common; the names of others go to `lost`."""
    kept: dict[str, dict[str, str]] = {}
    for domain in dict.fromkeys(domain for tags in every for domain in tags):
        sources = [tags.get(domain, {}) for tags in every]
        names = dict.fromkeys(name for each in sources for name in each)
        same = {name for name in names if len({each.get(name) for each in sources}) == 1}
        kept[domain] = {name: sources[0][name] for name in names if name in same}
        lost += [
            f"tag {_spelled(domain, name)}{of_what}, as it differs between sources"
            for name in names
            if name not in same
        ]
    return kept


def _without_statistics(tags: Tags) -> Tags:
    """Return tags without statistics, which are of other pixels."""
    return {
        domain: {name: text for name, text in items.items() if not name.startswith(_OF_VALUES)}
        for domain, items in tags.items()
    }


def _not_there(wanted: Tags, found: Tags, of_what: str) -> Iterable[str]:
    for domain, items in wanted.items():
        for name, text in items.items():
            if found.get(domain, {}).get(name) != text:
                yield f"tag {_spelled(domain, name)}{of_what}"


def _spelled(domain: str, name: str) -> str:
    return f"{domain}:{name}" if domain else name
