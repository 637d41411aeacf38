"""Write the signatures of Earth Engine's algorithms: `python docs/signatures.py`.

They are names, argument names, types, defaults and flags, from the list that the installed
`earthengine-api` ships for its own tests; its descriptions are left out.
"""

from __future__ import annotations

import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[1] / "tileserver" / "compute" / "signatures.txt"
_NOT_LISTED = ("Image.bandTypes(image: Image) -> Dictionary",)
"""Algorithms that the list of the client's tests leaves out, and the service has."""


def signatures() -> str:
    """Return one line for each algorithm, in the grammar of `tileserver.compute.registry`."""
    listed = json.loads(resources.files("ee").joinpath("tests/algorithms.json").read_bytes())
    lines = [*map(_line, listed["algorithms"]), *_NOT_LISTED]
    return "\n".join(sorted(lines, key=_name)) + "\n"


def _line(each: dict[str, Any]) -> str:
    name = each["name"].removeprefix("algorithms/")
    arguments = ", ".join(map(_argument, each.get("arguments", [])))
    flags = "".join(f"{flag} " for flag in ("hidden", "deprecated") if each.get(flag))
    return f"{flags}{name}({arguments}) -> {_plain(each['returnType'])}"


def _argument(each: dict[str, Any]) -> str:
    default = f" = {json.dumps(each.get('defaultValue'))}" if each.get("optional") else ""
    return f"{each['argumentName']}: {_plain(each['type'])}{default}"


def _plain(type_name: str) -> str:
    """Return a type without what it is a type of."""
    return re.sub(r"(?<=\w)<.*>", "", type_name)


def _name(line: str) -> str:
    return line.partition("(")[0].rpartition(" ")[2]


if __name__ == "__main__":
    FILE.write_text(signatures(), "utf-8")
