"""Absolute addresses of the server, for the documents that have any.

`[server] public_url` decides, if it is set. Else a proxy that is trusted does, by its headers,
and what it leaves open is taken from the request. Of a header with several values the last counts:
the trusted proxy appended it, whereas a client may have sent the others.

    scheme   X-Forwarded-Proto     Forwarded: proto=
    host     X-Forwarded-Host      Forwarded: host=      with X-Forwarded-Port, if it has no port
    prefix   X-Forwarded-Prefix    X-Script-Name         X-Forwarded-Context (JupyterHub)
"""

from __future__ import annotations

import re

from starlette.requests import Request

from tileserver.errors import InvalidRequest
from tileserver.http.parameters import check_host
from tileserver.http.responses import DOCUMENT

TRUSTED_PROXY = "trusted_proxy"
"""Key of `scope["state"]`: whether a trusted proxy sent the request."""
PUBLIC_DOCUMENT = "public, max-age=60"
"""Cache-Control of a document whose addresses do not depend on the request."""

_MAX_PREFIX = 200
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~%!$&'()*+,;=:@-]+)*/?", re.ASCII)
_PREFIXES = ("x-forwarded-prefix", "x-script-name", "x-forwarded-context")
_PAIR = re.compile(r'\s*([A-Za-z]+)\s*=\s*(?:"([^"\\]*)"|([^\s;,"]*))\s*')
_PORTS = {"http": "80", "https": "443"}
_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}


def base_url(request: Request, public_url: str | None) -> str:
    """Return the address of the server as its clients know it, without a final slash.

    Args:
        request: the request.
        public_url: the configured address, if there is one.

    Raises:
        InvalidRequest: the Host header, or a header of a trusted proxy, is malformed; names it.
    """
    if public_url is not None:
        return public_url
    is_proxied = bool(request.scope.get("state", {}).get(TRUSTED_PROXY))
    forwarded = _forwarded(request) if is_proxied else {}
    scheme = _scheme(request, forwarded, is_proxied)
    host = _host(request, forwarded, scheme) if is_proxied else None
    # Two Host headers are refused: a proxy may have used the other one.
    host = host or check_host(", ".join(request.headers.getlist("host")))
    prefix = _prefix(request) if is_proxied else ""
    root_path: str = request.scope.get("root_path", "")
    return f"{scheme}://{host}{prefix}{root_path.rstrip('/')}"


def document_cache_control(public_url: str | None) -> str:
    """Return the Cache-Control of a document with absolute addresses.

    Without a public URL they repeat headers of the request, and no shared cache may keep them.
    """
    return DOCUMENT if public_url is None else PUBLIC_DOCUMENT


def _last(request: Request, name: str) -> str:
    """Return the last of the comma-separated values of a header, "" without any."""
    return ",".join(request.headers.getlist(name)).rpartition(",")[2].strip()


def _forwarded(request: Request) -> dict[str, str]:
    """Return the pairs of the last element of Forwarded (RFC 7239), names in lower case."""
    element = _last(request, "forwarded")
    if not element:
        return {}
    matches = [_PAIR.fullmatch(pair) for pair in element.split(";")]
    if not all(matches):
        raise InvalidRequest(f"Forwarded: expected name=value pairs, got {element[:80]!r}")
    return {found[1].lower(): found[2] or found[3] or "" for found in matches if found}


def _scheme(request: Request, forwarded: dict[str, str], is_proxied: bool) -> str:
    given = ""
    if is_proxied:
        given = _last(request, "x-forwarded-proto").lower() or forwarded.get("proto", "").lower()
        if given and given not in _SCHEMES:
            raise InvalidRequest(f"X-Forwarded-Proto: expected http or https, got {given[:40]!r}")
    return _SCHEMES[given or request.scope["scheme"]]


def _host(request: Request, forwarded: dict[str, str], scheme: str) -> str | None:
    """Return the host, with its port, that a proxy names; None if it names none."""
    host = _last(request, "x-forwarded-host") or forwarded.get("host", "")
    if not host:
        return None
    check_host(host, "X-Forwarded-Host")
    port = _last(request, "x-forwarded-port")
    if port and not re.fullmatch("[0-9]{1,5}", port, re.ASCII):
        raise InvalidRequest(f"X-Forwarded-Port: expected a port, got {port[:40]!r}")
    has_port = not host.endswith("]") and ":" in host.rpartition("]")[2]
    if port and not has_port and port != _PORTS[scheme]:
        return f"{host}:{port}"
    return host


def _prefix(request: Request) -> str:
    """Return the path below which a proxy has the server, without a final slash."""
    for name in _PREFIXES:
        prefix = ",".join(request.headers.getlist(name)[-1:]).strip()
        if not prefix:
            continue
        is_safe = _PREFIX.fullmatch(prefix) and len(prefix) <= _MAX_PREFIX
        if not is_safe or {".", ".."} & set(prefix.split("/")):
            label = "-".join(part.capitalize() for part in name.split("-"))
            raise InvalidRequest(f'{label}: expected a path such as "/maps", got {prefix[:80]!r}')
        return prefix.rstrip("/")
    return ""
