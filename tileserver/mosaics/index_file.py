"""The index of a mosaic on disk: replaced as a whole, and made anew if it is damaged."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.mosaics.members import COLUMNS, Members, objects
from tileserver.rasters.user_cache import user_cache

VERSION = 3
"""Of the form of the file; one of another version is made anew."""
_MAX_BYTES = 2_000_000_000
_SHAPES = {"boxes": (4,), "sizes": (2,), "transforms": (6,)}
_KINDS = {"names": "O", "states": "S", "sizes": "iu", "crs_numbers": "iu", "profile_numbers": "iu"}

log = logging.getLogger(__name__)


def default_folder(environ: Mapping[str, str]) -> Path:
    """Return where a user's indexes are."""
    # A user without a home makes the index at each start.
    return user_cache(environ, "mosaics") or Path(os.devnull) / "mosaics"


@dataclass(frozen=True)
class IndexFile:
    """The file of an index."""

    folder: Path
    key: str
    """All that the content depends on beside the files, such as where they are."""

    @property
    def path(self) -> Path:
        """Where it is."""
        digest = hashlib.blake2b(f"{VERSION} {self.key}".encode("utf-8", "surrogateescape"))
        return self.folder / f"{digest.hexdigest()[:32]}.npz"

    def read(self) -> Members | None:
        """Return the members as they were written; None if there are none, or they are damaged."""
        try:
            if self.path.stat().st_size > _MAX_BYTES:
                return None
            # NumPy itself leaves damaged files open.
            with open(self.path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
                return _read(file, self.key)
        except FileNotFoundError:
            return None
        except Exception as exc:
            # Whatever NumPy and zipfile find wrong with damaged bytes.
            log.info("the index of a mosaic is made anew: %s", exc)
            return None

    def write(self, members: Members) -> None:
        """Replace the file; a disk that cannot be written is logged, and no error."""
        about = {
            "version": VERSION,
            "key": self.key,
            "crs_codes": members.crs_codes,
            "profiles": members.profiles,
        }
        columns = {name: getattr(members, name) for name in COLUMNS}
        columns["names"] = np.frombuffer(b"\0".join(members.names), np.uint8)
        text = np.frombuffer(json.dumps(about).encode(), np.uint8)
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle, name = tempfile.mkstemp(dir=self.folder, suffix=".part")
            try:
                with os.fdopen(handle, "wb") as file:
                    np.savez(file, about=text, **columns)
                os.replace(name, self.path)
            except BaseException:
                with suppress(OSError):
                    os.unlink(name)
                raise
        except OSError as exc:
            log.warning(
                "the index of a mosaic cannot be kept (%s); it is made at each start", exc.strerror
            )


def _read(file: Mapping[str, NDArray[Any]], key: str) -> Members:
    about = json.loads(bytes(file["about"]))
    if about["version"] != VERSION or about["key"] != key:
        raise ValueError("it is of another version")
    columns = {name: file[name] for name in COLUMNS}
    columns["names"] = objects(columns["names"].tobytes().split(b"\0"))
    count = len(columns["names"])
    for name, column in columns.items():
        if column.shape != (count, *_SHAPES.get(name, ())):
            raise ValueError(f"{name} has the shape {column.shape}")
        if column.dtype.kind not in _KINDS.get(name, "f"):
            raise ValueError(f"{name} has the type {column.dtype}")
    _check_finite(columns)
    codes = tuple(map(str, about["crs_codes"]))
    profiles = tuple(tuple((str(i), np.dtype(t).name) for i, t in p) for p in about["profiles"])
    for numbers, values in (("crs_numbers", codes), ("profile_numbers", profiles)):
        if count and not 0 <= columns[numbers].min() <= columns[numbers].max() < len(values):
            raise ValueError(f"{numbers} lead nowhere")
    for profile in profiles:
        if not profile or any(np.dtype(name).kind not in "iuf" for _, name in profile):
            raise ValueError(f"{profile!r} are no bands")
    return Members(**columns, crs_codes=codes, profiles=profiles)


def _check_finite(columns: Mapping[str, NDArray[Any]]) -> None:
    """Raise ValueError if boxes or grids are not those of files."""
    a, b, _, d, e, _ = columns["transforms"].T
    is_sound = all(np.isfinite(columns[name]).all() for name in ("boxes", "transforms"))
    if not is_sound or (a * e == b * d).any() or (columns["sizes"] < 1).any():
        raise ValueError("it has grids that no file has")
