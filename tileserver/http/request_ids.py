"""The id of a request: the client's X-Request-Id, or a random one."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


def request_id(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the id of a request, 1 to 64 characters that are safe in a header and in a log.

    >>> request_id([(b"x-request-id", b"trace-7")])
    b'trace-7'
    """
    for name, value in headers:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return value
    # os.urandom releases the global lock, so that computing threads would run first.
    return b"%016x" % random.getrandbits(64)
