"""The steps of time that a layer can be shown at."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.contract.pixels import Taken
from tileserver.errors import InvalidRequest

MAX_STEPS = 1000
_UNITS = {"time": "us", "day": "D", "month": "M", "year": "Y"}
STEPS = tuple(_UNITS)
"""How far apart steps are, finest first; "time" is each time of its own."""


def times_json(taken: Taken, step: str | None) -> dict[str, Any]:
    """Return the JSON of `/times`: texts for the parameter `time`, by time.

    Args:
        taken: when files were taken.
        step: one of `STEPS`; None is days if they tell files of one place apart, else each time.
            Where there are too many of these, longer ones are taken.

    Raises:
        InvalidRequest: there is no such step, or too many of it.
    """
    if step is not None and step not in STEPS:
        raise InvalidRequest(f"step: expected one of {', '.join(STEPS)}, got {step[:40]!r}")
    wanted = step or ("day" if taken.is_by_day else "time")
    moments = _moments(taken.starts_s, wanted)
    while step is None and len(moments) > MAX_STEPS and wanted != STEPS[-1]:
        wanted = STEPS[STEPS.index(wanted) + 1]
        moments = _moments(taken.starts_s, wanted)
    if len(moments) > MAX_STEPS:
        raise InvalidRequest(
            f"step: {len(moments)} of them, at most {MAX_STEPS} may be; take longer ones"
        )
    return {"step": wanted, "times": _texts(moments), "files": taken.file_count}


def _moments(starts_s: NDArray[np.float64], step: str) -> NDArray[np.datetime64]:
    """Return the steps in which times lie, each once."""
    moments = np.round(starts_s * 1e6).astype("datetime64[us]")
    return np.unique(moments.astype(f"datetime64[{_UNITS[step]}]"))


def _texts(moments: NDArray[np.datetime64]) -> list[str]:
    """Return times as texts: as long as their unit, or without a fraction of a second of zero."""
    if np.datetime_data(moments.dtype)[0] != "us":
        return list(map(str, moments))
    return [f"{moment}Z".replace(".000000Z", "Z") for moment in moments]
