"""Values as messages show them: short, in no time, and without what only we should know."""

from __future__ import annotations

from typing import Any

import pytest

from tileserver.errors import shown
from tileserver.rasters.roots import Root


@pytest.mark.parametrize(
    "value",
    ["a", "it's", b"a", 1, 1.5, None, True, [], [1, "a"], (1,), (), {"a": [1, None]}, [[], {}]],
)
def test_a_small_value_is_shown_as_it_is_written(value: Any) -> None:
    assert shown(value) == repr(value)


def test_a_long_value_is_cut() -> None:
    assert shown("a" * 1_000_000) == "'" + "a" * 79
    assert shown(list(range(1_000_000))) == repr(list(range(100)))[:80]
    assert shown(10**5000) == "a huge int"


def test_lists_that_share_their_parts_are_shown_in_no_time() -> None:
    value: Any = [1]
    members: Any = {"a": 1}
    for _ in range(200):
        value = [value, value]
        members = {"a": members, "b": members}
    assert shown(value) == "[" * 80
    assert shown(members).startswith("{'a': {'a': ")


def test_of_what_is_no_plain_value_its_type_alone_is_told() -> None:
    assert shown([Root("/secret/scenes")]) == "[a Root]"
