"""The parameters of processing, from a URL or from TOML: what is done before bands are drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tileserver.contract.processing import Processing, Resampling
from tileserver.errors import InvalidRequest, nearest

READING_PARAMETERS = ("resampling",)
"""How pixels of a grid are read; of no meaning for a single pixel or for statistics."""
STEP_PARAMETERS = READING_PARAMETERS
"""The parameters of processing of a picture."""


def parse_steps(parameters: Mapping[str, str]) -> Processing | None:
    """Return the processing in the parameters of a URL; None without any.

    Raises:
        InvalidRequest: a value is malformed or unknown; names the parameter.
    """
    given = [name for name in STEP_PARAMETERS if name in parameters]
    if not given:
        return None
    return Processing(**{name: _PARSERS[name](parameters[name]) for name in given})


def steps_over(base: Processing | None, steps: Processing | None) -> Processing | None:
    """Return the steps of a request over those of its layer; None if nothing is done."""
    if steps is None or base is None:
        found = base if steps is None else steps
    else:
        found = steps.over(base)
    return None if found is None else found.effective


def parse_resampling(text: str) -> Resampling:
    """Return a way of resampling.

    Raises:
        InvalidRequest: there is none of that name.
    """
    return Resampling(_choice("resampling", text, list(Resampling)))


def _choice(name: str, text: str, choices: Iterable[str]) -> str:
    known = list(choices)
    if text in known:
        return text
    close = nearest(text, known)
    hint = f", did you mean {close}?" if close else ""
    raise InvalidRequest(f"{name}: expected one of {', '.join(known)}, got {text[:40]!r}{hint}")


_PARSERS: Mapping[str, Callable[[str], Any]] = {
    "resampling": parse_resampling,
}
