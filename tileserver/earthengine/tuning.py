"""What of Earth Engine's stack notebooks, tests and benchmarks override.

Apart from the stack, so that a server without Earth Engine imports none of its clients.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import Any

from tileserver.earthengine.assets import POLL_S
from tileserver.earthengine.retries import DEADLINE_S


@dataclass(frozen=True)
class Tuning:
    """Defaults that notebooks, tests and benchmarks override."""

    tiles_per_side: int = 4
    """Tiles on the side of a block."""
    try_s: float = 20.0
    """Of one attempt; shorter than the deadline, so that the breaker sees the failure."""
    deadline_s: float = DEADLINE_S
    """Of all attempts of a request."""
    poll_s: float = POLL_S
    """Age at which an asset's metadata is refreshed."""
    tls: ssl.SSLContext | None = None
    """The trusted authorities; None is those that browsers trust."""
    credentials: Any = field(default=None, repr=False)
    """google-auth's, of the account; None is the application default credentials."""
