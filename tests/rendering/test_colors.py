import numpy as np
import pytest

from tileserver.contract.pixels import MAX_COLORS
from tileserver.errors import InvalidRequest
from tileserver.rendering.colors import parse_color, parse_palette


@pytest.mark.parametrize(
    ("text", "color"),
    [
        ("ff8800", (255, 136, 0)),
        ("#FF8800", (255, 136, 0)),
        ("f80", (255, 136, 0)),
        ("#f80", (255, 136, 0)),
        ("000000", (0, 0, 0)),
        ("red", (255, 0, 0)),
        ("RebeccaPurple", (102, 51, 153)),
        (" teal ", (0, 128, 128)),
    ],
)
def test_hex_digits_and_css_names_are_colors(text: str, color: tuple[int, int, int]) -> None:
    assert parse_color(text) == color


@pytest.mark.parametrize(
    "text",
    [
        "",
        "#",
        "ff",
        "ff88",
        "ff880",
        "ff880000",
        "gggggg",
        "0xff88",
        "rgb(1,2,3)",
        "hsl(0,100%,50%)",
        "transparent",
        "reddish",
        "##ff8800",
        "٠٠٠",
    ],
)
def test_anything_else_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"hex digits.*CSS color name") as caught:
        parse_color(text)
    assert repr(text) in str(caught.value)


def test_an_endless_color_is_not_repeated_in_full() -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_color("z" * 100_000)
    assert len(str(caught.value)) < 200


def test_a_palette_is_an_array_that_cannot_be_changed() -> None:
    palette = parse_palette(["000", "white"])
    assert palette.dtype == np.uint8
    assert palette.tolist() == [[0, 0, 0], [255, 255, 255]]
    with pytest.raises(ValueError, match="read-only"):
        palette[0, 0] = 1


@pytest.mark.parametrize("count", [0, MAX_COLORS + 1])
def test_a_palette_has_one_to_256_colors(count: int) -> None:
    assert len(parse_palette(["red"])) == 1
    assert len(parse_palette(["red"] * MAX_COLORS)) == MAX_COLORS
    with pytest.raises(InvalidRequest, match=f"1 to 256 colors, got {count}"):
        parse_palette(["red"] * count)


@pytest.mark.parametrize("text", ["red" + " " * 1_000_000, " " * 100 + "ff0000"])
def test_blanks_around_a_color_are_not_remembered_without_end(text: str) -> None:
    assert parse_color("  red ") == (255, 0, 0)
    with pytest.raises(InvalidRequest, match="is neither 3 or 6 hex digits"):
        parse_palette([text])
