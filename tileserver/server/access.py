"""Access of a configuration: which assets may be read, who may send requests, what to warn of."""

from __future__ import annotations

import logging
from collections.abc import Container, Iterable, Mapping, Sequence

from tileserver.config.config import Config
from tileserver.contract.names import Access
from tileserver.http.hosts import HostNames, is_loopback
from tileserver.http.keys import SHORT, Keys
from tileserver.http.page import page_files
from tileserver.http.rules import Rules

log = logging.getLogger(__name__)


def readable_assets(config: Config, prefixes: Iterable[str]) -> Sequence[str] | None:
    """Return patterns of the assets that may be read by name; None allows all.

    Without `[access] assets` all local rasters may be read, and Earth Engine's assets only if
    nobody but the users of this machine reaches the server, as reads are charged to them.
    `prefixes` are those of the local rasters' names.
    """
    if config.access.assets is not None or config.earth_engine is None:
        return config.access.assets
    if is_private(config):
        return None
    log.warning("[access] assets is not set: Earth Engine's assets are served as layers only")
    return _local_assets(prefixes)


def is_private(config: Config) -> bool:
    """Return whether only the users of this machine are meant to reach the server."""
    server = config.server
    return is_loopback(server.host) and server.public_url is None and not config.access.open


def _local_assets(prefixes: Iterable[str]) -> list[str]:
    return [f"{prefix}**" if prefix.endswith("/") else prefix for prefix in prefixes]


def rules_of(
    config: Config,
    prefixes: Iterable[str],
    layer_names: Container[str],
    environ: Mapping[str, str],
) -> Rules:
    """Return the rules by which requests are admitted.

    Raises:
        ConfigError: a key is not set, cannot be sent, or is the same as another.
    """
    is_for_one = config.earth_engine is not None and config.access.assets is None
    return Rules(
        layer_names,
        Keys(config.access.secrets(environ)),
        is_loopback(config.server.host),
        config.access.open,
        HostNames(config.server.public_url),
        # For requests that come through a proxy which the configuration does not name.
        Access(_local_assets(prefixes)) if is_for_one and is_private(config) else None,
        page_files(),
    )


def exposure(config: Config) -> str | None:
    """Return a warning that strangers reach the server as it is configured, or None."""
    access = config.access
    if is_loopback(config.server.host) or access.keys or access.open:
        return None
    if access.assets is not None:
        return None
    return (
        f"{config.server.host} is reached from other machines, and there are no [access] keys: "
        "EVERYBODY WHO REACHES IT SEES ALL LAYERS AND RASTERS. /v1 and /metrics stay closed until "
        "[access] keys are set, or [access] open = true serves them to everybody"
    )


def weak_keys(config: Config, environ: Mapping[str, str]) -> str | None:
    """Return a warning of API keys that can be guessed, or None.

    Raises:
        ConfigError: a key is not set.
    """
    secrets = config.access.secrets(environ)
    names = [f"keys.{name}" for name, secret in secrets.items() if len(secret) < SHORT]
    if not names:
        return None
    return (
        f"[access] {', '.join(names)}: expected {SHORT} characters or more, fewer can be guessed; "
        "`openssl rand -hex 24` makes a key"
    )
