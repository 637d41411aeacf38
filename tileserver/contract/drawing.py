"""How bands are drawn beyond Earth Engine's own visualization: curves and classes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class RangeRule(StrEnum):
    """How the ends of a range are found, over the whole asset."""

    MINMAX = "minmax"
    PERCENTILE = "percentile"
    STDDEV = "stddev"


class Curve(StrEnum):
    """How values between the ends of a range become shades."""

    SQRT = "sqrt"
    LOG = "log"
    EQUALIZE = "equalize"


@dataclass(frozen=True, slots=True)
class Stretch:
    """A rule for a range, measured over the whole asset so that tiles agree, and a curve."""

    rule: RangeRule = RangeRule.PERCENTILE
    low: float = 2.0
    """Per cent; of STDDEV, how many standard deviations below the mean."""
    high: float = 98.0
    curve: Curve | None = None


@dataclass(frozen=True, slots=True)
class Shading:
    """A curve that is ready to be applied."""

    curve: Curve
    quantiles: tuple[tuple[float, ...], ...] = ()
    """Of each band, equally spaced from the least value to the largest; EQUALIZE alone has any."""


@dataclass(frozen=True, slots=True)
class ColorClass:
    """Values that have one colour."""

    low: float
    high: float | None
    """Values from low to less than this one; None is low alone."""
    color: tuple[int, int, int, int]
    """Red, green, blue and alpha, each 0 to 255."""

    @property
    def label(self) -> str:
        """The values, for a legend."""
        return f"{self.low:g}" if self.high is None else f"{self.low:g} to {self.high:g}"
