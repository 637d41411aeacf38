"""TFRecord files of tf.train.Example, written without TensorFlow.

Earth Engine's exports hold a FloatList for each band, whatever the band's own type
(https://developers.google.com/earth-engine/guides/tfrecord). The framing is described in
https://www.tensorflow.org/tutorials/load_data/tfrecord, the bytes of a message in
https://protobuf.dev/programming-guides/encoding. No message is longer than the 2 GiB that
protobuf allows, because a request is never longer than 48 MiB.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.contract.pixels import BandArrays

_LENGTH_DELIMITED = 2
_KEY, _VALUE = 1, 2
_FEATURES, _FEATURE, _FLOAT_LIST, _FLOATS = 1, 1, 2, 1
_BYTES_LIST, _BYTES = 1, 1

_POLYNOMIAL = 0x82F63B78
"""CRC-32C (Castagnoli), bits in reverse."""
_PRESET = np.uint32(0x641F6454)
"""The word that brings a register of zeros to all ones, where CRC-32C begins."""
_MASK_DELTA = 0xA282EAD8


def write_tfrecord(bands: BandArrays) -> bytes:
    """Return one record: a feature of height * width floats a band, row after row; masked is 0."""
    named = zip(bands.ids, bands.masked_to_zero(), strict=True)
    return _example({band_id: _feature(values) for band_id, values in named})


def write_example(values: Mapping[str, Sequence[float] | Sequence[str]]) -> bytes:
    """Return one record: a list of floats, or of texts as bytes, by its name."""
    return _example(
        {
            name: _texts(each) if each and isinstance(each[0], str) else _feature(np.array(each))
            for name, each in values.items()
        }
    )


def _example(features: Mapping[str, bytes]) -> bytes:
    entries = b"".join(
        _field(_FEATURE, _field(_KEY, name.encode()) + _field(_VALUE, feature))
        for name, feature in features.items()
    )
    return _record(_field(_FEATURES, entries))


def _texts(texts: Sequence[Any]) -> bytes:
    return _field(_BYTES_LIST, b"".join(_field(_BYTES, str(each).encode()) for each in texts))


def _feature(values: NDArray[Any]) -> bytes:
    # A float64 beyond float32 becomes infinite, as it does in Earth Engine's own floats.
    with np.errstate(over="ignore"):
        floats = values.astype("<f4").tobytes()
    return _field(_FLOAT_LIST, _field(_FLOATS, floats))


def _field(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | _LENGTH_DELIMITED) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    septets = bytearray()
    while value > 0x7F:
        septets.append(value & 0x7F | 0x80)
        value >>= 7
    septets.append(value)
    return bytes(septets)


def _record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return b"".join((length, _masked_crc(length), data, _masked_crc(data)))


def _masked_crc(data: bytes) -> bytes:
    """Return the checksum as TFRecord stores it, rotated and shifted by a constant."""
    crc = crc32c(data)
    rotated = (crc >> 15 | crc << 17) & 0xFFFFFFFF
    return struct.pack("<I", (rotated + _MASK_DELTA) & 0xFFFFFFFF)


def crc32c(data: bytes) -> int:
    """Return the CRC-32C of some bytes.

    A checksum is linear, so neighbours can be folded two by two: the left one moves on by as
    many zero bytes as the right one is long, and the two are added. Each round halves the
    words and is one sweep of NumPy.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    words = _words(data)
    advance = _advance_by_a_word()
    last = advance
    while len(words) > 1:
        if len(words) % 2:
            words = np.concatenate((np.zeros(1, np.uint32), words))
        words = _applied(advance, words[0::2]) ^ words[1::2]
        advance = _applied(advance, advance)
    return int(_applied(last, words)[0]) ^ 0xFFFFFFFF


def _words(data: bytes) -> NDArray[np.uint32]:
    """Return the bytes as words behind `_PRESET`; zeros in front of all change no checksum."""
    padding = -len(data) % 4
    padded = np.zeros(padding + 4 + len(data), np.uint8)
    padded[padding : padding + 4] = np.frombuffer(_PRESET.astype("<u4").tobytes(), np.uint8)
    padded[padding + 4 :] = np.frombuffer(data, np.uint8)
    return padded.view("<u4").astype(np.uint32, copy=False)


def _advance_by_a_word() -> NDArray[np.uint32]:
    """Return the move of a register over four zero bytes: a table for each of its bytes."""
    one_byte = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        one_byte = one_byte >> np.uint32(1) ^ (one_byte & np.uint32(1)) * np.uint32(_POLYNOMIAL)
    tables = [one_byte]
    for _ in range(3):
        tables.append(tables[-1] >> np.uint32(8) ^ one_byte[tables[-1] & np.uint32(0xFF)])
    # The lowest byte of the register leaves first, so it has the longest way to go.
    return np.stack(tables[::-1])


def _applied(tables: NDArray[np.uint32], registers: NDArray[np.uint32]) -> NDArray[np.uint32]:
    moved = np.zeros_like(registers)
    for byte, table in enumerate(tables):
        moved ^= np.take(table, registers >> np.uint32(8 * byte) & np.uint32(0xFF))
    return moved
