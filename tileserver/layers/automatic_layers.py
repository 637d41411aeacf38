"""Layers of assets that the configuration does not name, named after their files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Sequence

from tileserver.layers.layers import LayerDefinition


def automatic_layers(
    asset_names: Iterable[str],
    taken: Iterable[str],
    prefixes: Sequence[str] = (),
    bands: Container[str] = (),
) -> list[LayerDefinition]:
    """Return a layer for each asset, named after its file, where no other has that name.

    A name never leads to another file when files are added. Files of one name are named after
    their paths below the root, or in full where a path is the name that they share; the name
    itself then leads to none of them. The titles of these are their paths, too, by which they
    can be told apart.

    Args:
        asset_names: full names, `projects/*/assets/**`.
        taken: the names of configured layers.
        prefixes: of the roots, each with a slash at its end.
        bands: names of assets that are bands of others; their layers come last, and are not
            visible until they are switched on.
    """
    paths = {each: _below(each, prefixes) for each in asset_names}
    times = Counter(path.rpartition("/")[2] for path in paths.values())
    times.update(path for path in paths.values() if "/" in path)
    times.update(taken)
    alike = Counter(paths.values())
    definitions = []
    for name, path in paths.items():
        names = (each for each in (path.rpartition("/")[2], path) if times[each] == 1)
        unlike = path if alike[path] == 1 else name
        title = unlike if times[path.rpartition("/")[2]] > 1 else ""
        shown = name not in bands
        definitions.append(LayerDefinition(next(names, name), name, title, is_visible=shown))
    return sorted(definitions, key=lambda each: not each.is_visible)


def _below(asset_name: str, prefixes: Sequence[str]) -> str:
    found = [each for each in prefixes if asset_name.startswith(each)]
    if found:
        return asset_name[max(map(len, found)) :]
    return asset_name.partition("/assets/")[2] or asset_name
