"""`python -m tests.benchmarks.grand_prix`: see --help."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.grand_prix.client import Client
from tests.benchmarks.grand_prix.environments import Environments, Unavailable
from tests.benchmarks.grand_prix.events import EVENTS, Stage
from tests.benchmarks.grand_prix.mapserver import MapServer
from tests.benchmarks.grand_prix.peers import RIO_TILER, TITILER, Ours, Peer
from tests.benchmarks.grand_prix.table import markdown, write

PEERS: tuple[Peer, ...] = (Ours(), TITILER, MapServer(), RIO_TILER)
_CACHE = Path.home() / ".cache" / "tileserver-grand-prix"


def main() -> None:
    """Run events; print the table, and write it if a page is given."""
    # So that servers end with a run that is terminated.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    options = _parser().parse_args()
    environments = Environments(options.environments)
    versions, peers = {}, []
    for peer in _chosen(options.peers):
        try:
            versions[peer.name] = peer.version(environments)
            peers.append(peer)
        except Unavailable as exc:
            versions[peer.name] = f"skipped, {exc}"
    results = []
    with Client() as client:
        stage = Stage(peers, environments, client, options.scenes, options.small)
        for name in options.only or EVENTS:
            results.append(EVENTS[name](name, stage))
            print(markdown(results[-1:], versions, "tileserver"), flush=True)
    table = markdown(results, versions, "tileserver")
    print(table)
    if options.write:
        write(options.write, table)


def _chosen(names: Sequence[str]) -> list[Peer]:
    return [each for each in PEERS if not names or each.name.lower() in names]


def _words(text: str) -> list[str]:
    return text.lower().split(",")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.grand_prix")
    parser.add_argument("--only", type=_words, help=f"events, of {', '.join(EVENTS)}")
    parser.add_argument(
        "--peers", type=_words, help="of " + ", ".join(each.name.lower() for each in PEERS)
    )
    parser.add_argument("--small", action="store_true", help="scenes of 2048 pixels on a side")
    parser.add_argument(
        "--environments", type=Path, default=_CACHE / "environments", help="folder of the peers"
    )
    parser.add_argument("--scenes", type=Path, default=_CACHE / "scenes", help="their folder")
    parser.add_argument("--write", type=Path, help="page that gets the table")
    return parser


if __name__ == "__main__":
    main()
