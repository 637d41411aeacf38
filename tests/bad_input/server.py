"""A running server that is asked for things."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.bad_input.client import Answer, ask, check_quiet, check_refusal


@dataclass(frozen=True)
class Server:
    """A server, and the folder of its rasters, which it must not tell of."""

    url: str
    folder: Path

    def ask(
        self, target: str, method: str = "GET", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Return the answer to a target that goes out as it is written."""
        answer = ask(self.url, target, method, headers)
        check_quiet(answer, self.folder)
        return answer

    def check_refuses(self, target: str, *said: str, status: int = 400) -> None:
        """Fail unless GET is refused with a status and a message that has all of `said`."""
        check_refusal(self.ask(target), target, *said, status=status)
