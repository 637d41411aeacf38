"""`python -m tests.benchmarks.grand_prix`: see --help."""

from __future__ import annotations

import argparse
import datetime
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.grand_prix.client import Client
from tests.benchmarks.grand_prix.environments import Environments, Unavailable
from tests.benchmarks.grand_prix.events import EVENTS, Stage
from tests.benchmarks.grand_prix.mapserver import MapServer
from tests.benchmarks.grand_prix.page import Table, between_marks, merged, parsed, rendered, write
from tests.benchmarks.grand_prix.peers import LOCALTILESERVER, RIO_TILER, TITILER, Ours, Peer
from tests.benchmarks.grand_prix.qgis import QgisServer
from tests.benchmarks.grand_prix.results import Result
from tests.benchmarks.grand_prix.scenes import SIDE, SMALL_SIDE
from tests.benchmarks.grand_prix.table import columns, tables_of
from tests.benchmarks.grand_prix.terracotta import Terracotta

PEERS: tuple[Peer, ...] = (
    Ours(),
    MapServer(),
    QgisServer(),
    TITILER,
    RIO_TILER,
    LOCALTILESERVER,
    Terracotta(),
)
_CACHE = Path.home() / ".cache" / "tileserver-grand-prix"


def main() -> None:
    """Run events; print the tables of each, and write them if a page is given."""
    # So that servers end with a run that is terminated.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    options = _parser().parse_args()
    environments = Environments(options.environments)
    versions, peers = _installed(options.peers, environments)
    began = datetime.datetime.now(datetime.UTC)
    scenes = f"{SMALL_SIDE if options.small else SIDE} pixels on a side"

    def tables(results: Sequence[Result]) -> dict[str, Table]:
        words = {name: event.what for name, event in EVENTS.items()}
        return tables_of(results, words, versions, scenes, began)

    with Client() as client:
        stage = Stage(peers, environments, client, options.scenes, options.small)
        for name in options.only or EVENTS:
            new = tables([EVENTS[name].run(name, stage)])
            print(rendered(new.values(), _columns()), flush=True)
            if options.write:
                # After each event, so that a run that is cut short has written what it measured.
                old = parsed(between_marks(options.write))
                write(options.write, rendered(merged(old, new, list(EVENTS)), _columns()))


def _installed(
    names: Sequence[str], environments: Environments
) -> tuple[dict[str, str], list[Peer]]:
    """Return the versions of the chosen peers, or why one is missing, and those that are there."""
    versions, peers = {}, []
    for peer in PEERS:
        if names and peer.name.lower() not in names:
            continue
        try:
            versions[peer.name] = peer.version(environments)
            peers.append(peer)
        except Unavailable as exc:
            versions[peer.name] = f"skipped, {exc}"
    return versions, peers


def _columns() -> list[str]:
    return columns([each.name for each in PEERS])


def _words(text: str) -> list[str]:
    return text.lower().split(",")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.grand_prix")
    parser.add_argument(
        "--only", nargs="+", choices=list(EVENTS), metavar="EVENT", help=", ".join(EVENTS)
    )
    parser.add_argument(
        "--peers", type=_words, help="of " + ", ".join(each.name.lower() for each in PEERS)
    )
    parser.add_argument("--small", action="store_true", help=f"scenes of {SMALL_SIDE} pixels")
    parser.add_argument(
        "--environments", type=Path, default=_CACHE / "environments", help="folder of the peers"
    )
    parser.add_argument("--scenes", type=Path, default=_CACHE / "scenes", help="their folder")
    parser.add_argument(
        "--write",
        type=Path,
        metavar="PAGE.md",
        help="page that gets the tables, and keeps the rows of events that are not run",
    )
    return parser


if __name__ == "__main__":
    main()
