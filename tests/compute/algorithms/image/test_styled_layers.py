"""Styled layer descriptors: NumPy and scikit-image are the oracle."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from skimage.exposure import rescale_intensity

from tests.compute.conftest import HOLES, SCENE, Evaluator, hole_values, scene_values
from tileserver.errors import InvalidRequest

B1 = scene_values()[0].astype(float)
BANDS = ("vis-red", "vis-green", "vis-blue")


def symbolizer(inner: str) -> str:
    return f"<RasterSymbolizer>{inner}</RasterSymbolizer>"


def color_map(kind: str, *entries: tuple[str, float], more: str = "") -> str:
    """Return a colour map of (colour, quantity)."""
    listed = "".join(
        f'<ColorMapEntry color="{color}" quantity="{quantity}" label="x" {more}/>'
        for color, quantity in entries
    )
    return symbolizer(f'<ColorMap type="{kind}" extended="false">{listed}</ColorMap>')


def drawn(ee: ModuleType, evaluator: Evaluator, sld: str, image: Any = None) -> Any:
    """Return an image drawn, a masked array of shape (height, width, 3)."""
    found = evaluator.masked((image or ee.Image(SCENE)).sldStyle(sld))
    assert tuple(found) == BANDS
    return np.ma.stack([found[name] for name in BANDS], axis=-1)


def test_a_ramp(ee: ModuleType, evaluator: Evaluator) -> None:
    sld = color_map("ramp", ("#000000", 1000), ("#ff8000", 2000), ("#ffffff", 3000))
    found = drawn(ee, evaluator, sld)
    points = [1000, 2000, 3000]
    for place, ends in enumerate([(0, 255, 255), (0, 128, 255), (0, 0, 255)]):
        assert (found[..., place] == np.rint(np.interp(B1, points, ends))).all()
    assert not np.ma.getmaskarray(found).any()


def test_intervals(ee: ModuleType, evaluator: Evaluator) -> None:
    sld = color_map("intervals", ("#ff0000", 1000), ("#00ff00", 2500))
    found = drawn(ee, evaluator, sld)
    assert (np.ma.getmaskarray(found)[..., 0] == (B1 >= 2500)).all()
    assert (found[..., 0].filled(0) == 255 * (B1 < 1000)).all()
    assert (found[..., 1].filled(0) == 255 * ((B1 >= 1000) & (B1 < 2500))).all()


def test_values(ee: ModuleType, evaluator: Evaluator) -> None:
    image = ee.Image(SCENE).select("B1").mod(4)
    sld = color_map("values", ("#030000", 3), ("#010000", 1), ("#020000", 2))
    found = drawn(ee, evaluator, sld, image)
    assert (found[..., 0].filled(0) == B1 % 4).all()
    assert (np.ma.getmaskarray(found)[..., 2] == (B1 % 4 == 0)).all()


def test_opacity_of_zero_hides_and_any_other_shows(ee: ModuleType, evaluator: Evaluator) -> None:
    image = ee.Image(SCENE).select("B1").mod(2)
    for opacity, is_hidden in (("0.0", True), ("0.01", False)):
        sld = color_map("values", ("#ff0000", 0), ("#00ff00", 1), more=f'opacity="{opacity}"')
        assert (np.ma.getmaskarray(drawn(ee, evaluator, sld, image)) == is_hidden).all()
    hidden = symbolizer("<Opacity>0</Opacity>")
    assert np.ma.getmaskarray(drawn(ee, evaluator, hidden)).all()


def test_the_functions_of_symbology_encoding(ee: ModuleType, evaluator: Evaluator) -> None:
    categories = """<ColorMap><Categorize><LookupValue>Rasterdata</LookupValue>
        <Value>#000001</Value><Threshold>1000</Threshold><Value>#000002</Value>
        <Threshold>2000</Threshold><Value>#000003</Value></Categorize></ColorMap>"""
    found = drawn(ee, evaluator, symbolizer(categories))
    assert (found[..., 2] == 1 + np.digitize(B1, [1000, 2000])).all()
    points = "".join(
        f"<se:InterpolationPoint><se:Data>{data}</se:Data><se:Value>{color}</se:Value>"
        "</se:InterpolationPoint>"
        for data, color in ((0, "#000000"), (4000, "#0000c8"))
    )
    sld = (
        '<StyledLayerDescriptor version="1.1.0" xmlns="http://www.opengis.net/sld" '
        'xmlns:se="http://www.opengis.net/se"><NamedLayer><UserStyle><se:FeatureTypeStyle><se:Rule>'
        f"<se:RasterSymbolizer><se:ColorMap><se:Interpolate>{points}</se:Interpolate></se:ColorMap>"
        "</se:RasterSymbolizer></se:Rule></se:FeatureTypeStyle></UserStyle></NamedLayer>"
        "</StyledLayerDescriptor>"
    )
    assert (drawn(ee, evaluator, sld)[..., 2] == np.rint(B1 / 20)).all()


def channels(*names: str, enhancement: str = "") -> str:
    parts = "".join(
        f"<{color}Channel><SourceChannelName>{name}</SourceChannelName></{color}Channel>"
        for color, name in zip(("Red", "Green", "Blue"), names, strict=True)
    )
    return symbolizer(f"<ChannelSelection>{parts}</ChannelSelection>{enhancement}")


def test_bands_are_selected_by_name_or_by_number(ee: ModuleType, evaluator: Evaluator) -> None:
    found = drawn(ee, evaluator, channels("B3", "1", "2"))
    expected = np.clip(scene_values()[[2, 0, 1]], 0, 255).transpose(1, 2, 0)
    assert (found == expected).all()


def test_normalize_and_gamma(ee: ModuleType, evaluator: Evaluator) -> None:
    more = "<ContrastEnhancement><Normalize/><GammaValue>2</GammaValue></ContrastEnhancement>"
    found = drawn(ee, evaluator, channels("B1", "B2", "B3", enhancement=more))
    for place, band in enumerate(scene_values().astype(float)):
        oracle: Any = rescale_intensity
        expected = 255 * oracle(band, out_range=(0, 1)) ** 0.5
        assert (found[..., place] == np.rint(expected)).all()


def test_histogram_equalizes_and_is_told(ee: ModuleType, evaluator: Evaluator) -> None:
    more = "<ContrastEnhancement><Histogram/></ContrastEnhancement>"
    image = ee.Image(SCENE).select("B1").pow(2).sldStyle(symbolizer(more))
    found = evaluator.pixels(image)["vis-red"].astype(float)
    ranks = B1.ravel().argsort().argsort().reshape(B1.shape) / B1.size
    # Within one of the 256 bins, the widest share of pixels in one is 1/16.
    assert np.abs(found / 255 - ranks).max() < 0.04
    told = evaluator.value(image.get("histogram_B1"))
    assert len(told) == 256
    assert sum(count for _, count in told) == B1.size


def test_masked_pixels_stay_masked(ee: ModuleType, evaluator: Evaluator) -> None:
    sld = color_map("ramp", ("#000000", 0), ("#ffffff", 1000))
    found = drawn(ee, evaluator, sld, ee.Image(HOLES))
    assert (np.ma.getmaskarray(found)[..., 1] == (hole_values() == -9999)).all()


BOMB = (
    '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    "<RasterSymbolizer>&b;</RasterSymbolizer>"
)
OUTSIDE = '<!DOCTYPE x SYSTEM "file:///etc/passwd"><RasterSymbolizer/>'


@pytest.mark.parametrize(
    ("sld", "message"),
    [
        (BOMB, "declares a document type"),
        (OUTSIDE, "declares a document type"),
        ("<RasterSymbolizer>", "malformed at line 1"),
        ("", "malformed"),
        ("\ud800", "malformed"),
        ("<a/>", "Exactly one RasterSymbolizer is required, got 0"),
        ("<a>" * 60 + "</a>" * 60, "more than 50 levels"),
        ("<a>" + "<b/>" * 20_001 + "</a>", "more than 20000 elements"),
        ("<a>" + " " * 600_000 + "</a>", "longer than 500000"),
        (color_map("rainbow", ("#fff", 1)), "must be ramp, intervals or values"),
        (color_map("ramp", ("#fff", 2), ("#000", 1)), "must ascend"),
        (color_map("ramp", ("#xyz", 2)), "is neither 3 or 6 hex digits"),
        (color_map("ramp"), "needs an entry"),
        (symbolizer("<Opacity>much</Opacity>"), "Opacity must be a number"),
        (channels("B9", "1", "2"), "is no band of the image"),
    ],
)
def test_what_is_no_style_is_refused(
    ee: ModuleType, evaluator: Evaluator, sld: str, message: str
) -> None:
    with pytest.raises(InvalidRequest, match=f"Image.sldStyle: .*{message}"):
        evaluator.value(ee.Image(SCENE).sldStyle(sld))
