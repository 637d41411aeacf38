"""The commands: serve, pixels, assets, ingest, check, config."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import click

from tileserver.config.config import Config
from tileserver.config.schema import json_schema
from tileserver.errors import ConfigError, InvalidRequest, TileserverError
from tileserver.ingest.pyramids import PyramidingPolicy
from tileserver.layers.layers import LayerDefinition
from tileserver.logs import LineFormatter, one_line
from tileserver.rasters.roots import Root, check_root
from tileserver.server.access import exposure, weak_keys
from tileserver.server.app import app_of, create_app
from tileserver.server.assembly import Assembly, assemble
from tileserver.server.definitions import catalogue_of
from tileserver.server.first_look import first_look
from tileserver.server.get_pixels import find_config, get_pixels
from tileserver.server.reports import (
    check_layers,
    nothing_works,
    progress,
    refused_folders,
    say_what_is_served,
    warn_of_faults,
)
from tileserver.server.serving import listen, page_url, serve_app
from tileserver.server.sources import sources

FILE = click.Path(path_type=Path)


@contextmanager
def one_clear_line() -> Iterator[None]:
    """Turn an error of ours into one line on stderr and exit code 2."""
    try:
        yield
    except TileserverError as exc:
        click.echo(f"tileserver: {one_line(str(exc))}", err=True)
        sys.exit(2)


class ServeByDefault(click.Group):
    """A group whose first word may be left out: `tileserver PATH` is `tileserver serve PATH`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `serve` before arguments that begin with no command's name."""
        if not args or args[0] not in (*self.commands, "--help", "--version"):
            args = ["serve", *args]
        return super().parse_args(ctx, args)


config_option = click.option(
    "--config",
    "config_path",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Configuration; ./tileserver.toml is found by itself.",
)


mosaic_option = click.option(
    "--mosaic",
    "mosaics",
    multiple=True,
    metavar="FOLDER",
    help="One layer of all GeoTIFFs in a folder, or of all items of a STAC document; repeatable.",
)


@click.group(cls=ServeByDefault)
@click.version_option(package_name="ee-tileserver", prog_name="tileserver")
@click.pass_context
def main(context: click.Context) -> None:
    """Earth Engine image assets and your own GeoTIFFs as map tiles.

    Without a command it serves: `tileserver` alone shows the bundled demo, `tileserver
    scene.tif` or `tileserver folder/` your own rasters.
    """
    to_stderr = logging.StreamHandler()
    to_stderr.setFormatter(LineFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[to_stderr])
    # A server that has not begun has nothing to tidy up; `__main__` says why not to raise.
    if context.invoked_subcommand != "serve" and signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@main.command(epilog="Example: tileserver serve scenes/ --port 8000")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@mosaic_option
@config_option
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=int, help="Port to listen on; 0 takes any free one.  [default: 8080]")
@click.option("--workers", type=int, help="Processes.  [default: 1]")
def serve(
    paths: tuple[str, ...],
    mosaics: tuple[str, ...],
    config_path: Path | None,
    host: str | None,
    port: int | None,
    workers: int | None,
) -> None:
    """Serve tiles and the map page: of GeoTIFFs, of a configuration, or of the demo."""
    with one_clear_line():
        given = {"server.host": host, "server.port": port, "server.workers": workers}
        config, added = sources(paths, mosaics, config_path, given, main.commands)
        assembly = checked_assembly(config, added)
        app = app_of(assembly, config.api.enabled)
        look = first_look(assembly.rasters, definitions_in(assembly))
        if added and not look.works:
            raise ConfigError(nothing_works(look))
        listening = listen(config.server.host, config.server.port)
    _warn_of_access(config)
    warn_of_faults(assembly, look)
    say_what_is_served(look, page_url(listening))
    make_app = (lambda: app) if config.server.workers == 1 else partial(create_app, config, added)
    serve_app(make_app, listening, config.server.workers)


def _warn_of_access(config: Config) -> None:
    for warning in filter(None, (exposure(config), weak_keys(config, os.environ))):
        click.echo(f"WARNING: {warning}", err=True)


def checked_assembly(config: Config, added: Sequence[Root]) -> Assembly:
    """Return the services of a configuration that has something to serve.

    Raises:
        ConfigError: a path leads nowhere, or there is nothing to serve.
    """
    for each in config.rasters:
        check_root(each.path, formats=each.formats)
    assembly = assemble(config, added)
    if not definitions_in(assembly) and config.earth_engine is None:
        raise ConfigError(
            "nothing to serve: expected a [layers.NAME], or [[rasters]] with a GeoTIFF "
            "that [access] assets allows"
        )
    return assembly


def definitions_in(assembly: Assembly) -> list[LayerDefinition]:
    """Return the layers of an assembly, in their order."""
    return list(assembly.services.layers.definitions.values())


@main.command(epilog="Example: tileserver pixels request.json -o scene.tif")
@click.argument("request_file", metavar="REQUEST.json", type=click.File("rb"))
@click.option("-o", "--output", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))
@config_option
def pixels(request_file: Any, output: Path | None, config_path: Path | None) -> None:
    """Answer one getPixels request, from a file or -, to a file or stdout.

    The request is the dictionary that ee.data.getPixels takes, as JSON.
    """
    with one_clear_line():
        params = _read_json(request_file)
        if str(params.get("fileFormat", "")).upper() == "NUMPY_NDARRAY":
            params["fileFormat"] = "NPY"
        if output is None and sys.stdout.isatty():
            raise ConfigError("pixels are binary; -o FILE writes them to a file")
        body = get_pixels(params, config_path)
        assert isinstance(body, bytes), "only NUMPY_NDARRAY gives an array"
        _write(output, body)


def _read_json(file: Any) -> dict[str, Any]:
    try:
        params = json.loads(file.read().decode("utf-8"))
    except (ValueError, RecursionError) as exc:
        raise InvalidRequest(f"{file.name}: not JSON in UTF-8: {exc}") from exc
    if not isinstance(params, dict):
        raise InvalidRequest(f'{file.name}: expected a JSON object such as {{"assetId": …}}')
    return params


def _write(output: Path | None, body: bytes) -> None:
    if output is None:
        sys.stdout.buffer.write(body)
        return
    try:
        output.write_bytes(body)
    except OSError as exc:
        raise ConfigError(f"{output}: cannot be written: {exc.strerror}") from exc


@main.command(epilog="Example: tileserver assets projects/localhost/assets")
@click.argument("parent", default="")
@config_option
def assets(parent: str, config_path: Path | None) -> None:
    """List the assets of the configuration, all of them or those below PARENT."""
    with one_clear_line():
        catalogue = catalogue_of(find_config(config_path, os.environ, {}))
        below = parent.rstrip("/") + "/" if parent else ""
        mosaics = (each for each in catalogue.mosaics if each.startswith(below))
        names = sorted({*catalogue.names(parent), *mosaics})
        if parent and not names:
            raise InvalidRequest(f"no asset lies below {parent!r}")
    for name in names:
        click.echo(name)


@main.command(epilog="Example: tileserver check scenes/ scene.tif")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@mosaic_option
@config_option
def check(paths: tuple[str, ...], mosaics: tuple[str, ...], config_path: Path | None) -> None:
    """Look at each layer, of GeoTIFFs or of the configuration; say what is wrong and where.

    A layer is ok if a pixel of it can be read and its file is whole. The exit code is 1 if one is
    not.
    """
    with one_clear_line():
        config, added = sources(paths, mosaics, config_path, {}, main.commands)
        assembly = checked_assembly(config, added)
        app_of(assembly, config.api.enabled)
    _warn_of_access(config)
    if assembly.credentials:
        click.echo(f"Earth Engine: {assembly.credentials}")
    faults = anyio.run(check_layers, assembly, [each.name for each in definitions_in(assembly)])
    refused = refused_folders(assembly)
    for line in refused:
        click.echo(one_line(line))
    for name, fault in faults.items():
        click.echo(one_line(f"{name}: {fault or progress(assembly, name)}"))
    if refused or any(faults.values()):
        sys.exit(1)


@main.command(epilog="Example: tileserver config --schema > tileserver.schema.json")
@click.option("--schema", is_flag=True, required=True, help="Print the JSON Schema of the file.")
def config(schema: bool) -> None:
    """Describe the configuration file to editors and other programs."""
    assert schema, "click requires it"
    click.echo(json.dumps(json_schema(), indent=2))


def _named_policy(text: str) -> tuple[str, PyramidingPolicy]:
    band, _, policy = text.partition("=")
    try:
        return band, PyramidingPolicy(policy.upper())
    except ValueError as exc:
        raise InvalidRequest(
            f"--band-policy {text!r}: expected BAND=POLICY, the policy one of "
            f"{', '.join(PyramidingPolicy)}"
        ) from exc


def _property(text: str) -> tuple[str, object]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise InvalidRequest(f"--property {text!r}: expected NAME=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


@main.command(epilog="Example: tileserver ingest b4.tif b3.tif rgb --bands red,green")
@click.argument(
    "sources", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="SRC..."
)
@click.argument("asset", type=click.Path(path_type=Path))
@click.option(
    "--policy",
    type=click.Choice([str(policy) for policy in PyramidingPolicy], case_sensitive=False),
    help="How a pixel is made from the four below it.  [default: MODE for classes, else MEAN]",
)
@click.option(
    "--band-policy", multiple=True, metavar="BAND=POLICY", help="An exception for a band."
)
@click.option("--bands", help="Band ids with commas between, in the order of the sources.")
@click.option("--nodata", type=float, help="The value that marks missing pixels.")
@click.option("--start-time", help="YYYY-MM-DD or RFC 3339.")
@click.option("--end-time", help="The same, exclusive.")
@click.option("--property", "properties", multiple=True, metavar="NAME=VALUE")
@click.option("--overwrite", is_flag=True, help="Replace an asset that is there.")
def ingest(
    sources: tuple[Path, ...],
    asset: Path,
    policy: str | None,
    band_policy: tuple[str, ...],
    bands: str | None,
    nodata: float | None,
    start_time: str | None,
    end_time: str | None,
    properties: tuple[str, ...],
    overwrite: bool,
) -> None:
    """Make a Cloud-Optimized GeoTIFF with the pyramid Earth Engine would make.

    ASSET is the file to write; .tif is added if it has no suffix.
    """
    # Late, as no other command needs it.
    from tileserver.ingest.ingest import ingest as ingest_sources
    from tileserver.ingest.notes import told

    destination = asset if asset.suffix else asset.with_name(asset.name + ".tif")
    with one_clear_line(), _progress_bar() as progress:
        result = ingest_sources(
            sources,
            destination,
            policy=PyramidingPolicy(policy.upper()) if policy else None,
            band_policies=dict(map(_named_policy, band_policy)),
            band_ids=bands.split(",") if bands else None,
            nodata=nodata,
            start_time=start_time,
            end_time=end_time,
            properties=dict(map(_property, properties)),
            overwrite=overwrite,
            progress=progress,
        )
    click.echo(
        f"{result.path}: {result.width}x{result.height} pixels, {result.levels} overviews, "
        f"bands {', '.join(result.band_ids)}"
    )
    if result.found_classes:
        click.echo(
            f"{', '.join(result.found_classes)}: classes, so overviews have the most frequent of "
            "them (MODE); --policy MEAN averages them"
        )
    if result.lost:
        click.echo(one_line(f"not kept: {told(result.lost)}"))


@contextmanager
def _progress_bar() -> Iterator[Callable[[int, int], None]]:
    with click.progressbar(length=1, label="Ingesting", file=sys.stderr) as bar:

        def progress(done: int, total: int) -> None:
            bar.length = total
            bar.update(done - bar.pos)

        yield progress
