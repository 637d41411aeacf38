from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tileserver.config.sizes import format_bytes, format_seconds, parse_bytes, parse_seconds


@given(st.integers(0, 10**18))
def test_a_size_survives_being_written(size_bytes: int) -> None:
    assert parse_bytes(format_bytes(size_bytes)) == size_bytes
    assert parse_bytes(str(size_bytes)) == size_bytes
    assert parse_bytes(f" {format_bytes(size_bytes).lower()} ") == size_bytes


@given(st.integers(0, 10**12))
def test_a_duration_survives_being_written(duration_s: int) -> None:
    assert parse_seconds(format_seconds(duration_s)) == duration_s
    assert parse_seconds(str(duration_s)) == duration_s


@given(st.text(max_size=8))
def test_any_text_is_an_amount_or_a_value_error(text: str) -> None:
    for parse in (parse_bytes, parse_seconds):
        try:
            assert parse(text) >= 0
        except ValueError:
            assert not text.isdecimal() or not text.isascii()
