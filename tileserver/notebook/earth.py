"""Earth Engine for a notebook: the objects and the account of the package `ee`."""

from __future__ import annotations

import os
import sys
from collections.abc import Hashable
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from tileserver.config.config import EarthEngineSettings, load_config
from tileserver.earthengine.tuning import Tuning
from tileserver.errors import ConfigError, InvalidRequest, shown

_EE_URL = "https://earthengine.googleapis.com"
"""Where `ee` sends requests by itself; tiles go to the address for many requests."""
_HOW = (
    "ee.Initialize(project='my-project') before it, project='my-project' in the call, or "
    "TILESERVER_EARTH_ENGINE__PROJECT in the environment"
)


def is_earth_object(source: object) -> bool:
    """Tell whether a source is an object of `ee`."""
    return type(source).__module__.partition(".")[0] == "ee" and hasattr(source, "serialize")


def expression_of(source: Any) -> str:
    """Return the expression of an image, or of the mosaic of a collection, as JSON.

    Raises:
        InvalidRequest: it is another object.
    """
    name = type(source).__name__
    if name == "ImageCollection":
        return str(source.mosaic().serialize())
    if name != "Image":
        raise InvalidRequest(
            f"an ee.Image or ee.ImageCollection is drawn, got an ee.{name}; of tables "
            ".style() makes an image"
        )
    return str(source.serialize())


def settings(project: str | None) -> tuple[EarthEngineSettings, Tuning, Hashable]:
    """Return the project, the address and the account of Earth Engine; and a key of these.

    Those of `ee` if it is initialized, else the project given or in the environment, with the
    application default credentials.

    Raises:
        ConfigError: no project is known.
    """
    state = _state()
    if state is None:
        found = load_config(None, os.environ, {"earth_engine.project": project}).earth_engine
        if found is None:
            raise ConfigError(f"Earth Engine needs a Google Cloud project: {_HOW}")
        return found, Tuning(), (found.project, found.endpoint)
    named = project or state.cloud_api_user_project or ""
    if not named or named == "earthengine-legacy":
        raise ConfigError(f"Earth Engine needs a Google Cloud project: {_HOW}")
    parts = urlsplit(state.cloud_api_base_url or _EE_URL)
    url = f"{parts.scheme}://{parts.netloc}"
    credentials = state.credentials
    key = named, url, id(credentials)
    found = EarthEngineSettings(named)
    found = found if url == _EE_URL else replace(found, endpoint=url)
    return found, Tuning(credentials=_account(credentials)), key


def _state() -> Any:
    """Return the state of `ee` if the notebook has initialized it."""
    data = sys.modules.get("ee.data")
    if data is None or not data.is_initialized():
        return None
    return data._get_state()


def _account(credentials: Any) -> Any:
    """Return credentials whose tokens can be renewed; anonymous ones get a token of no account."""
    if credentials is None or not type(credentials).__name__.startswith("Anonymous"):
        return credentials
    from google.oauth2.credentials import Credentials

    return Credentials(token="anonymous")  # type: ignore[no-untyped-call]


def asset_name(text: str) -> str:
    """Return the name of an asset.

    Raises:
        ConfigError: it is none.
    """
    if "/" not in text or " " in text:
        raise ConfigError(
            f"{shown(text)}: no such file or folder in {os.getcwd()}, and no name of an asset of "
            "Earth Engine, such as 'USGS/SRTMGL1_003'"
        )
    return text
