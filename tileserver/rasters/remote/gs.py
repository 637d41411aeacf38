"""Requests signed as Google Cloud Storage wants them, with Application Default Credentials."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from tileserver.errors import UnreadableRaster

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

_SCOPES = ["https://www.googleapis.com/auth/devstorage.read_only"]
_LOCK = threading.Lock()


def bearer(url: str, headers: Mapping[str, str]) -> Mapping[str, str]:
    """Return the headers of a GET with a token, or raise UnreadableRaster if there is none."""
    # Late, as it costs a tenth of a second and few servers need it.
    from google.auth import exceptions
    from google.auth.transport.requests import Request

    try:
        with _LOCK:
            credentials = _credentials()
            if not credentials.valid:
                credentials.refresh(Request())  # type: ignore[no-untyped-call]
    except exceptions.GoogleAuthError as exc:
        raise UnreadableRaster(
            "Google's credentials cannot be used; a public bucket needs GS_NO_SIGN_REQUEST=YES"
        ) from exc
    return {**headers, "Authorization": f"Bearer {credentials.token}"}


@lru_cache(maxsize=1)
def _credentials() -> Credentials:
    import google.auth

    found, _ = google.auth.default(scopes=_SCOPES)
    return found
