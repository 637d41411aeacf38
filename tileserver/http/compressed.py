"""Scripts and styles as they are sent: without comments, compressed once for each state of one."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import anyio
from starlette.datastructures import Headers
from starlette.responses import FileResponse, Response
from starlette.types import Scope

_COMMENTED = (".js", ".css")
_TEXT = (*_COMMENTED, ".html", ".svg", ".json")
_LEAST_BYTES = 500


async def compressed(response: Response, scope: Scope) -> Response:
    """Return a response that sends a text file with gzip, if the client accepts that."""
    if not isinstance(response, FileResponse) or not str(response.path).endswith(_TEXT):
        return response
    response.headers.add_vary_header("accept-encoding")
    headers, stat = Headers(scope=scope), response.stat_result
    accepted = {each.strip() for each in headers.get("accept-encoding", "").split(",")}
    is_whole = "range" not in headers
    if stat is None or stat.st_size < _LEAST_BYTES or "gzip" not in accepted or not is_whole:
        return response
    body = await anyio.to_thread.run_sync(
        _gzipped, str(response.path), stat.st_mtime_ns, stat.st_size
    )
    kept = {
        name: value
        for name, value in response.headers.items()
        if name not in ("content-length", "accept-ranges")
    }
    # Other bytes than those of the file have an ETag of their own.
    etag = f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
    kept |= {"content-encoding": "gzip", "etag": etag}
    held = {each.strip().removeprefix("W/") for each in headers.get("if-none-match", "").split(",")}
    if etag not in held:
        return Response(body, headers=kept)
    # With the policy of the page: a browser takes over the headers of a 304.
    unchanged = {name: kept[name] for name in kept.keys() - {"content-encoding", "content-type"}}
    return Response(status_code=304, headers=unchanged)


# Of files of the page alone, of which there are about a hundred.
@lru_cache(maxsize=512)
def _gzipped(path: str, changed_ns: int, size: int) -> bytes:
    body = Path(path).read_bytes()
    if path.endswith(_COMMENTED) and b"/vendor/" not in path.encode():
        body = without_comments(body.decode("utf-8")).encode("utf-8")
    return gzip.compress(body, 9, mtime=0)


def without_comments(text: str) -> str:
    r"""Return a script or style sheet with its lines of comment left empty.

    Lines keep their numbers. Comments behind code stay, and so does what looks like a comment in a
    template literal.

    >>> without_comments("// One.\na(); // Two.\n/* Three\n   lines. */\nb();")
    '\na(); // Two.\n\n\nb();'
    """
    return "\n".join(_code_lines(text.split("\n")))


def _code_lines(lines: list[str]) -> Iterator[str]:
    is_comment = is_template = False
    for line in lines:
        bare = line.strip()
        if is_comment:
            is_comment = "*/" not in bare
            yield ""
        elif not is_template and bare.startswith("//"):
            yield ""
        elif not is_template and bare.startswith("/*") and "*/" not in bare[:-2]:
            is_comment = not bare.endswith("*/")
            yield ""
        else:
            is_template ^= line.replace("\\`", "").count("`") % 2 == 1
            yield line
