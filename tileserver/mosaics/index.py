"""The index of a mosaic: which files it has, kept up to date by a thread of its own.

The first snapshot is there as soon as some files are known; those that follow have more of them.
"""

from __future__ import annotations

import hashlib
import logging
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from tileserver.concurrency.time_limit import time_limit
from tileserver.contract.assets import ImageAsset, MosaicState
from tileserver.contract.grids import Box
from tileserver.contract.times import epoch_s
from tileserver.errors import AssetNotFound, DeadlineExceeded, TileserverError, UnreadableRaster
from tileserver.geo.extents import lonlat_bounds
from tileserver.mosaics import limits
from tileserver.mosaics.description import mosaic_asset
from tileserver.mosaics.index_file import IndexFile
from tileserver.mosaics.members import Member, Members
from tileserver.mosaics.selection import Rule
from tileserver.mosaics.snapshots import Snapshot
from tileserver.mosaics.zooms import complete_from
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.files import Place
from tileserver.rasters.scanning import Location
from tileserver.rasters.scenes import read_scene

_FIRST_S = 0.1
"""Until the first snapshot, if a file is known by then; the next ones take twice as long each."""
_LONGEST_S = 15.0
_CHECK_S = 3.0
"""Between looks at the folder, or longer if they take long."""
_IDLE_SHARE = 20
_WAIT_S = 20.0
_DESCRIBE_S = 5.0
_MAX_SHOWN = 20
_BATCH = 1000
_MAX_KEPT = 4
"""Snapshots whose pixels can still be asked for."""
_MAX_KEPT_FILES = 50_000
"""Of all snapshots that are kept, unless the latest has more."""
_GOLDEN = (math.sqrt(5) - 1) / 2
_MARGIN = 1 / 400
"""Of a box around 21 x 21 points of a file: how far its edges may bend between them."""

log = logging.getLogger(__name__)

Wanted = tuple[str, Location]
"""Name below the mosaic and place of a file that is to be described."""


class MosaicIndex:
    """The files of one mosaic."""

    def __init__(self, catalogue: Catalogue, name: str, rule: Rule, file: IndexFile) -> None:
        """Index the images below a name.

        Args:
            catalogue: has the images.
            name: full name of the mosaic.
            rule: of selection.
            file: keeps the index.
        """
        self.catalogue = catalogue
        self.name = name
        self.rule = rule
        self.file = file
        self.failures: dict[str, tuple[str, str]] = {}
        """States and reasons of files that cannot be drawn, by their names below the mosaic."""
        self._snapshots: OrderedDict[str, Snapshot] = OrderedDict()
        self._latest: Snapshot | None = None
        self._fault: TileserverError | None = None
        self._has_some = threading.Event()
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self._due_s = 0.0
        self._template: ImageAsset | None = None
        self._refused: set[str] = set()

    def known(self) -> Snapshot | None:
        """Return the latest snapshot, or None; has the folder looked at if that is due."""
        if time.monotonic() >= self._due_s:
            self.start()
        return self._latest

    def start(self) -> None:
        """Have the folder looked at by the thread of the index, which is started if need be."""
        with self._lock:
            if self._thread is None and not self._is_closed:
                name = f"index of {self.name}"
                self._thread = threading.Thread(target=self._run, name=name, daemon=True)
                self._thread.start()
        self._due_s = math.inf
        self._wake.set()

    def wait(self) -> Snapshot:
        """Return the latest snapshot once there is one; blocks.

        Raises:
            AssetNotFound: there are no files.
            UnreadableRaster: none of them can be drawn.
            DeadlineExceeded: it takes too long.
        """
        if known := self.known():
            return known
        self.start()
        if not self._has_some.wait(_WAIT_S):
            raise DeadlineExceeded(f"{self.name}: its files are still being looked at.")
        if self._latest is None:
            raise self._fault or AssetNotFound(self.name)
        return self._latest

    def of_version(self, version: str) -> Snapshot | None:
        """Return a snapshot that was the latest a moment ago."""
        return self._snapshots.get(version)

    def close(self) -> None:
        """End the thread; it may finish the file that it reads."""
        self._is_closed = True
        self._wake.set()
        self._has_some.set()

    def refresh(self) -> None:
        """Look at all files now; blocks, for a process that answers one request."""
        self._recall()
        self._refresh()
        self._due_s = time.monotonic() + _CHECK_S
        self._has_some.set()

    def _recall(self) -> None:
        """Publish the files that the index on disk has."""
        held = self.file.read()
        if held is not None and len(held):
            try:
                self._publish(held, is_complete=True)
            except TileserverError as exc:
                log.info("the index of %s is made anew: %s", self.name, exc)
            except Exception:
                # It may be another program's, or of an attacker; nobody waits for ever.
                log.exception("mosaic %s: its index is made anew", self.name)

    def _run(self) -> None:
        self._recall()
        while not self._is_closed:
            self._wake.clear()
            started_s = time.monotonic()
            try:
                self._refresh()
            except Exception:
                log.exception("mosaic %s: its folder cannot be looked at", self.name)
            took_s = time.monotonic() - started_s
            self._due_s = time.monotonic() + max(_CHECK_S, _IDLE_SHARE * took_s)
            self._has_some.set()
            self._wake.wait()

    def _refresh(self) -> None:
        """Look at all files, describe new and changed ones, and publish the changes."""
        held = self._latest.members if self._latest else Members.of([])
        failures = dict(self.failures)
        kept, wanted = self._compared(held)
        members = self._described(kept, wanted)
        if self._is_closed:
            return
        is_same = members is held and self.failures == failures
        if is_same and self._latest and _is_complete(self._latest):
            return
        self._publish(members, is_complete=True)
        if members is not held:
            self.file.write(members)

    def _compared(self, held: Members) -> tuple[Members, list[Wanted]]:
        """Return the members whose files are as they were, and the files to be described."""
        places = self._places()
        numbers = {name.decode(): number for number, name in enumerate(held.names.tolist())}
        is_kept = np.zeros(len(held), np.bool_)
        known = [name for name in places if name in numbers or name in self.failures]
        # The states of the others are looked at one by one, as they are described.
        wanted = [name for name in places if name not in numbers and name not in self.failures]
        for name, state in self._states(known):
            number = numbers.get(name)
            if number is not None and held.states[number] == state.encode():
                is_kept[number] = True
            elif self.failures.get(name, ("", ""))[0] != state:
                self.failures.pop(name, None)
                wanted.append(name)
        self.failures = {n: failure for n, failure in self.failures.items() if n in places}
        kept = held if is_kept.all() else held.take(is_kept)
        return kept, [(name, places[name]) for name in wanted]

    def _states(self, names: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Yield names of files, and a token of the state of each; "" if it cannot be told."""
        for start in range(0, len(names), _BATCH):
            if self._is_closed:
                return
            batch = {f"{self.name}/{name}": name for name in names[start : start + _BATCH]}
            versions = self.catalogue.local_versions(batch)
            for full, name in batch.items():
                version = versions.get(full, "")
                yield name, hashlib.blake2b(version.encode(), digest_size=8).hexdigest()

    def _places(self) -> Mapping[str, Location]:
        """Return where the images of the mosaic lie; files of a band each are one image."""
        below = f"{self.name}/"
        scan = self.catalogue.scanned()
        for folder in set(scan.refused) - self._refused:
            log.warning("mosaic %s: permission denied to look into %s", self.name, folder)
        self._refused = set(scan.refused)
        return {
            name[len(below) :]: location
            for name, location in scan.images.items()
            if name.startswith(below) and name not in scan.bands
        }

    def _described(self, kept: Members, wanted: Sequence[Wanted]) -> Members:
        """Return the members with those of further files, which are published as they are found."""
        every, found = kept, list[Member]()
        last_s, pause_s = time.monotonic(), _FIRST_S
        for member in self._each_described(wanted):
            found.append(member)
            if time.monotonic() - last_s > pause_s:
                every, found = every.joined(Members.of(found)), []
                self._publish(every, is_complete=False)
                last_s, pause_s = time.monotonic(), min(2 * pause_s, _LONGEST_S)
        return every.joined(Members.of(found)) if found else every

    def _each_described(self, wanted: Sequence[Wanted]) -> Iterator[Member]:
        for name, place in _spread(wanted):
            if self._is_closed:
                return
            _, state = next(self._states([name]), (name, ""))
            try:
                yield self._member(name, place, state)
            except TileserverError as exc:
                reason = " ".join(str(exc).split())
                if name not in self.failures:
                    log.warning("mosaic %s: left out: %s", self.name, reason)
                self.failures[name] = (state, reason)

    def _member(self, name: str, location: Location, state: str) -> Member:
        """Return the description of a file.

        Raises:
            TileserverError: it cannot be drawn.
        """
        full = f"{self.name}/{name}"
        with time_limit(_DESCRIBE_S):
            asset = self._read(full, location)
            if asset.no_place:
                raise UnreadableRaster(f"{full}: {asset.no_place}")
            # Not out of the cache, which would keep thousands of assets.
            bounds = lonlat_bounds.__wrapped__(asset).unrolled()
        if self._template is None:
            self._template = asset
        start_s = epoch_s(asset.start_time)
        end_s = epoch_s(asset.end_time)
        value = asset.properties.get(self.rule.by)
        return Member(
            name=name,
            state=state,
            grid=asset.common_grid,
            box=_widened(bounds),
            profile=tuple((band.id, band.dtype.name) for band in asset.bands),
            start_s=start_s,
            end_s=start_s if np.isnan(end_s) else end_s,
            sort_value=_number(value),
        )

    def _read(self, name: str, location: Location) -> ImageAsset:
        if not isinstance(location, Place):
            return self.catalogue.find(name).asset
        # Not by the catalogue, which would keep what it takes to read the pixels of all files.
        raster = read_scene(location, name, {})
        if raster is None:
            raise AssetNotFound(name)
        return raster.asset

    def _publish(self, members: Members, is_complete: bool) -> None:
        """Make members the latest snapshot.

        Raises:
            TileserverError: a file that all are described by cannot be read any more.
        """
        shown = sorted(self.failures.items())
        if not len(members):
            self._latest = None
            reason = f" {shown[0][1][1]}" if shown else ""
            self._fault = (
                UnreadableRaster(
                    f"{self.name}: none of its {len(shown)} files can be drawn.{reason}"
                )
                if shown
                else AssetNotFound(self.name)
            )
            if is_complete:
                self._has_some.set()
            return
        state = MosaicState(
            len(members),
            str(self.rule),
            is_complete,
            tuple((name, reason) for name, (_, reason) in shown[:_MAX_SHOWN]),
            len(shown),
            self._complete_from(members) if is_complete else None,
            self.rule.is_computed,
        )
        asset = mosaic_asset(self.name, members, self.rule, self._like(members), state)
        snapshot = Snapshot(members, asset, self.rule)
        # Made here, so that no tile waits for it.
        snapshot.prepare()
        self._snapshots[asset.version] = snapshot
        while len(self._snapshots) > 1 and self._is_too_much():
            self._snapshots.popitem(last=False)
        self._latest = snapshot
        self._has_some.set()

    def _complete_from(self, members: Members) -> int | None:
        """Return the first zoom whose tiles are made of all files that they should be of."""
        return 0 if self.rule.reads_one else complete_from(members.boxes, limits.MAX_FILES)

    def _is_too_much(self) -> bool:
        files = sum(len(each.members) for each in self._snapshots.values())
        return len(self._snapshots) > _MAX_KEPT or files > _MAX_KEPT_FILES

    def _like(self, members: Members) -> ImageAsset:
        """Return the image of a file of the most frequent kind."""
        usual = members.used_profiles[0][0]
        held = self._template
        if held and tuple((band.id, band.dtype.name) for band in held.bands) == usual:
            return held
        number = int(np.flatnonzero(members.profile_numbers == members.profiles.index(usual))[0])
        self._template = self.catalogue.find(f"{self.name}/{members.name(number)}").asset
        return self._template


def _is_complete(snapshot: Snapshot) -> bool:
    return snapshot.asset.mosaic is not None and snapshot.asset.mosaic.is_complete


def _spread(wanted: Sequence[Wanted]) -> list[Wanted]:
    """Return files in an order whose beginnings are spread over all of them, as their names are.

    So the place and the values of a mosaic are known about right from the first files on.
    """
    order = sorted(range(len(wanted)), key=lambda number: number * _GOLDEN % 1)
    return [wanted[number] for number in order]


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    return float(value)


def _widened(box: Box) -> Box:
    across, down = (box.east - box.west) * _MARGIN, (box.north - box.south) * _MARGIN
    south, north = max(box.south - down, -90.0), min(box.north + down, 90.0)
    return Box(box.west - across, south, box.east + across, north)
