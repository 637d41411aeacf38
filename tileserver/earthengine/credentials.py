"""Google's application default credentials: https://google.aip.dev/auth/4110.

No message contains a key, a token or a path.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import google.auth
from google.auth import exceptions, transport
from google.auth.credentials import Credentials

from tileserver.earthengine.refusals import LOGIN, without_secrets
from tileserver.earthengine.tokens import HttpxRequest
from tileserver.errors import AuthenticationFailed

SCOPES = ("https://www.googleapis.com/auth/earthengine.readonly",)
"""The least that pixels and metadata need."""

_MISSING = (
    f"There are no Google credentials. Sign in with `{LOGIN}`, or let "
    "GOOGLE_APPLICATION_CREDENTIALS name the key file of a service account."
)


def find_credentials(
    scopes: tuple[str, ...] = SCOPES, request: transport.Request | None = None
) -> tuple[Credentials, str]:
    """Return the application default credentials, and a description of their kind and account.

    Blocks: reads files, and asks the metadata server if there are none.

    Raises:
        AuthenticationFailed: there are none, or they are unusable; the message has the remedy.
    """
    request = request or HttpxRequest()
    try:
        with _quiet():
            credentials, _ = google.auth.default(scopes=scopes, request=request)
            # The metadata server tells whose account it is only with the token.
            if _kind(credentials) == "auth.compute_engine.credentials":
                credentials.refresh(request)  # type: ignore[no-untyped-call]
    except Exception as exc:  # A malformed file makes google-auth raise nearly anything.
        raise AuthenticationFailed(_why_unusable(exc)) from None
    return credentials, describe(credentials)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence google-auth's advice on the project, which the configuration names."""
    logger = logging.getLogger("google.auth")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            yield
    finally:
        logger.setLevel(level)


def describe(credentials: Credentials) -> str:
    """Return the kind and account of credentials."""
    email = getattr(credentials, "service_account_email", None)
    whose = f"service account {without_secrets(str(email))}" if email else "a service account"
    match _kind(credentials):
        case "oauth2.service_account":
            return f"{whose}, by its key file"
        case "auth.compute_engine.credentials":
            return f"{whose}, by the metadata server of this machine"
        case "auth.impersonated_credentials":
            source = getattr(credentials, "_source_credentials", None)
            return f"{whose}, impersonated by {describe(source) if source else 'another account'}"
        case "oauth2.credentials":
            account = getattr(credentials, "account", "")
            user = f"user account {without_secrets(account)}" if account else "a user account"
            return f"{user}, signed in with gcloud"
        case "auth.identity_pool" | "auth.aws" | "auth.pluggable":
            return f"workload identity federation{f' as {whose}' if email else ''}"
        case _:
            return f"credentials of the kind {type(credentials).__name__}"


def _kind(credentials: Credentials) -> str:
    """Return google-auth's module of a class: importing them all may need other packages."""
    return type(credentials).__module__.removeprefix("google.")


def _why_unusable(exc: Exception) -> str:
    text = str(exc)
    if (
        isinstance(exc, exceptions.DefaultCredentialsError)
        and "default credentials were not" in text
    ):
        return _MISSING
    if "was not found" in text:
        why = "does not exist"
    elif isinstance(exc, OSError):
        why = "cannot be read"
    elif isinstance(exc, exceptions.RefreshError | exceptions.TransportError):
        return f"The metadata server of this machine gives no token. {_MISSING}"
    else:
        why = "is not one of a service account, nor one that gcloud writes"
    return f"The credentials file that Google's tools would use {why}. {LOGIN} makes a new one."
