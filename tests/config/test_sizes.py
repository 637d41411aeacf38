from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tileserver.config.kinds import BYTE_UNITS, SECOND_UNITS, parse_bytes, parse_seconds


@given(st.integers(0, 10**18), st.sampled_from(sorted(BYTE_UNITS)))
def test_a_size_is_its_number_times_its_unit(count: int, unit: str) -> None:
    assert parse_bytes(f"{count}{unit}") == count * BYTE_UNITS[unit]
    assert parse_bytes(f" {count} {unit.upper()} ") == count * BYTE_UNITS[unit]
    assert parse_bytes(str(count)) == count


@given(st.integers(0, 10**12), st.sampled_from(sorted(SECOND_UNITS)))
def test_a_duration_is_its_number_times_its_unit(count: int, unit: str) -> None:
    assert parse_seconds(f"{count}{unit}") == count * SECOND_UNITS[unit]
    assert parse_seconds(str(count)) == count


@pytest.mark.parametrize("text", ["5M", "1G", "8Mbit", "-1", "1e9", ""])
def test_an_ambiguous_or_negative_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a number and a unit"):
        parse_bytes(text)


@given(st.text(max_size=8))
def test_any_text_is_an_amount_or_a_value_error(text: str) -> None:
    for parse in (parse_bytes, parse_seconds):
        try:
            assert parse(text) >= 0
        except ValueError:
            assert not text.isdecimal() or not text.isascii()
