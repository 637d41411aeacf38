"""The architecture, kept: imports point downwards, and a library with opinions has one home."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "tileserver"
LEVELS = (
    "errors logs",
    "concurrency metrics",
    "contract",
    "geo caching",
    "rendering expressions",
    "rasters layers config compute",
    "http earthengine ingest mosaics processing tables exports",
    "rest",
    "server",
    "notebook",
    "pytest_plugin __main__ __init__",
)
"""Lowest first; packages in one line do not import each other.

`docs/pages/how/architecture.md` draws the same.
"""
HOMES = {
    "mercantile": {"contract"},
    "morecantile": {"contract"},
    "pyproj": {"contract"},
    "starlette": {"http", "rest", "server"},
    "uvicorn": {"server"},
    "httptools": {"server"},
    "ee": {"pytest_plugin"},
    "anywidget": {"notebook"},
    "folium": {"notebook"},
    "ipyleaflet": {"notebook"},
    "ipywidgets": {"notebook"},
    "pytest": {"pytest_plugin"},
    "click": {"server"},
    "isal": {"earthengine", "rendering"},
    "PIL": {"rendering"},
    "rasterio": {"compute", "exports", "geo", "ingest", "rasters", "rendering"},
    "shapely": {"compute", "geo", "tables"},
    "re2": {"compute"},
    "sklearn": {"compute"},
    "tomllib": {"config"},
    "pydantic": {"config"},
    "pydantic_core": {"config"},
    "redis": {"caching"},
    "prometheus_client": {"metrics"},
    "httpx": {"earthengine", "rasters"},
    "httpcore": {"rasters"},
    "pyarrow": {"rasters", "tables"},
    "h5py": {"rasters"},
    "zarr": {"rasters"},
    "cftime": {"rasters"},
    "aiohttp": {"earthengine"},
    "httpx_aiohttp": {"earthengine"},
    "botocore": {"rasters"},
    "imagecodecs": {"rasters"},
    "watchfiles": {"rasters"},
    "google": {"pytest_plugin", "notebook", "earthengine", "rasters"},
}
"""The only packages that may import a library with opinions; general tools have no home."""
MOST_AT_THE_TOP = 8


def module_name(path: Path) -> str:
    """Return the dotted name of a module below the package; a sub-package's is its folder's."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


@cache
def imported(path: Path) -> frozenset[str]:
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
    return frozenset(names)


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


@cache
def arrows() -> dict[str, set[str]]:
    """Return the modules that each module imports."""
    return {module: ours(path) for module, path in MODULES.items()}


FACES = {module for module in MODULES if (PACKAGE / module.replace(".", "/")).is_dir()}
"""The `__init__` of each folder: whoever imports a module of it imports that first."""


def test_imports_point_downwards() -> None:
    check_order({module: below - FACES for module, below in arrows().items()})


def test_packages_keep_the_levels_that_are_drawn() -> None:
    level = {name: n for n, names in enumerate(LEVELS) for name in names.split()}
    assert {family(module) for module in MODULES} == set(level)
    upwards = {
        f"{module} -> {each}"
        for module, below in arrows().items()
        for each in below - FACES
        if family(module) != family(each) and level[family(each)] >= level[family(module)]
    }
    assert upwards == set()


def test_few_modules_lie_at_the_top() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= MOST_AT_THE_TOP


@pytest.mark.parametrize("library", HOMES)
def test_a_library_is_imported_only_at_home(library: str) -> None:
    users = {
        family(module)
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
    path.write_text(
        "def f():\n    from tileserver.server import app\n    import starlette.routing\n"
    )
    assert imported(path) == {"tileserver.server.app", "starlette.routing"}
    assert ours(path) == {"server.app"}


def test_a_circle_is_found() -> None:
    with pytest.raises(CycleError):
        check_order({"a": {"b"}, "b": {"c"}, "c": {"a"}})
