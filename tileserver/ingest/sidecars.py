"""Merges the `.json` sidecars of sources into that of the image made of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tileserver.contract.times import epoch_s, time_text
from tileserver.errors import UnreadableRaster
from tileserver.rasters.geotiffs import read_sidecar
from tileserver.rasters.scenes import MAX_JSON_BYTES

_WRITTEN_ANEW = {"type", "name", "id", "bands", "pyramidingPolicy", "updateTime", "sizeBytes"}
_MERGED = {"startTime", "endTime", "properties"}


@dataclass(frozen=True)
class Sidecar:
    """The content of the sidecars of all sources together."""

    start_time: str | None = None
    """The earliest."""
    end_time: str | None = None
    """The latest."""
    properties: Mapping[str, Any] = field(default_factory=dict)
    """Those that all have in common."""
    bands: tuple[Mapping[str, Any], ...] = ()
    """The members of each band, those of one source after the other; none if one lists none."""
    lost: tuple[str, ...] = ()
    """Notes that do not hold for all sources, in words."""


def read_sidecars(sources: Sequence[Path], counts: Sequence[int], is_stacked: bool) -> Sidecar:
    """Return the content of the sidecars beside sources; a broken one is listed as lost.

    Args:
        sources: paths of GeoTIFFs.
        counts: of their bands.
        is_stacked: whether their bands follow one another.
    """
    lost: list[str] = []
    every = [_read(source, lost) for source in sources]
    if not any(every):
        return Sidecar(lost=tuple(lost))
    starts = [epoch_s(each.get("startTime")) for each in every]
    ends = [epoch_s(each.get("endTime")) for each in every]
    lists = [_bands(each, count) for each, count in zip(every, counts, strict=True)]
    used = lists if is_stacked else lists[:1]
    return Sidecar(
        start_time=_bound(starts, min),
        end_time=_bound(ends, max),
        properties=_shared(every, lost),
        bands=tuple(band for each in used for band in each) if all(used) else (),
        lost=tuple(lost),
    )


def _read(source: Path, lost: list[str]) -> dict[str, Any]:
    path = source.with_suffix(".json")
    if not path.is_file():
        return {}
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise UnreadableRaster("it is too long")
        members = read_sidecar(path.read_text("utf-8"), path.name)
    except (OSError, UnicodeDecodeError, UnreadableRaster) as exc:
        lost.append(f"the file {path.name}, which is no sidecar: {exc}")
        return {}
    others = sorted(members.keys() - _WRITTEN_ANEW - _MERGED)
    lost += [f"member {each!r} of {path.name}" for each in others]
    for name in ("startTime", "endTime"):
        if name in members and math.isnan(epoch_s(members[name])):
            lost.append(f"{name} of {path.name}, {members[name]!r}")
    return members


def _bands(members: Mapping[str, Any], count: int) -> list[Mapping[str, Any]]:
    bands = members.get("bands", [])
    default = members.get("pyramidingPolicy")
    fits = len(bands) == count and all(isinstance(each, dict) for each in bands)
    policy = {"pyramidingPolicy": default} if default else {}
    return [{**policy, **each} for each in bands] if fits else []


def _bound(times_s: Sequence[float], choose: Any) -> str | None:
    known = [each for each in times_s if not math.isnan(each)]
    return time_text(choose(known)) if known else None


def _shared(every: Sequence[Mapping[str, Any]], lost: list[str]) -> dict[str, Any]:
    """Return the properties that all sources have alike."""
    found = [each.get("properties") or {} for each in every]
    names = dict.fromkeys(name for each in found for name in each)
    same = {n: found[0][n] for n in names if all(n in each for each in found)}
    kept = {n: v for n, v in same.items() if all(each[n] == v for each in found)}
    lost += [f"property {n}, as it differs between sources" for n in names if n not in kept]
    return kept
