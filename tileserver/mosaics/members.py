"""The files of a mosaic as columns of arrays, so that a hundred thousand of them take little."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tileserver.contract.grids import AffineTransform, Box, PixelGrid

T = TypeVar("T")
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

    names: NDArray[np.object_]
    """In UTF-8, as bytes."""
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
        codes = _numbered(each.grid.crs_code for each in ordered)
        profiles = _numbered(each.profile for each in ordered)
        grids = [each.grid for each in ordered]
        count = len(ordered)
        return cls(
            names=objects([each.name.encode() for each in ordered]),
            states=np.array([each.state.encode() for each in ordered], "S16"),
            boxes=np.array([each.box for each in ordered], np.float64).reshape(count, 4),
            sizes=np.array([(g.width, g.height) for g in grids], np.int32).reshape(count, 2),
            transforms=np.array([g.transform.members for g in grids], np.float64).reshape(count, 6),
            crs_numbers=np.array([codes[g.crs_code] for g in grids], np.int32),
            profile_numbers=np.array([profiles[m.profile] for m in ordered], np.int32),
            starts_s=np.array([each.start_s for each in ordered], np.float64),
            ends_s=np.array([each.end_s for each in ordered], np.float64),
            sort_values=np.array([each.sort_value for each in ordered], np.float64),
            crs_codes=tuple(codes),
            profiles=tuple(profiles),
        )

    def take(self, numbers: NDArray[Any]) -> Members:
        """Return some of the members, by their places or by a mask."""
        columns = {name: getattr(self, name)[numbers] for name in COLUMNS}
        return Members(**columns, crs_codes=self.crs_codes, profiles=self.profiles)

    def joined(self, other: Members) -> Members:
        """Return the members of both, in the order of their names; none is in both."""
        codes = _numbered((*self.crs_codes, *other.crs_codes))
        profiles = _numbered((*self.profiles, *other.profiles))
        columns = {n: np.concatenate([getattr(self, n), getattr(other, n)]) for n in COLUMNS}
        start = len(self)
        # Those of `self` come first, so its numbers stay.
        crs_places = np.array([codes[each] for each in other.crs_codes] or [0], np.int32)
        profile_places = np.array([profiles[each] for each in other.profiles] or [0], np.int32)
        columns["crs_numbers"][start:] = crs_places[other.crs_numbers]
        columns["profile_numbers"][start:] = profile_places[other.profile_numbers]
        every = Members(**columns, crs_codes=tuple(codes), profiles=tuple(profiles))
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


def objects(values: Sequence[bytes]) -> NDArray[np.object_]:
    """Return an array of bytes of any lengths."""
    made = np.empty(len(values), np.object_)
    made[:] = values
    return made


def _numbered(values: Iterable[T]) -> dict[T, int]:
    """Return different values in their order, each with its place."""
    return {value: number for number, value in enumerate(dict.fromkeys(values))}
