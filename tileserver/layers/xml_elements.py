"""Elements of OGC's XML documents, and their text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

OWS = "http://www.opengis.net/ows/1.1"
WMTS = "http://www.opengis.net/wmts/1.0"
XLINK = "http://www.w3.org/1999/xlink"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no XML may have, not even escaped."""

for _prefix, _uri in (("", WMTS), ("ows", OWS), ("xlink", XLINK), ("xsi", XSI)):
    ElementTree.register_namespace(_prefix, _uri)


def ows(name: str) -> str:
    """Return the tag of an element of OWS Common."""
    return f"{{{OWS}}}{name}"


def wmts(name: str) -> str:
    """Return the tag of an element of WMTS."""
    return f"{{{WMTS}}}{name}"


def href(url: str) -> dict[str, str]:
    """Return the attribute that holds an address."""
    return {f"{{{XLINK}}}href": clean(url)}


def clean(text: str) -> str:
    """Return text with U+FFFD for each character that XML cannot have."""
    return _NO_XML.sub("\ufffd", text)


def add(
    parent: Element,
    tag: str,
    text: str | float | None = None,
    attributes: Mapping[str, str] = MappingProxyType({}),
) -> Element:
    """Add a child to an element and return it; its text and attributes are escaped when written."""
    child = ElementTree.SubElement(parent, tag, {k: clean(v) for k, v in attributes.items()})
    if text is not None:
        child.text = clean(str(text))
    return child


def written(root: Element) -> bytes:
    """Return a document in UTF-8, with its declaration."""
    body: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return body


def exception_report(message: str, code: str, locator: str | None = None) -> bytes:
    """Return OGC's document of one error.

    Args:
        message: for people.
        code: one of OWS Common's, or of the service's.
        locator: the parameter that is wrong.
    """
    where = {f"{{{XSI}}}schemaLocation": f"{OWS} http://schemas.opengis.net/ows/1.1.0/owsAll.xsd"}
    attributes = {**where, "version": "1.1.0", _LANG: "en"}
    root = Element(ows("ExceptionReport"), attributes)
    told = {"exceptionCode": code, **({"locator": locator} if locator else {})}
    exception = add(root, ows("Exception"), attributes=told)
    add(exception, ows("ExceptionText"), message)
    return written(root)
