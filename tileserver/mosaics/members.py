"""The files of a mosaic as columns of arrays, so that a hundred thousand of them take little."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.contract.grids import AffineTransform, Box, PixelGrid

Profile = tuple[tuple[str, str], ...]
"""The id and the type of each band of a file, in its order."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file of a mosaic: all that must be known before it is opened."""

    name: str
    """Below the mosaic, such as "scene1"."""
    state: str
    """The version of its files."""
    grid: PixelGrid
    box: Box
    """Degrees; east may lie past 180."""
    profile: Profile
    start_s: float = np.nan
    """When it was taken, in seconds since 1970; NaN if that is not known."""
    end_s: float = np.nan
    sort_value: float = np.nan
    """Of the property that the mosaic is sorted by."""


@dataclass(frozen=True, eq=False)
class Members:
    """Files of a mosaic, in the order of their names. The columns are of one length."""

    names: NDArray[np.bytes_]
    """In UTF-8, which takes a quarter of the room."""
    states: NDArray[np.bytes_]
    boxes: NDArray[np.float64]
    """Shape (n, 4), as `Member.box`."""
    sizes: NDArray[np.int32]
    """Shape (n, 2): width, height."""
    transforms: NDArray[np.float64]
    """Shape (n, 6), the members of an `AffineTransform`."""
    crs_numbers: NDArray[np.int32]
    profile_numbers: NDArray[np.int32]
    starts_s: NDArray[np.float64]
    ends_s: NDArray[np.float64]
    sort_values: NDArray[np.float64]
    crs_codes: tuple[str, ...] = ()
    profiles: tuple[Profile, ...] = ()

    def __len__(self) -> int:
        """Return the number of files."""
        return len(self.names)

    @classmethod
    def of(cls, members: Sequence[Member]) -> Members:
        """Return the columns of members."""
        ordered = sorted(members, key=lambda each: each.name.encode())
        codes = tuple(dict.fromkeys(each.grid.crs_code for each in ordered))
        profiles = tuple(dict.fromkeys(each.profile for each in ordered))
        grids = [each.grid for each in ordered]
        count = len(ordered)
        return cls(
            names=_texts([each.name for each in ordered]),
            states=_texts([each.state for each in ordered]),
            boxes=np.array([each.box for each in ordered], np.float64).reshape(count, 4),
            sizes=np.array([(g.width, g.height) for g in grids], np.int32).reshape(count, 2),
            transforms=np.array([g.transform.members for g in grids], np.float64).reshape(count, 6),
            crs_numbers=np.array([codes.index(g.crs_code) for g in grids], np.int32),
            profile_numbers=np.array([profiles.index(m.profile) for m in ordered], np.int32),
            starts_s=np.array([each.start_s for each in ordered], np.float64),
            ends_s=np.array([each.end_s for each in ordered], np.float64),
            sort_values=np.array([each.sort_value for each in ordered], np.float64),
            crs_codes=codes,
            profiles=profiles,
        )

    def take(self, numbers: NDArray[Any]) -> Members:
        """Return some of the members, by their places or by a mask."""
        columns = {name: getattr(self, name)[numbers] for name in COLUMNS}
        return Members(**columns, crs_codes=self.crs_codes, profiles=self.profiles)

    def joined(self, other: Members) -> Members:
        """Return the members of both, in the order of their names; none is in both."""
        codes = tuple(dict.fromkeys((*self.crs_codes, *other.crs_codes)))
        profiles = tuple(dict.fromkeys((*self.profiles, *other.profiles)))
        columns = {n: np.concatenate([getattr(self, n), getattr(other, n)]) for n in COLUMNS}
        start = len(self)
        for name, all_values, values in (
            ("crs_numbers", codes, other.crs_codes),
            ("profile_numbers", profiles, other.profiles),
        ):
            # Those of `self` come first in both, so its numbers stay.
            places = np.array([all_values.index(each) for each in values] or [0], np.int32)
            columns[name][start:] = places[columns[name][start:]]
        every = Members(**columns, crs_codes=codes, profiles=profiles)
        return every.take(np.argsort(every.names, kind="stable"))

    def name(self, number: int) -> str:
        """Return the name of a member."""
        return bytes(self.names[number]).decode()

    def grid(self, number: int) -> PixelGrid:
        """Return the native grid of a member."""
        width, height = map(int, self.sizes[number])
        transform = AffineTransform(*map(float, self.transforms[number]))
        return PixelGrid(width, height, transform, self.crs_codes[self.crs_numbers[number]])

    @cached_property
    def used_profiles(self) -> list[tuple[Profile, int]]:
        """Profiles that members have, and how many have each; the most frequent comes first."""
        counts = np.bincount(self.profile_numbers, minlength=len(self.profiles))
        used = [(self.profiles[i], int(n)) for i, n in enumerate(counts) if n]
        return sorted(used, key=lambda each: -each[1])


COLUMNS = tuple(each.name for each in fields(Members) if each.name not in ("crs_codes", "profiles"))
"""The names of the columns that are arrays."""


def _texts(texts: Sequence[str]) -> NDArray[np.bytes_]:
    return np.array([text.encode() for text in texts], np.bytes_) if texts else np.empty(0, "S1")
