"""The architecture, kept: imports point downwards, and a library with opinions has one home."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "tileserver"
LEVELS: tuple[frozenset[str], ...] = tuple(
    frozenset(line.split())
    for line in (
        "errors sizes",
        "setting_kinds colormaps pyramids upstream",
        "settings pixels",
        "settings_env settings_file geojson colors tfrecord tiles cache datasets limits tokens",
        "wire projections render expressions credentials breaker retries",
        "geotiff png legend styles assets mosaics layer_settings disconnects",
        "encoders footprints statistics cogs bodies config engines",
        "grids sampling parameters catalogue ingest blocks",
        "windows layers earthassets earthengine earthmasks metatile splitting",
        "rasters queries earthrasters",
        "earth",
        "documents responses page serving",
        "endpoints",
        "app",
        "session",
        "cli __init__",
        "__main__",
    )
)
"""Lowest first. A module imports from lines above its own, never from its own or below."""
HOMES = {
    "mercantile": {"tiles"},
    "cachetools": {"cache"},
    "starlette": {"responses", "disconnects", "page", "endpoints", "app"},
    "uvicorn": {"serving"},
    "click": {"cli"},
    "isal": {"bodies", "png"},
    "PIL": {"blocks", "colors", "earthengine", "encoders"},
    "rasterio": {
        "assets",
        "cogs",
        "datasets",
        "geotiff",
        "ingest",
        "mosaics",
        "projections",
        "windows",
    },
    "anyio": {
        "cli",
        "earthengine",
        "endpoints",
        "layers",
        "metatile",
        "rasters",
        "splitting",
        "tokens",
    },
    "tomllib": {"setting_kinds", "settings_file"},
    "httpx": {"earthengine", "tokens"},
    "google": {"credentials", "tokens"},
}
"""The only modules that may import a library."""

MODULES = {path.stem: path for path in sorted(PACKAGE.glob("*.py"))}


def imported(path: Path) -> set[str]:
    """Dotted names of all modules a file imports, in functions too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: relative import"
            module = node.module or ""
            if module == "tileserver":
                names |= {f"tileserver.{alias.name}" for alias in node.names}
            else:
                names.add(module)
    return names


def ours(path: Path) -> set[str]:
    found = (name.split(".") for name in imported(path))
    named = {parts[1] for parts in found if parts[0] == "tileserver" and len(parts) > 1}
    return {name if name in MODULES else "__init__" for name in named}


def level_of(module: str) -> int:
    return next(place for place, names in enumerate(LEVELS) if module in names)


def test_every_module_has_its_level_and_every_name_its_module() -> None:
    named = [name for names in LEVELS for name in names]
    assert sorted(named) == sorted(MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_downwards(module: str) -> None:
    upward = {name for name in ours(MODULES[module]) if level_of(name) >= level_of(module)}
    assert upward == set()


@pytest.mark.parametrize("library", HOMES)
def test_a_library_is_imported_only_at_home(library: str) -> None:
    users = {
        module
        for module, path in MODULES.items()
        if any(name.split(".")[0] == library for name in imported(path))
    }
    assert users == HOMES[library]


@pytest.mark.parametrize("module", MODULES)
def test_a_module_has_one_idea_and_says_which(module: str) -> None:
    source = MODULES[module].read_text("utf-8")
    assert ast.get_docstring(ast.parse(source))
    assert len(source.splitlines()) < 400


def test_an_import_within_a_function_is_seen_too(tmp_path: Path) -> None:
    path = tmp_path / "sly.py"
    path.write_text("def f():\n    from tileserver import app\n    import starlette.routing\n")
    assert imported(path) == {"tileserver.app", "starlette.routing"}
    assert ours(path) == {"app"}
