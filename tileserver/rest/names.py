"""Names of assets as clients spell them.

The official client sends `projects/earthengine-legacy/assets/` before names it does not know, also
before `projects/demo/assets/x`, whose project is too short for it.
"""

from __future__ import annotations

import re

from tileserver.contract.names import check_asset_name
from tileserver.errors import AssetNotFound, InvalidRequest

_PUT_BEFORE = re.compile(r"projects/earthengine-(?:legacy|public)/assets/(?=(?:projects|users)/)")
_ROOT = re.compile(r"(projects/[^/]+)(?:/assets)?")


def full_name(name: str) -> str:
    """Return the name of an asset, `projects/*/assets/**`, from any spelling.

    Raises:
        AssetNotFound: no asset can have that name.

    >>> full_name("projects/earthengine-legacy/assets/projects/demo/assets/x")
    'projects/demo/assets/x'
    """
    name = _PUT_BEFORE.sub("", name.rstrip("/"))
    try:
        return check_asset_name(name)
    except InvalidRequest as exc:
        raise AssetNotFound(name) from exc


def parent_name(name: str) -> str:
    """Return the name of what holds assets, of a project `projects/P/assets`.

    Raises:
        AssetNotFound: nothing can have that name.

    >>> parent_name("projects/demo")
    'projects/demo/assets'
    """
    name = _PUT_BEFORE.sub("", name.rstrip("/"))
    root = _ROOT.fullmatch(name)
    return f"{root[1]}/assets" if root else full_name(name)


def is_root(name: str) -> bool:
    """Tell whether a full name is that of a project's root."""
    return _ROOT.fullmatch(name) is not None
