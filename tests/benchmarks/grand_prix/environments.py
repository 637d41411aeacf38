"""Environments of the peers: virtual ones below a folder, and Debian's programs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


class Unavailable(Exception):
    """A peer cannot be installed here; the message says why."""


@dataclass(frozen=True)
class Environments:
    """Below one folder, outside the checkout."""

    folder: Path

    def python(self, name: str) -> Path:
        """Return the Python of a peer."""
        return self.folder / name.lower() / "bin" / "python"

    def install(self, name: str, requirements: Sequence[str]) -> None:
        """Make an environment with some requirements, unless it is there.

        Raises:
            Unavailable: venv or pip failed.
        """
        folder = self.folder / name.lower()
        done = folder / "installed.txt"
        wanted = "\n".join(requirements)
        if done.exists() and done.read_text() == wanted:
            return
        folder.parent.mkdir(parents=True, exist_ok=True)
        # A constraint of the project is none of the peer.
        environ = {key: text for key, text in os.environ.items() if key != "PIP_CONSTRAINT"}
        for command in (
            [sys.executable, "-m", "venv", str(folder)],
            [str(self.python(name)), "-m", "pip", "install", "-q", *requirements],
        ):
            ended = subprocess.run(command, env=environ, capture_output=True, text=True)
            if ended.returncode:
                last = (ended.stderr.strip() or "no message").splitlines()[-1]
                raise Unavailable(f"pip cannot install {wanted!r}: {last}")
        done.write_text(wanted)

    def version(self, name: str, distribution: str) -> str:
        """Return the version of a distribution in the environment of a peer."""
        code = f"import importlib.metadata as m; print(m.version({distribution!r}))"
        command = [str(self.python(name)), "-c", code]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def run_script(
    command: Sequence[str | Path], stdin: object, environ: Mapping[str, str] | None = None
) -> None:
    """Run a script of a peer with an object as JSON on its standard input.

    Raises:
        Unavailable: it failed.
    """
    ended = subprocess.run(
        command,
        input=json.dumps(stdin),
        env={**os.environ, **(environ or {})},
        capture_output=True,
        text=True,
    )
    if ended.returncode:
        last = (ended.stderr.strip() or "no message").splitlines()[-1]
        raise Unavailable(f"{Path(command[1]).name} ended with {ended.returncode}: {last}")


def program(*places: str) -> str:
    """Return the first of some programs that is there.

    Raises:
        Unavailable: none is.
    """
    for place in places:
        found = shutil.which(place)
        if found:
            return found
    raise Unavailable(f"{places[0]} is not installed")
