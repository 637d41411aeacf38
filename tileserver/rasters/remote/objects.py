"""The HTTP URL of a remote GeoTIFF, and the signer of requests for it.

The settings of S3 and Google Cloud Storage are the environment variables that GDAL knows.
"""

from __future__ import annotations

import os
import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import quote, unquote

from tileserver.errors import ConfigError
from tileserver.rasters.remote.gs import bearer
from tileserver.rasters.remote.s3 import AwsSigner

SCHEMES = ("s3://", "gs://", "https://", "http://")
_OFF = frozenset({"no", "false", "off", "0"})
_DNS_NAME = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_REGION = re.compile(r"[a-z]{2,}(-[a-z0-9]+)+")

Sign = Callable[[str, Mapping[str, str]], Mapping[str, str]]
"""Returns the headers of a GET of a URL, with credentials added to the given ones."""


def is_remote(location: str) -> bool:
    """Tell whether a location is a URL of a GeoTIFF in object storage."""
    return location.lower().startswith(SCHEMES)


def file_name(location: str) -> str:
    """Return the last part of a URL's path, which is all of the URL that may be shown.

    >>> file_name("https://example.org/scenes/utah.tif?X-Amz-Signature=secret#top")
    'utah.tif'
    """
    path = location if location.lower().startswith(("s3://", "gs://")) else _without_query(location)
    return unquote(path.partition("://")[2]).rpartition("/")[2]


def _without_query(location: str) -> str:
    return re.split(r"[?#]", location, maxsplit=1)[0]


@dataclass(frozen=True)
class RemoteObject:
    """A remote object."""

    url: str = field(repr=False)
    """http or https, ready to be sent; its query may be a secret."""
    sign: Sign = field(default=lambda url, headers: headers, repr=False)
    bucket: str = ""
    """Of Amazon S3 itself, where the region is part of the host."""
    key: str = field(default="", repr=False)

    def in_region(self, region: str) -> RemoteObject | None:
        """Return the same object in the region that Amazon S3 says it is in, or None."""
        if not self.bucket or not _REGION.fullmatch(region) or not isinstance(self.sign, AwsSigner):
            return None
        signer = replace(self.sign, region=region)
        return replace(self, url=_amazon(self.bucket, self.key, region), sign=signer)


def find_object(location: str, environ: Mapping[str, str] = os.environ) -> RemoteObject:
    """Return the object of an s3, gs, https or http URL, with settings from the environment.

    Raises:
        ConfigError: it is not a valid URL.
    """
    scheme, _, rest = location.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme.lower() == "s3":
        return _s3(bucket, key, environ)
    if scheme.lower() == "gs":
        return _gs(bucket, key, environ)
    return _web(location)


def _web(location: str) -> RemoteObject:
    import httpx

    try:
        parsed = httpx.URL(location).copy_with(fragment=None)
    except (httpx.InvalidURL, UnicodeError) as exc:
        raise ConfigError(f"{file_name(location)}: its URL is not one") from exc
    if not parsed.host:
        raise ConfigError(f"{file_name(location)}: its URL names no host")
    if not parsed.userinfo:
        return RemoteObject(str(parsed))
    user = b64encode(f"{parsed.username}:{parsed.password}".encode()).decode()
    bare = parsed.copy_with(username=None, password=None)
    return RemoteObject(
        str(bare), lambda url, headers: {**headers, "Authorization": f"Basic {user}"}
    )


def _s3(bucket: str, key: str, environ: Mapping[str, str]) -> RemoteObject:
    signer = _aws_signer(environ)
    endpoint = environ.get("AWS_S3_ENDPOINT") or environ.get("AWS_ENDPOINT_URL_S3")
    endpoint = endpoint or environ.get("AWS_ENDPOINT_URL")
    if not endpoint:
        return RemoteObject(_amazon(bucket, key, signer.region_or_default()), signer, bucket, key)
    if "://" not in endpoint:
        scheme = "https" if _is_on(environ.get("AWS_HTTPS", "YES")) else "http"
        endpoint = f"{scheme}://{endpoint}"
    scheme, _, host = endpoint.rstrip("/").partition("://")
    if _is_on(environ.get("AWS_VIRTUAL_HOSTING", "YES")) and _DNS_NAME.fullmatch(bucket):
        return RemoteObject(_checked(f"{scheme}://{bucket}.{host}/{quote(key)}"), signer)
    return RemoteObject(_checked(f"{scheme}://{host}/{quote(bucket)}/{quote(key)}"), signer)


def _aws_signer(environ: Mapping[str, str]) -> AwsSigner:
    is_anonymous = _is_on(environ.get("AWS_NO_SIGN_REQUEST", "NO"))
    profile = environ.get("AWS_PROFILE") or environ.get("AWS_DEFAULT_PROFILE")
    region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or ""
    payer = environ.get("AWS_REQUEST_PAYER", "")
    return AwsSigner(region, profile, is_anonymous=is_anonymous, payer=payer)


def _amazon(bucket: str, key: str, region: str) -> str:
    end = "com.cn" if region.startswith("cn-") else "com"
    host = f"s3.{region}.amazonaws.{end}"
    if _DNS_NAME.fullmatch(bucket):
        return _checked(f"https://{bucket}.{host}/{quote(key)}")
    # The certificate holds for one name below the host, so not for a bucket with dots.
    return _checked(f"https://{host}/{quote(bucket)}/{quote(key)}")


def _gs(bucket: str, key: str, environ: Mapping[str, str]) -> RemoteObject:
    endpoint = environ.get("CPL_GS_ENDPOINT", "https://storage.googleapis.com").rstrip("/")
    url = _checked(f"{endpoint}/{quote(bucket)}/{quote(key)}")
    if _is_on(environ.get("GS_NO_SIGN_REQUEST", "NO")):
        return RemoteObject(url)
    key_id, secret = environ.get("GS_ACCESS_KEY_ID"), environ.get("GS_SECRET_ACCESS_KEY")
    if key_id and secret:
        return RemoteObject(url, AwsSigner("auto", key_id=key_id, secret=secret))
    return RemoteObject(url, bearer)


def _checked(url: str) -> str:
    import httpx

    try:
        return str(httpx.URL(url))
    except (httpx.InvalidURL, UnicodeError) as exc:
        raise ConfigError(f"{file_name(url)}: its bucket and endpoint make no URL") from exc


def _is_on(text: str) -> bool:
    return text.lower() not in _OFF
