"""STAC items that lie beside the GeoTIFFs that they are of.

An item whose files are bands of a scene known by their names describes that scene, whose name and
bands stay what they were; any other is an image of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from tileserver.rasters.band_sets import BandFile, BandSet
from tileserver.rasters.files import Place
from tileserver.rasters.stac.items import Item

Scenes = dict[str, tuple[BandSet, Mapping[str, Any]]]
"""Images by their paths, each with its properties and times, as in a sidecar."""

_LOOK = "visualization_0_"
_CLASSES = ("_class_values", "_class_palette", "_class_names")


def with_items(sets: Mapping[str, BandSet], items: Iterable[Item]) -> Scenes:
    """Return the scenes among files, and images of items; the first of several items counts.

    Args:
        sets: scenes by their paths.
        items: with paths as names.
    """
    scenes: Scenes = {path: (each, {}) for path, each in sets.items()}
    path_of = {file.location: path for path, each in sets.items() for file in each.files}
    described = set()
    for item in items:
        paths = {path_of.get(file.location) for file in item.where.files}
        path = paths.pop() if len(paths) == 1 else None
        if path is None:
            scenes.setdefault(item.name, (item.where, item.members))
        elif path in described:
            where, members = scenes[path]
            scenes[path] = _described(where, item)[0], members
        else:
            described.add(path)
            scenes[path] = _described(sets[path], item)
    return scenes


def _described(scene: BandSet, item: Item) -> tuple[BandSet, Mapping[str, Any]]:
    """Return a scene with the properties that an item has for it and for its bands."""
    said = {file.location: file for file in item.where.files}
    files = tuple(_with_notes(file, said.get(file.location)) for file in scene.files)
    ids = {said[file.location].id: file.id for file in files if file.location in said}
    properties = _renamed(item.members.get("properties") or {}, ids)
    # The item may be what would be taken for the scene's sidecar.
    described = replace(scene, files=files, sidecar=None, token=scene.token + item.where.token)
    return described, {**item.members, "properties": properties}


def _with_notes(file: BandFile, said: BandFile | None) -> BandFile:
    if said is None or len(said.bands) != 1:
        return file
    return replace(file, bands=((file.id, said.bands[0][1]),), nodata=said.nodata)


def _renamed(properties: Mapping[str, Any], ids: Mapping[str, str]) -> dict[str, Any]:
    """Return properties about bands with the ids that they have in a scene."""
    renamed = dict(properties)
    shown = properties.get(f"{_LOOK}bands")
    if isinstance(shown, list):
        renamed[f"{_LOOK}bands"] = [ids.get(each, each) for each in shown]
    for old, new in ids.items():
        for end in _CLASSES:
            if f"{old}{end}" in properties:
                renamed[f"{new}{end}"] = renamed.pop(f"{old}{end}")
    return renamed


def beside(document: Place, href: str) -> Place:
    """Return where a file of a link would lie if it had been fetched into a document's folder."""
    path = href.partition("?")[0].partition("#")[0]
    return document.beside(path.rpartition("/")[2])
