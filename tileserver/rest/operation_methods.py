"""The methods of operations: the tasks that export. Without exports there are none."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from starlette.responses import Response

from tileserver.errors import InvalidRequest, NotFound, shown
from tileserver.exports.tasks import ENDED, Task
from tileserver.http.disconnects import while_connected
from tileserver.rest.call import Call, json_answer

_MAX_PAGE = 500
_POLL_S = 0.25
_MAX_WAIT_S = 20.0
_DURATION = re.compile(r"(\d{1,6})(?:\.\d{1,9})?s", re.ASCII)


async def list_operations(call: Call) -> Response:
    """Answer GET {name}/operations."""
    exporter = call.api.exporter
    if exporter is None:
        return json_answer({"operations": []})
    first, size = _page(call)
    project = call.path["name"].partition("/")[2]
    tasks = await call.api.in_thread(exporter.tasks.list, project)
    page: dict[str, Any] = {"operations": [each.to_json() for each in tasks[first : first + size]]}
    if first + size < len(tasks):
        page["nextPageToken"] = str(first + size)
    return json_answer(page)


def _page(call: Call) -> tuple[int, int]:
    found = []
    for name, default in (("pageToken", 0), ("pageSize", _MAX_PAGE)):
        text = call.query.get(name) or str(default)
        if not (text.isascii() and text.isdigit() and len(text) < 9):
            raise InvalidRequest(f"Invalid value at '{name}', {shown(text)}.")
        found.append(int(text))
    first, size = found
    return first, min(size or _MAX_PAGE, _MAX_PAGE)


async def get_operation(call: Call) -> Response:
    """Answer GET {name} of an operation."""
    return json_answer((await _task(call)).to_json())


async def cancel_operation(call: Call) -> Response:
    """Answer POST {name}:cancel; one that has ended stays as it is."""
    await _task(call)
    exporter, (project, task_id) = call.api.exporter, _ids(call)
    assert exporter is not None
    await call.api.in_thread(exporter.tasks.cancel, project, task_id)
    return json_answer({})


async def wait_operation(call: Call) -> Response:
    """Answer POST {name}:wait once the operation has ended, or after its timeout."""
    wait_s = await call.json(_timeout_s)
    return json_answer(
        (await while_connected(call.request.receive, _ended(call, wait_s))).to_json()
    )


def _timeout_s(body: Any) -> float:
    given = body.get("timeout") if isinstance(body, dict) else None
    if given is None:
        return _MAX_WAIT_S
    found = _DURATION.fullmatch(given) if isinstance(given, str) else None
    if found is None:
        raise InvalidRequest(f"Invalid value at 'timeout', {shown(given)}; expected such as 10s.")
    return min(float(given[:-1]), _MAX_WAIT_S)


async def _ended(call: Call, wait_s: float) -> Task:
    ends_s = asyncio.get_running_loop().time() + wait_s
    while True:
        task = await _task(call)
        if task.state in ENDED or asyncio.get_running_loop().time() >= ends_s:
            return task
        await asyncio.sleep(_POLL_S)


def _ids(call: Call) -> tuple[str, str]:
    _, project, _, task_id = call.path["name"].split("/", 3)
    return project, task_id


async def _task(call: Call) -> Task:
    """Return the task of a path.

    Raises:
        NotFound: there is none.
    """
    if call.api.exporter is None:
        raise NotFound(f"Operation {call.path['name'][:200]!r} not found.")
    return await call.api.in_thread(call.api.exporter.tasks.find, *_ids(call))
