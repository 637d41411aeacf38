import numpy as np
import pytest
from PIL import ImageColor

from tileserver.contract.pixels import MAX_COLORS
from tileserver.errors import InvalidRequest
from tileserver.rendering.colors import parse_color, parse_css_color, parse_palette


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


CSS = [
    # From CSS Color Module Level 3, or Pillow where it reads the same.
    "rgb(255, 0, 10)", "RGB(12,200,7)", "rgb(100%, 0%, 50%)", "hsl(120, 100%, 25%)",
    "hsl(0, 0%, 100%)", "hsl(210,40%,60%)",
]  # fmt: skip


@pytest.mark.parametrize("text", CSS)
def test_functions_of_css_are_colors(text: str) -> None:
    assert parse_color(text) == ImageColor.getrgb(text)[:3]
    assert parse_css_color(text) == (*ImageColor.getrgb(text)[:3], 1.0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rgba(1, 2, 3, 0.25)", (1, 2, 3, 0.25)),
        ("rgba(300, -2, 3, 1)", (255, 0, 3, 1.0)),
        ("hsla(240, 100%, 50%, .5)", (0, 0, 255, 0.5)),
        ("#ff000080", (255, 0, 0, 128 / 255)),
        ("00ff", (0, 0, 255, 1.0)),
        ("transparent", (0, 0, 0, 0.0)),
        ("teal", (0, 128, 128, 1.0)),
    ],
)
def test_opacity_of_css_colors(text: str, expected: tuple[float, ...]) -> None:
    assert parse_css_color(text) == pytest.approx(expected)


@pytest.mark.parametrize(
    "text", ["rgb(1,2)", "rgb(1,2,3,0.5)", "rgba(1,2,3)", "rgb(a,b,c)", "rgb(1;2;3)", "hsl()"]
)
def test_other_functions_are_no_colors(text: str) -> None:
    with pytest.raises(InvalidRequest, match="nor a CSS color name"):
        parse_css_color(text)


@pytest.mark.parametrize("text", ["rgba(1,2,3,0.5)", "transparent", "ff000080"])
def test_a_palette_takes_no_translucent_color(text: str) -> None:
    with pytest.raises(InvalidRequest, match="is neither 3 or 6 hex digits"):
        parse_palette([text])


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
