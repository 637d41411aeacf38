"""Write Terracotta's database; runs in the environment of the peer.

Takes the path of the database, and on standard input a list of scene, band and file.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import terracotta


def main() -> None:
    """Insert all datasets; what Terracotta knows of a file is computed once, of its overview."""
    driver = terracotta.get_driver(sys.argv[1], provider="sqlite")
    driver.create(["scene", "band"])
    known: dict[str, Any] = {}
    with driver.connect():
        for scene, band, path in json.load(sys.stdin):
            if path not in known:
                known[path] = driver.compute_metadata(path, max_shape=(256, 256))
            driver.insert([scene, band], path, metadata=known[path])


if __name__ == "__main__":
    main()
