"""The architecture, kept: imports point downwards, and a library with opinions has one home."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "tileserver"
LEVELS: tuple[frozenset[str], ...] = tuple(
    frozenset(line.split())
    for line in (
        "errors settings.sizes",
        "settings.kinds colormaps ingest.pyramids earthengine.upstream metrics",
        "settings.fields pixels",
        "settings.environment settings.file geojson colors tfrecord tiles cache datasets watchdog",
        "readiness sharing.bodies earthengine.connections",
        "earthengine.limits earthengine.tokens sharing.stores",
        "wire projections render expressions sharing.folder sharing.remote sharing.seats",
        "earthengine.credentials earthengine.breaker earthengine.retries",
        "geotiff png legend styles assets ingest.mosaics settings.layers disconnects",
        "encoders scanlines footprints statistics ingest.cogs earthengine.bodies config engines",
        "grids sampling parameters catalogue ingest.order earthengine.blocks",
        "windows layers",
        "earthengine.assets earthengine.client earthengine.cutting earthengine.masks",
        "earthengine.metatile earthengine.splitting",
        "rasters queries earthengine.rasters",
        "earthengine.stack",
        "documents responses page serving",
        "endpoints",
        "app",
        "session",
        "cli __init__ earthengine settings ingest sharing",
        "__main__",
    )
)
"""Lowest first. A module imports from lines above its own, never from its own or below."""
HOMES = {
    "mercantile": {"tiles"},
    "cachetools": {"cache"},
    "prometheus_client": {"metrics"},
    "redis": {"sharing.remote"},
    "starlette": {"responses", "disconnects", "page", "endpoints", "app"},
    "uvicorn": {"serving"},
    "click": {"cli"},
    "isal": {"earthengine.bodies", "png", "scanlines"},
    "PIL": {"earthengine.blocks", "colors", "earthengine.client", "encoders"},
    "rasterio": {
        "assets",
        "ingest.cogs",
        "datasets",
        "geotiff",
        "ingest.order",
        "ingest.mosaics",
        "projections",
        "windows",
    },
    "anyio": {
        "cli",
        "earthengine.client",
        "endpoints",
        "layers",
        "earthengine.cutting",
        "rasters",
        "sharing.folder",
        "earthengine.splitting",
        "earthengine.tokens",
    },
    "tomllib": {"settings.kinds", "settings.file"},
    "httpx": {"earthengine.client", "earthengine.connections", "earthengine.tokens"},
    "google": {"earthengine.credentials", "earthengine.tokens"},
}
"""The only modules that may import a library."""


def module_name(path: Path) -> str:
    """Return the dotted name of a module below the package; a sub-package's is its folder's."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imported(path: Path) -> set[str]:
    """Dotted names of all modules a file imports, in functions too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: relative import"
            module = node.module or ""
            if module == "tileserver" or (PACKAGE.parent / module.replace(".", "/")).is_dir():
                names |= {f"{module}.{alias.name}" for alias in node.names}
            else:
                names.add(module)
    return names


def ours(path: Path) -> set[str]:
    names = (name.partition(".") for name in imported(path))
    named = {rest for first, _, rest in names if first == "tileserver" and rest}
    return {_module_of(name) for name in named}


def _module_of(name: str) -> str:
    """Return the module that a dotted name is in: itself, or what it is a member of."""
    while name not in MODULES:
        name = name.rpartition(".")[0] or "__init__"
    return name


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
