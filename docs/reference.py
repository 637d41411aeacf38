"""Write the reference pages of the documentation from the code: `python docs/reference.py`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from tileserver.compute import algorithms
from tileserver.compute.registry import ALGORITHMS, Algorithm, all_names
from tileserver.config.schema import describe
from tileserver.contract.formats import TILE_FORMATS, TILE_SUFFIXES
from tileserver.http.routes import ROWS
from tileserver.rest.methods import METHODS
from tileserver.server.cli import main

FOLDER = Path(__file__).parent / "pages" / "reference"
_ANSWER = re.compile(r"Answer (GET \S+): (.+)\.", re.DOTALL)
_NOTE = "<!-- Written by docs/reference.py. -->\n"
_SUFFIXES = ", ".join(f"`{each[1:]}`" for each in TILE_SUFFIXES)
_LOSSLESS = " and ".join(
    each
    for each in dict.fromkeys(TILE_FORMATS.values())
    if each.is_picture and each.row.is_lossless
)
_OF_ROUTES = f"""\
`/openapi.json` describes them all in OpenAPI 3.1, each parameter with its bounds.
The ext of a tile is one of {_SUFFIXES}; {_LOSSLESS} are lossless; NPY
holds raw values, masked is 0 there, and NPZ
[values with their masks](../use/values.md), whose style is that of the client.
`{{layer}}` is the name of a layer, or of any asset that is served. The style parameters `bands`,
`min`, `max`, `palette`, `gamma` and `opacity` go on tiles, TileJSON, previews and legends,
and so do those of [processing](../use/processing.md), such as `resampling` and `expression`, and
`time`, which chooses among the files of a [mosaic](../start/mosaics.md#time). With
`encoding=terrarium` (or `mapbox`) the colours of tiles and previews of one band are its values:
`red * 256 + green + blue / 256 - 32768`, transparent where masked. An
unknown or malformed parameter is a 400 that says what would be right. Outside the asset a tile is
transparent; outside the pyramid it is a 404. A server that has more to do than it can answers
503 with `Retry-After`.
"""
_OF_COMMANDS = """\
| exit code | meaning |
|---|---|
| 0 | done; a server was ended by Ctrl-C or SIGTERM; every layer that `check` looked at is ok |
| 1 | `check` found a layer or a folder that cannot be shown; `ingest` was ended by Ctrl-C |
| 2 | the command cannot do what it was told to: one line on standard error says why |
"""
_OF_SETTINGS = """\
A key such as `cache.memory` stands in the file as `memory` below `[cache]`, and in the environment
as `TILESERVER_CACHE__MEMORY`.
"""
_OF_ALGORITHMS = """\
Earth Engine's algorithms by type: those that are computed with what they return, then the names of
those that are not. Clients make their methods from the whole list, so each one exists in `ee`.
An expression with one that is [not computed](#not-computed) is refused by name when its value is
needed.
"""
_OF_REFUSED_METHODS = """\
## Not answered

These are in the discovery document, so that clients have their functions, and answer 400 with a
sentence.
"""
_OF_REFUSED = "Listed with their signatures; `Name is not computed by tileserver` is the error.\n"


def pages() -> dict[str, str]:
    """Return the text of each page by its file name."""
    return {
        "routes.md": routes(),
        "settings.md": settings(),
        "commands.md": commands(),
        "rest.md": rest(),
        "algorithms.md": algorithm_list(),
    }


def routes() -> str:
    """Return the routes: each endpoint says in its docstring what it answers."""
    rows = []
    for row in ROWS:
        if found := _ANSWER.match(inspect.getdoc(row.endpoint) or ""):
            rows.append((f"`{found[1]}`", " ".join(found[2].split())))
    return f"# Routes\n\n{_NOTE}\n{table(('route', 'answer'), rows)}\n{_OF_ROUTES}"


def settings() -> str:
    """Return the settings with types, defaults and meanings."""
    rows = [(f"`{each.key}`", each.type, f"`{each.default}`", each.meaning) for each in describe()]
    heads = ("key", "expected", "default", "meaning")
    return f"# Settings\n\n{_NOTE}\n{_OF_SETTINGS}\n{table(heads, rows)}"


def commands() -> str:
    """Return what `--help` says of each command."""
    parts = ["# Commands\n", _NOTE, _OF_COMMANDS]
    for name, command in sorted(main.commands.items()):
        context = click.Context(
            command,
            info_name=f"tileserver {name}",
            terminal_width=90,
            max_content_width=90,
        )
        parts.append(f"## {name}\n\n```text\n{command.get_help(context)}\n```\n")
    return "\n".join(parts)


def rest() -> str:
    """Return the methods of Earth Engine's API."""
    answered = [each for each in METHODS if not each.refusal]
    rows = [(f"`{each.id}`", f"`{each.http_method} /v1/{each.path}`") for each in answered]
    refused = [(f"`{each.id}`", each.refusal) for each in METHODS if each.refusal]
    intro = "Methods of Earth Engine's REST API, below `/v1`, `/v1beta` and `/v1alpha`.\n"
    return (
        f"# REST API\n\n{_NOTE}\n{intro}\n{table(('method', 'request'), rows)}\n"
        f"{_OF_REFUSED_METHODS}\n{table(('method', 'error'), refused)}"
    )


def algorithm_list() -> str:
    """Return the algorithms, by the type they belong to, and the names of those not computed."""
    assert algorithms
    refused = [name for name in all_names() if name not in ALGORITHMS]
    parts = ["# Algorithms\n", _NOTE, _OF_ALGORITHMS]
    family = ""
    for name, each in sorted(ALGORITHMS.items()):
        if name.partition(".")[0] != family:
            family = name.partition(".")[0]
            parts.append(f"## {family}\n")
        parts.append(f"- `{_signature(each)}`: {_plain(each.description)}")
    parts += ["\n## Not computed\n", _OF_REFUSED, *(f"- `{name}`" for name in refused)]
    return "\n".join(parts) + "\n"


def _signature(each: Algorithm) -> str:
    names = ", ".join(argument.name for argument in each.arguments)
    return f"{each.name}({names}) → {each.returns}"


def _plain(text: str) -> str:
    return text.replace("<", "&lt;")


def table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Return a table in Markdown."""

    def lines() -> Iterator[str]:
        for cells in (heads, tuple("---" for _ in heads), *rows):
            yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    return "\n".join(lines()) + "\n"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, "utf-8")
