"""Every spelling of an asset's name, and the patterns of names in `[access]`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tileserver.errors import AssetNotFound, InvalidName, InvalidRequest

LOCAL_PREFIX = "projects/localhost/assets"
"""Where local rasters are, unless `prefix` in `[[rasters]]` says otherwise."""
EXPRESSIONS = "expressions/"
"""Begins the names made up for expressions in requests; no full name of an asset does."""
PUBLIC_ROOT = "projects/earthengine-public/assets"
"""Has Earth Engine's own catalogue."""
_PUBLIC = f"{PUBLIC_ROOT}/"
_LEGACY = "projects/earthengine-legacy/assets/"
_PUT_BEFORE = re.compile(rf"(?:{_PUBLIC}|{_LEGACY})(?=(?:projects|users)/)")
"""The official client puts it before names whose project is too short for it."""
_ROOT = re.compile(r"(projects/[^/]+)(?:/assets/?)?")
_UPSTREAM_NAME = re.compile(
    r"projects/(?:[\w.-]+\.\w+:)?[a-z][-a-z0-9]{4,28}[a-z0-9]/assets/.*", re.ASCII | re.DOTALL
)


def check_asset_name(name: str) -> str:
    """Return the full name of an asset, from any of the spellings clients use.

    `COPERNICUS/S2/x` is short for `projects/earthengine-public/assets/COPERNICUS/S2/x`, and the
    official client puts `projects/earthengine-legacy/assets/` before names it does not know.

    Raises:
        InvalidName: no asset can have that name.

    >>> check_asset_name("USGS/SRTMGL1_003")
    'projects/earthengine-public/assets/USGS/SRTMGL1_003'
    """
    name = _PUT_BEFORE.sub("", name).removeprefix(_LEGACY)
    parts = _parts(name)
    return name if parts[0] in ("projects", "users") else _PUBLIC + name


def full_name(name: str) -> str:
    """Return the full name of an asset, from any spelling, also with a slash at its end.

    Raises:
        AssetNotFound: no asset can have that name.

    >>> full_name("projects/earthengine-legacy/assets/projects/demo/assets/x/")
    'projects/demo/assets/x'
    """
    try:
        return check_asset_name(name.rstrip("/"))
    except InvalidRequest as exc:
        raise AssetNotFound(name) from exc


def parent_name(name: str) -> str:
    """Return the full name of a folder, a collection, or a project's root, `projects/P/assets`.

    Raises:
        AssetNotFound: nothing can have that name.

    >>> parent_name("projects/demo")
    'projects/demo/assets'
    """
    root = _ROOT.fullmatch(_PUT_BEFORE.sub("", name.rstrip("/")))
    return f"{root[1]}/assets" if root else full_name(name)


def is_root(name: str) -> bool:
    """Return whether a full name is that of a project's root."""
    return _ROOT.fullmatch(name) is not None


def root_name(name: str) -> str:
    """Return the name of the project's root that the name of an asset or a prefix begins with.

    >>> root_name("projects/demo/assets/scenes/")
    'projects/demo/assets'
    """
    return "/".join(name.split("/")[:3])


def short_name(name: str) -> str:
    """Return an asset's id: its full name, without the project if that is Earth Engine's own.

    >>> short_name("projects/earthengine-public/assets/USGS/SRTMGL1_003")
    'USGS/SRTMGL1_003'
    """
    return name.removeprefix(_PUBLIC)


def image_id(name: str) -> str:
    """Return the id that `Image.load` takes for an asset's name.

    >>> image_id("projects/earthengine-legacy/assets/users/someone/scene")
    'users/someone/scene'
    """
    return short_name(name).removeprefix(_LEGACY)


def upstream_name(asset_id: str) -> str:
    """Return the name under which Earth Engine's API knows an asset, as the `ee` client does.

    Raises:
        InvalidName: no asset can have that name.

    >>> upstream_name("USGS/SRTMGL1_003")
    'projects/earthengine-public/assets/USGS/SRTMGL1_003'
    >>> upstream_name("users/someone/scene")
    'projects/earthengine-legacy/assets/users/someone/scene'
    """
    parts = _parts(asset_id)
    if _UPSTREAM_NAME.fullmatch(asset_id):
        return asset_id
    return (_LEGACY if parts[0] in ("projects", "users") else _PUBLIC) + asset_id


def upstream_parent(name: str) -> str:
    """Return the name under which Earth Engine's API lists a folder, or `projects/P` for a root.

    Raises:
        InvalidName: no folder can have that name.
    """
    root = _ROOT.fullmatch(name)
    return root[1] if root else upstream_name(name)


def layer_name(project: str, layer: str) -> str:
    """Return the name made up for the computed image of a layer."""
    return f"{layer_prefix(project)}{layer}"


def layer_prefix(project: str) -> str:
    """Return what the names made up for layers begin with."""
    return f"projects/{project}/expressions/"


def _parts(name: str) -> list[str]:
    parts = name.split("/")
    if len(name) > 1000 or any(part in ("", ".", "..") for part in parts):
        raise InvalidName(f"{name[:80]!r} is not the name of an asset.")
    return parts


class Access:
    """A list of patterns, `**` crossing slashes, `*` not."""

    def __init__(self, patterns: Sequence[str] | None = None) -> None:
        """`patterns` are those of `[access] assets`; None allows all there are."""
        self._allowed = None if patterns is None else _pattern(patterns)

    def may_read(self, asset_name: str) -> bool:
        """Tell whether an asset may be read by its own name, full or short."""
        short = short_name(asset_name)
        return self._allowed is None or any(map(self._allowed.fullmatch, (asset_name, short)))


def _pattern(patterns: Sequence[str]) -> re.Pattern[str]:
    alternatives = (
        "".join(
            {"**": ".*", "*": "[^/]*"}.get(part, re.escape(part))
            for part in re.split(r"(\*\*|\*)", pattern)
        )
        for pattern in patterns
    )
    return re.compile("|".join(f"(?:{each})" for each in alternatives) or r"(?!)", re.DOTALL)
