"""Errors in the form of OGC's web services: codes, the wrong parameter, an exception report."""

from __future__ import annotations

import re

from tileserver.errors import AssetNotFound, InvalidRequest, TileOutOfRange
from tileserver.layers.xml_elements import exception_report

MEDIA_TYPE = "application/xml"
_NAMED = re.compile(r"([a-z_]{1,40}): ", re.ASCII)


class OwsError(InvalidRequest):
    """A request that a service of OGC refuses with a code of its own."""

    code = "InvalidParameterValue"

    def __init__(self, message: str, locator: str | None = None, code: str | None = None) -> None:
        """`locator` is the name of the parameter that is wrong."""
        super().__init__(message)
        self.locator = locator
        self.code = code or self.code


class OperationNotSupported(OwsError):
    """The service has no such operation."""

    code = "OperationNotSupported"


def missing(name: str, expected: str) -> OwsError:
    """Return the error of a parameter that is missing."""
    return OwsError(f"{name}: missing; expected {expected}", name, "MissingParameterValue")


def report(message: str, exc: BaseException | None) -> bytes:
    """Return the exception report of an error; None is one of the router or a crash."""
    code, locator = "NoApplicableCode", None
    if isinstance(exc, OwsError):
        code, locator = exc.code, exc.locator
    elif isinstance(exc, TileOutOfRange):
        code = "TileOutOfRange"
    elif isinstance(exc, AssetNotFound):
        code, locator = "InvalidParameterValue", "layer"
    elif isinstance(exc, InvalidRequest):
        named = _NAMED.match(message)
        code, locator = "InvalidParameterValue", named[1] if named else None
    return exception_report(message, code, locator)
