"""The methods of operations, of which there are none.

The list is empty, as it is in Earth Engine before the first export.
"""

from __future__ import annotations

from starlette.responses import Response

from tileserver.errors import NotFound
from tileserver.rest.call import Call, json_answer


async def list_operations(call: Call) -> Response:
    """Answer GET {name}/operations."""
    return json_answer({"operations": []})


async def get_operation(call: Call) -> Response:
    """Answer GET {name} of an operation; so do its other methods.

    Raises:
        NotFound: always.
    """
    raise NotFound(f"Operation {call.path['name'][:200]!r} not found.")
