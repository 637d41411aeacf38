"""The architecture, kept: imports point downwards, and a library with opinions has one home."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "tileserver"
HOMES = {
    "mercantile": {"tiles"},
    "cachetools": {"cache", "remote.blocks"},
    "starlette": {
        "responses",
        "disconnects",
        "page",
        "endpoints",
        "app",
        "gate",
        "rest.asset_methods",
        "rest.bodies",
        "rest.calls",
        "rest.door",
        "rest.envelope",
        "rest.expression_methods",
        "rest.table_methods",
    },
    "uvicorn": {"protocol", "serving"},
    "httptools": {"protocol"},
    "ee": {"pytest_plugin"},
    "pytest": {"pytest_plugin"},
    "click": {"cli"},
    "isal": {"earthengine.bodies", "png", "scanlines"},
    "PIL": {"earthengine.blocks", "colors", "earthengine.client", "encoders"},
    "rasterio": {
        "compute.algorithms.clips",
        "compute.drawing",
        "assets",
        "ingest.cogs",
        "dataset_pool",
        "datasets",
        "geotiff",
        "ingest.order",
        "ingest.mosaics",
        "projections",
        "remote.opener",
        "tiff_views",
        "windows",
    },
    "anyio": {
        "aside",
        "cli",
        "compute",
        "concurrency",
        "earthengine.client",
        "endpoints",
        "layers",
        "sharing.folder",
        "earthengine.splitting",
        "earthengine.tokens",
    },
    "shapely": {"compute", "outlines"},
    "re2": {"compute.patterns"},
    "tomllib": {"settings.kinds", "settings.file"},
    "httpx": {
        "earthengine.client",
        "earthengine.connections",
        "earthengine.tokens",
        "remote.places",
    },
    "botocore": {"remote.s3"},
    "httpcore": {
        "earthengine.connections",
        "earthengine.network",
        "remote.addresses",
        "remote.ranges",
    },
    "google": {"pytest_plugin", "earthengine.credentials", "earthengine.tokens", "remote.gs"},
}
"""The only modules that may import a library, or folders of which any may."""


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


def family(module: str) -> str:
    """Return the folder a module is in, or the module itself."""
    return module.partition(".")[0]


def check_order(arrows: Mapping[str, set[str]]) -> None:
    """Raise CycleError, which tells the circle, unless all imports can point downwards."""
    TopologicalSorter({name: below - {name} for name, below in arrows.items()}).prepare()


ARROWS = {module: ours(path) for module, path in MODULES.items()}
FACES = {module for module in MODULES if (PACKAGE / module.replace(".", "/")).is_dir()}
"""The `__init__` of each folder: whoever imports a module of it imports that first."""


def test_imports_point_downwards() -> None:
    check_order({module: below - FACES for module, below in ARROWS.items()})


def test_imports_of_folders_point_downwards() -> None:
    """A folder is one thing to whoever is outside of it, and outside to whoever is in it."""
    of_families: dict[str, set[str]] = {}
    for module, below in ARROWS.items():
        of_families.setdefault(family(module), set()).update(map(family, below))
    check_order(of_families)


@pytest.mark.parametrize("library", HOMES)
def test_a_library_is_imported_only_at_home(library: str) -> None:
    homes = HOMES[library]
    users = [
        module
        for module, path in MODULES.items()
        if any(name.split(".")[0] == library for name in imported(path))
    ]
    assert {family(user) if family(user) in homes else user for user in users} == homes


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


def test_a_circle_is_found() -> None:
    with pytest.raises(CycleError):
        check_order({"a": {"b"}, "b": {"c"}, "c": {"a"}})
