"""Messages of the commands on layers: those that are served, and why others are not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version
from urllib.parse import quote

import click

from tileserver.contract.assets import MosaicState
from tileserver.earthengine.refusals import AssetRefused
from tileserver.errors import TileserverError
from tileserver.http.endpoints import Services
from tileserver.layers.queries import point_request
from tileserver.logs import one_line
from tileserver.server.assembly import Assembly
from tileserver.server.first_look import FirstLook

_SHOWN_LAYERS = 8
_SHOWN_FAULTS = 20


def nothing_works(look: FirstLook) -> str:
    """Return the error for a command line of which no layer can be drawn."""
    if len(look.faults) == 1:
        return next(iter(look.faults.values()))
    shown = "; ".join(f"{name}: {fault}" for name, fault in list(look.faults.items())[:3])
    return f"none of {len(look.faults)} layers can be shown: {shown}"


def warn_of_faults(assembly: Assembly, look: FirstLook) -> None:
    """Say which folders cannot be looked into, and which layers are not served and why."""
    catalogue = assembly.rasters.catalogue
    # Folders of mosaics are looked into later, in the background.
    is_scanned = len(catalogue.mosaics) < len(catalogue.roots)
    for folder in refused_folders(assembly) if is_scanned else []:
        click.echo(f"WARNING: {folder}", err=True)
    for name, fault in list(look.faults.items())[:_SHOWN_FAULTS]:
        click.echo(one_line(f"WARNING: layer {name} cannot be shown: {fault}"), err=True)
    if len(look.faults) > _SHOWN_FAULTS:
        more = len(look.faults) - _SHOWN_FAULTS
        click.echo(f"WARNING: {more} more cannot be shown; /layers tells why", err=True)


def refused_folders(assembly: Assembly) -> list[str]:
    """Return a message for each folder that may not be read."""
    return [
        f"{folder}: permission denied; the server must be allowed to read and to enter it"
        for folder in assembly.rasters.catalogue.scanned().refused
    ]


def say_what_is_served(look: FirstLook, url: str) -> None:
    """Say which layers are served, and where."""
    definitions = look.works
    names = [each.name for each in definitions[:_SHOWN_LAYERS]]
    if len(definitions) > _SHOWN_LAYERS:
        names.append(f"and {len(definitions) - _SHOWN_LAYERS} more")
    count = "1 layer" if len(definitions) == 1 else f"{len(definitions)} layers"
    listed = f": {', '.join(names)}" if names else ", and assets by their names"
    if look.unseen:
        count += f" ({look.unseen} of them not looked at yet)"
    click.echo(f"tileserver {version('ee-tileserver')} serves {count}{listed}")
    click.echo(f"Map   {url}")
    name = quote(definitions[0].name) if definitions else "{asset}"
    click.echo(f"Tiles {url}tiles/{name}/{{z}}/{{x}}/{{y}}.png")
    click.echo("Ctrl-C stops it.")


async def check_layers(assembly: Assembly, names: Sequence[str]) -> Mapping[str, str | None]:
    """Return the fault of each layer, or None."""
    async with assembly.resources:
        return {name: await _fault(assembly.services, name) for name in names}


async def _fault(services: Services, name: str) -> str | None:
    """Return the fault of a layer, or None."""
    try:
        layer = await services.layer_list.look_at(name)
        bounds = layer.bounds
        lon = bounds.west if bounds.west > bounds.east else (bounds.west + bounds.east) / 2
        lat = (bounds.south + bounds.north) / 2
        await services.bands.read_bands(point_request(layer, lon, lat, layer.style.bands))
    except AssetRefused as exc:
        return exc.reason
    except TileserverError as exc:
        cause = exc.__cause__
        return cause.reason if isinstance(cause, AssetRefused) else str(exc)
    return None


def progress(assembly: Assembly, name: str) -> str:
    """Return "ok", and notes on a layer.

    That is how many files a mosaic has, how far a pyramid is, and that there is no place on Earth.
    """
    layers = assembly.services.layers
    definition = layers.definitions[name]
    if definition.computed:
        return "ok"
    if definition.asset_name in assembly.rasters.catalogue.mosaics:
        known = layers.source.known_asset(definition.asset_name)
        return f"ok, {_files(known.mosaic, known.name)}" if known and known.mosaic else "ok"
    notes = []
    with suppress(TileserverError):
        if assembly.growth is not None:
            notes.append(assembly.growth.progress(definition.asset_name))
    asset = assembly.rasters.known_asset(definition.asset_name)
    notes.append(asset.no_place.removesuffix(".").replace("No ", "no ", 1) if asset else "")
    return ", ".join(["ok", *filter(None, notes)])


def _files(mosaic: MosaicState, asset_name: str) -> str:
    """Return in words how many files a mosaic has, and the first reason why one is left out."""
    count = "1 file" if mosaic.file_count == 1 else f"{mosaic.file_count} files"
    more = "" if mosaic.is_complete else ", others not looked at yet"
    if not mosaic.left_out_count:
        return count + more
    name, reason = mosaic.left_out[0]
    reason = reason.removeprefix(f"{asset_name}/{name}: ")
    return f"{count}, {mosaic.left_out_count} left out{more}, such as {name}: {reason}"
