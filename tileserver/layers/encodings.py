"""Pictures whose colours are values: `encoding=terrarium`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tileserver.contract.pixels import PixelRequest
from tileserver.contract.processing import Encoding, Processing
from tileserver.errors import InvalidRequest
from tileserver.layers.layers import Layer

ENCODING_PARAMETER = "encoding"


def parse_encoding(parameters: Mapping[str, str]) -> Encoding | None:
    """Return the encoding in the parameters of a URL; None without one.

    Raises:
        InvalidRequest: there is none of that name.
    """
    text = parameters.get(ENCODING_PARAMETER)
    if text is None:
        return None
    if text not in list(Encoding):
        known = " or ".join(Encoding)
        raise InvalidRequest(f"encoding: expected {known}, got {text[:40]!r}")
    return Encoding(text)


def encoding_of(layer: Layer, encoding: Encoding | None) -> Encoding | None:
    """Return how the tiles of a layer hold values: as requested, or by its own algorithm."""
    algorithm = layer.processing.algorithm if layer.processing else None
    if encoding is None and algorithm is not None and algorithm.is_color:
        return Encoding(algorithm.value)
    return encoding


def check_encodable(layer: Layer) -> None:
    """Check that a layer shows one band.

    Raises:
        InvalidRequest: it shows several.
    """
    bands = layer.style.bands
    if len(bands) != 1:
        raise InvalidRequest(
            f"encoding: holds the values of one band, and the layer shows {', '.join(bands)}; "
            f"expected bands with one of them, such as bands={bands[0]}"
        )


def encoded_request(layer: Layer, pixels: PixelRequest, encoding: Encoding | None) -> PixelRequest:
    """Return a request for a picture that holds values, if `encoding` says so.

    The style decides which band that is, and nothing else: its values are those of `.npy` tiles.

    Raises:
        InvalidRequest: the layer shows several bands, or the format has no pictures.
    """
    if encoding is None:
        return pixels
    file_format = pixels.file_format
    if not file_format.is_picture or not file_format.row.is_lossless:
        raise InvalidRequest(
            f"encoding: the colours of {encoding} are numbers, which {file_format} does not keep; "
            "expected png or webp"
        )
    check_encodable(layer)
    steps = pixels.processing.of_raw if pixels.processing else None
    steps = replace(steps or Processing(), encoding=encoding)
    return replace(pixels, visualization_options=None, processing=steps)
