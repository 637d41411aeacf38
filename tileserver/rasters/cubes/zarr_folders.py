"""Zarr stores, versions 2 and 3: folders, each file of which is opened beneath their root."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import struct
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.errors import UnreadableRaster
from tileserver.rasters.cubes.stored import (
    ATTRIBUTES,
    MAX_VARIABLES,
    Selection,
    Stored,
    is_name,
    plain,
)
from tileserver.rasters.files import Place, open_beneath

METADATA = (".zgroup", ".zarray", ".zattrs", ".zmetadata", "zarr.json")
_MAX_METADATA_BYTES = 16_000_000
_MAX_FILE_BYTES = 1_000_000_000
_MAX_FILES = 1_000_000
_CODECS = frozenset(
    (
        "adler32",
        "astype",
        "bitround",
        "blosc",
        "bytes",
        "bz2",
        "crc32",
        "crc32c",
        "delta",
        "fixedscaleoffset",
        "fletcher32",
        "gzip",
        "lz4",
        "lzma",
        "packbits",
        "quantize",
        "sharding_indexed",
        "shuffle",
        "transpose",
        "vlen-utf8",
        "zlib",
        "zstd",
    )
)
"""Codecs of data; others, such as pickle, may run code of the file's."""


class ZarrStore:
    """An open Zarr store: the arrays of its root group."""

    def __init__(self, place: Place, name: str) -> None:
        """Open a store.

        Args:
            place: of its folder.
            name: for errors.

        Raises:
            UnreadableRaster: it is none, or it has codecs that are not read.
        """
        import zarr

        try:
            group = zarr.open_group(_beneath(place), mode="r", use_consolidated=False)
            self.variables = dict(_all(group))
        except UnreadableRaster as exc:
            raise UnreadableRaster(f"{name}: {exc}") from exc
        except Exception as exc:  # of any kind: what the metadata say goes to many parsers
            raise UnreadableRaster(f"{name}: not a readable Zarr store.") from exc

    def close(self) -> None:
        """Do nothing: no file stays open."""


def folder_state(path: str) -> str:
    """Return a token of the files of a store: names, sizes and times; links are not followed.

    Raises:
        UnreadableRaster: there are too many files.
    """
    digest = hashlib.blake2b(digest_size=8)
    for count, line in enumerate(_states(path)):
        if count > _MAX_FILES:
            raise UnreadableRaster(f"the Zarr store has more than {_MAX_FILES} files.")
        digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _states(path: str) -> Iterator[str]:
    with os.scandir(path) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        state = entry.stat(follow_symlinks=False)
        if entry.is_dir(follow_symlinks=False):
            yield from _states(entry.path)
        else:
            yield f"{entry.name} {state.st_ino} {state.st_size} {state.st_mtime_ns}\n"


def _beneath(place: Place) -> Any:
    """Return the store of a folder, whose files are opened one folder after the other."""
    from zarr.abc.store import OffsetByteRequest, RangeByteRequest, SuffixByteRequest
    from zarr.core.buffer import default_buffer_prototype
    from zarr.storage import LocalStore

    class Beneath(LocalStore):
        """Files below a folder; no link is followed."""

        def get_sync(self, key: str, *, prototype: Any = None, byte_range: Any = None) -> Any:
            file = open_beneath(Place(place.root, f"{place.below}/{key}", place.is_root_link))
            if file is None:
                return None
            with file:
                body = self._part(file, byte_range)
            if key.rpartition("/")[2] in METADATA:
                _check_codecs(body)
            return (prototype or default_buffer_prototype()).buffer.from_bytes(body)

        async def get(self, key: str, prototype: Any = None, byte_range: Any = None) -> Any:
            # Awaited by Zarr's own thread, as long as a file takes to read.
            return self.get_sync(key, prototype=prototype, byte_range=byte_range)

        def _part(self, file: Any, byte_range: Any) -> bytes:
            size = file.state().size_bytes
            match byte_range:
                case None:
                    start, end = 0, size
                case RangeByteRequest():
                    start, end = byte_range.start, min(byte_range.end, size)
                case OffsetByteRequest():
                    start, end = byte_range.offset, size
                case SuffixByteRequest():
                    start, end = max(0, size - byte_range.suffix), size
                case _:
                    raise TypeError("an unknown part of a file")
            if end - start > _MAX_FILE_BYTES:
                raise UnreadableRaster("a file of the Zarr store is too large.")
            return os.pread(file.descriptor, max(end - start, 0), start)

    return Beneath(place.path, read_only=True)


def _check_codecs(body: bytes) -> None:
    if len(body) > _MAX_METADATA_BYTES:
        raise UnreadableRaster("the metadata of the Zarr store are too long.")
    for name in _codecs(json.loads(body)):
        if name.removeprefix("numcodecs.") not in _CODECS:
            raise UnreadableRaster(f"the codec {name[:40]!r} of a Zarr store is not read.")


def _codecs(value: Any) -> Iterator[str]:
    """Yield the names of the codecs in metadata, wherever they stand."""
    if isinstance(value, Mapping):
        for name, member in value.items():
            if name in ("compressor", "filters", "codecs", "index_codecs"):
                for each in member if isinstance(member, list) else [member]:
                    if isinstance(each, Mapping):
                        yield str(each.get("id", each.get("name", "")))
                    elif isinstance(each, str):
                        yield each
            if name != "attributes":
                yield from _codecs(member)
    elif isinstance(value, list):
        for member in value:
            yield from _codecs(member)


def _all(group: Any) -> Iterator[tuple[str, Stored]]:
    for number, (name, array) in enumerate(group.arrays()):
        if number >= MAX_VARIABLES:
            return
        if is_name(name):
            yield name, _stored(array)


def _stored(array: Any) -> Stored:
    metadata, said = array.metadata, dict(array.attrs)
    is_v2 = metadata.zarr_format == 2
    dims = said.get("_ARRAY_DIMENSIONS") if is_v2 else metadata.dimension_names
    attributes = {n: v for n in ATTRIBUTES if n in said and (v := plain(said[n])) is not None}
    if is_v2 and metadata.fill_value is not None:
        attributes["_FillValue"] = plain(metadata.fill_value)
    elif isinstance(attributes.get("_FillValue"), str):
        # xarray writes floats so in version 3.
        attributes["_FillValue"] = _float_of(attributes["_FillValue"])
    return Stored(
        dims=tuple(str(each or "") for each in dims or [""] * len(array.shape)),
        shape=tuple(array.shape),
        dtype=np.dtype(array.dtype),
        chunks=tuple(array.chunks),
        attributes={name: value for name, value in attributes.items() if value is not None},
        read=partial(_read, array),
    )


def _float_of(text: str) -> Any:
    try:
        return np.float64(struct.unpack("<d", base64.b64decode(text, validate=True))[0])
    except (ValueError, struct.error):
        return None


def _read(array: Any, selection: Selection) -> NDArray[Any]:
    return np.asarray(array[selection])
