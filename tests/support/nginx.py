"""A real nginx of our own on loopback, with the server block that the documentation shows."""

from __future__ import annotations

import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.standin_tls import TlsFlaw, make_authority, tls_context
from tests.support.waiting import PATIENCE_S, until

ROOT = Path(__file__).parents[2]
_PROGRAM = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
_FRAME = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{server}
}}
"""


def documented_server() -> str:
    """Return the server block of docs/pages/run/docker.md."""
    page = (ROOT / "docs/pages/run/docker.md").read_text()
    blocks = re.findall(r"^```nginx\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 1
    return str(blocks[0])


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def _accepts(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@contextmanager
def nginx_before(url: str, folder: Path) -> Iterator[tuple[str, ssl.SSLContext]]:
    """Run nginx as documented before a server, but for addresses and certificates.

    Args:
        url: address of the server.
        folder: what nginx may write to.

    Yields:
        The address with the documented prefix, and a context that trusts its certificate.
    """
    if _PROGRAM is None:
        pytest.skip("nginx is not installed")
    authority, port = make_authority(folder), _free_port()
    tls_context(authority)
    certificate = folder / f"server-{TlsFlaw.NONE}.pem"
    server = documented_server()
    for before, after in (
        (r"listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        (r"(ssl_certificate(?:_key)?) +\S+;", rf"\1 {certificate};"),
        (r"http://127\.0\.0\.1:8080", url),
    ):
        server, count = re.subn(before, after, server)
        assert count
    (folder / "nginx.conf").write_text(_FRAME.format(folder=folder, server=server))
    command = [_PROGRAM, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"]
    with (folder / "nginx.log").open("w") as log:
        process = subprocess.Popen(command, stderr=log)
    try:
        until(lambda: process.poll() is not None or _accepts(port))
        assert process.poll() is None, (folder / "nginx.log").read_text()
        yield f"https://127.0.0.1:{port}/eo", ssl.create_default_context(cafile=authority.file)
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
