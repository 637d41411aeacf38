"""Requests written byte by byte, as no well-behaved client would send them, and their answers."""

from __future__ import annotations

import http.client
import io
import json
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import tileserver

PATIENCE_S = 30.0
"""An answer that takes longer counts as none."""
_IMAGE_ROUTES = ("/tiles/", "/preview/", "/legend/")
_OF_THE_INSIDE = ("Traceback", "Internal", "internal error")
_PLACES = {str(Path.home()), str(Path(tileserver.__file__).parents[1])} - {"/"}


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes

    @property
    def text(self) -> str:
        """The body; what is not UTF-8 is replaced."""
        return self.body.decode("utf-8", "replace")

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)


def exchange(url: str, sent: bytes, hang_up: bool = False) -> list[Answer]:
    """Send bytes to a server and return all it answers until it closes the connection.

    With `hang_up` the server is told that no more will come.
    """
    parts = urlsplit(url)
    started = time.monotonic()
    with socket.create_connection((parts.hostname, parts.port or 80), PATIENCE_S) as connection:
        connection.sendall(sent)
        if hang_up:
            connection.shutdown(socket.SHUT_WR)
        received = bytearray()
        while chunk := connection.recv(65536):
            received += chunk
            assert time.monotonic() - started < PATIENCE_S, "the answer took too long"
    return list(_answers(bytes(received), _method(sent)))


def _method(sent: bytes) -> str:
    return sent.split(b" ", 1)[0].decode("latin-1")


class _Received:
    """Bytes in the place of the socket that http.client wants."""

    def __init__(self, received: bytes) -> None:
        self.file = io.BytesIO(received)
        self.file.close = lambda: None  # type: ignore[method-assign]

    def makefile(self, mode: str) -> io.BytesIO:
        return self.file


def _answers(received: bytes, method: str) -> list[Answer]:
    source = _Received(received)
    answers = []
    while source.file.tell() < len(received):
        response = http.client.HTTPResponse(source, method=method)  # type: ignore[arg-type]
        response.begin()
        body = response.read()
        headers = {name.lower(): value for name, value in response.getheaders()}
        answers.append(Answer(response.status, headers, body))
    return answers


def ask(
    url: str, target: str, method: str = "GET", headers: Mapping[str, str] | None = None
) -> Answer:
    """Send one request whose target goes out as it is written."""
    host = {"Host": urlsplit(url).netloc, **(headers or {})}
    lines = [f"{method} {target} HTTP/1.1", *(f"{n}: {v}" for n, v in host.items())]
    sent = "\r\n".join([*lines, "Connection: close", "", ""])
    (answer,) = exchange(url, sent.encode("latin-1"))
    return answer


def path_of(target: str) -> str:
    """Return the path of a target."""
    return target.partition("?")[0]


def check_quiet(answer: Answer, folder: Path) -> None:
    """Fail if an answer tells of the inside, or of where files lie."""
    shown = answer.text + "".join(f"\n{n}: {v}" for n, v in answer.headers.items())
    for secret in (*_OF_THE_INSIDE, *_PLACES, str(folder)):
        assert secret not in shown


def check_refusal(answer: Answer, target: str, *said: str, status: int = 400) -> None:
    """Fail unless an answer is an error in the form of its route that says all of `said`."""
    assert answer.status == status, answer.text[:300]
    assert answer.headers["cache-control"] == "no-store"
    message = message_of(answer, target)
    assert message, "an error says something"
    assert message.isprintable(), "an error is one line"
    for part in said:
        assert part.casefold() in message.casefold()


def message_of(answer: Answer, target: str) -> str:
    """Return what an error says, from the form its route has errors in."""
    if path_of(target).startswith(_IMAGE_ROUTES):
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        return answer.text
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json) == {"error"}
    error = answer.json["error"]
    assert error["status"] == answer.status
    assert isinstance(error["message"], str)
    message: str = error["message"]
    return message
