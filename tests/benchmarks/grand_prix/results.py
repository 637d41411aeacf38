"""What an event gave, round by round."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

_LONGEST_S = 10.0
"""Of a round, after which a server has no more."""


@dataclass(frozen=True)
class Effort:
    """What a server did in a round."""

    answers: int
    seconds: float
    cpu_s: float
    """CPU time of its processes."""
    body_bytes: int = 0
    client_share: float = 0.0
    """Of a core, that the client took."""
    others_share: float = 0.0
    """Of all cores, that neither server nor client took."""


@dataclass
class Result:
    """Figures of each server, of each round, in the order of the rounds."""

    event: str
    unit: str
    figures: dict[str, list[float]] = field(default_factory=dict)
    efforts: dict[str, list[Effort]] = field(default_factory=dict)
    differences: dict[str, float] = field(default_factory=dict)
    """Of 255, mean, between a server's pictures and those of the first."""
    fetched: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    """Requests and bytes that a server took from the one that holds the file."""
    floor: list[float] = field(default_factory=list)
    floor_cpu_s: float = 0.0
    """CPU time of the floor over all rounds."""
    floor_tiles: int = 0
    """Of all rounds."""
    out: set[str] = field(default_factory=set)
    """Servers that have no further round."""
    notes: list[str] = field(default_factory=list)
    is_time: bool = False
    """Whether less is better."""

    def add(self, name: str, figure: float, effort: Effort) -> None:
        """Add a round of a server."""
        self.figures.setdefault(name, []).append(figure)
        self.efforts.setdefault(name, []).append(effort)

    def add_floor(self, figure: float, cpu_s: float, tiles: int) -> None:
        """Add a round of the floor."""
        self.floor.append(figure)
        self.floor_cpu_s += cpu_s
        self.floor_tiles += tiles

    def limit(self, name: str) -> None:
        """Let a server have no further round if its last one took too long."""
        seconds = self.efforts[name][-1].seconds
        if seconds > _LONGEST_S:
            self.retire(name, f"no more rounds, one took {seconds:.0f} s")

    def retire(self, name: str, reason: str) -> None:
        """Let a server have no further round, and note why."""
        self.out.add(name)
        self.notes.append(f"{name}: {reason}")

    def median(self, name: str) -> float:
        """Return the median of a server's figures."""
        return statistics.median(self.figures[name])

    def ratio(self, over: str, name: str) -> float:
        """Return the median over rounds of one server's figure divided by another's."""
        pairs = zip(self.figures[over], self.figures[name], strict=True)
        return statistics.median(one / other for one, other in pairs)

    def of_floor(self, name: str) -> float:
        """Return the time of the floor over that of a server, both summed over the rounds.

        The floor decodes a block in the first round that touches it, so rounds differ.
        """
        own = self.figures[name]
        floor_s, own_s = (
            sum(each if self.is_time else 1 / each for each in rounds)
            for rounds in (self.floor[: len(own)], own)
        )
        return floor_s / own_s

    def cpu_ms(self, name: str) -> float:
        """Return a server's CPU time for an answer, over all rounds."""
        efforts = self.efforts[name]
        return 1000 * sum(each.cpu_s for each in efforts) / sum(each.answers for each in efforts)

    def floor_cpu_ms(self) -> float:
        """Return the floor's CPU time for a tile, over all rounds."""
        return 1000 * self.floor_cpu_s / self.floor_tiles

    def body_kb(self, name: str) -> float:
        """Return the mean size of a server's bodies in kB."""
        efforts = self.efforts[name]
        return sum(each.body_bytes for each in efforts) / sum(e.answers for e in efforts) / 1000

    def noise(self, name: str) -> float | None:
        """Return the distance of the quartiles of a server's rounds, over their median."""
        rounds = self.figures.get(name, [])
        if len(rounds) < 3:
            return None
        low, _, high = statistics.quantiles(rounds, n=4)
        return (high - low) / statistics.median(rounds)

    def client_share(self) -> float:
        """Return the most of a core that the client took against a server, over its rounds."""
        return max(_over_time(rounds, "client_share") for rounds in self.efforts.values())

    def others_share(self) -> float:
        """Return how much of the machine other processes took meanwhile."""
        return _over_time([e for rounds in self.efforts.values() for e in rounds], "others_share")


def _over_time(efforts: Sequence[Effort], name: str) -> float:
    """Return the mean of a share, weighted with the seconds."""
    shares: Iterable[float] = (getattr(each, name) * each.seconds for each in efforts)
    return sum(shares) / sum(each.seconds for each in efforts)
