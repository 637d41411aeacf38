"""Ask a server in this container whether it is healthy, on whichever port it listens.

The port may come from the command line, the environment or a file, so it is not read from any of
them: Linux tells which sockets a process and its descendants listen on.

    python healthcheck.py PID

ends with 0 when one of them answers `GET /healthz` with 200, else with 1 and the reason.
"""

from __future__ import annotations

import ipaddress
import os
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

_LISTEN = "0A"
_TIMEOUT_S = 1.0
_PROC = Path("/proc")


def main(pid: int) -> str | None:
    """Return why the server of a process is not healthy, or None."""
    urls = [f"http://{each}/healthz" for each in listening(pid)]
    faults = []
    for url in urls:
        try:
            # Answers anything but 200 with an error; a proxy of the environment is not asked.
            urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, None, _TIMEOUT_S)
            return None
        except OSError as exc:
            faults.append(f"{url}: {exc}")
    return "; ".join(faults) or f"process {pid} listens on no port"


def listening(pid: int) -> list[str]:
    """Return the addresses, HOST:PORT, on which a process or a descendant accepts TCP."""
    inodes = {inode for each in family(pid) for inode in _socket_inodes(each)}
    found = []
    for table in ("tcp", "tcp6"):
        try:
            rows = (_PROC / "net" / table).read_text("ascii").splitlines()[1:]
        except FileNotFoundError:
            continue
        for fields in map(str.split, rows):
            if fields[3] == _LISTEN and fields[9] in inodes:
                found.append(_address(fields[1]))
    return sorted(set(found))


def family(pid: int) -> set[int]:
    """Return a process and its descendants."""
    parents = {int(each.name): _parent(each) for each in _PROC.glob("[0-9]*")}
    found, size = {pid}, 0
    while len(found) > size:
        size = len(found)
        found |= {child for child, parent in parents.items() if parent in found}
    return found


def _parent(process: Path) -> int | None:
    try:
        # The name before it is in parentheses and may hold anything.
        return int((process / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()[1])
    except OSError:
        return None


def _socket_inodes(pid: int) -> Iterator[str]:
    try:
        for each in os.scandir(_PROC / str(pid) / "fd"):
            target = os.readlink(each.path)
            if target.startswith("socket:["):
                yield target[8:-1]
    except OSError:
        return


def _address(text: str) -> str:
    """Return HOST:PORT to connect to, from the hex digits of /proc/net.

    >>> _address("0100007F:1F90"), _address("00000000:0050")
    ('127.0.0.1:8080', '127.0.0.1:80')
    """
    digits, _, port = text.partition(":")
    # In words of four bytes, in the processor's byte order.
    words = (bytes.fromhex(digits[i : i + 8]) for i in range(0, len(digits), 8))
    packed = b"".join(word[::-1] if sys.byteorder == "little" else word for word in words)
    address = ipaddress.ip_address(packed)
    if address.is_unspecified:
        address = ipaddress.ip_address("127.0.0.1" if address.version == 4 else "::1")
    host = f"[{address}]" if address.version == 6 else str(address)
    return f"{host}:{int(port, 16)}"


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
