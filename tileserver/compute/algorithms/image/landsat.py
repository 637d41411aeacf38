"""Landsat scenes calibrated, and how cloudy their pixels look.

Coefficients are those of the image's metadata, by the names that the USGS gives them
(`REFLECTANCE_MULT_BAND_4`, `K1_CONSTANT_BAND_10`): reflectance at the top of the atmosphere is
(M Q + A) / sin(sun elevation), temperature K2 / ln(K1 / L + 1) kelvin. A scene of TM or ETM+
without coefficients of reflectance is computed from its radiance by Chander, Markham and Helder
(2009), Remote Sensing of Environment 113, tables 3 and 7. Bands of quality and of angles are left
as they are. The cloud score is that of Google's published sample, in per cent.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.nodes import Apply, Pixels
from tileserver.compute.registry import algorithm
from tileserver.compute.values.date import Date
from tileserver.compute.values.image import TIME_START, Band, Image, map_bands
from tileserver.compute.values.pixel_type import FLOAT, PixelType
from tileserver.errors import InvalidRequest

_BAND = re.compile(r"B(?P<number>\d{1,2}(?:_VCID_[12])?)")
_THERMAL = {"LANDSAT_8": ("10", "11"), "LANDSAT_9": ("10", "11")}
_OLD_THERMAL = ("6", "6_VCID_1", "6_VCID_2")

_ESUN: Mapping[str, Mapping[str, float]] = {
    "LANDSAT_4": {"1": 1983, "2": 1795, "3": 1539, "4": 1028, "5": 219.8, "7": 83.49},
    "LANDSAT_5": {"1": 1983, "2": 1796, "3": 1536, "4": 1031, "5": 220.0, "7": 83.44},
    "LANDSAT_7": {"1": 1997, "2": 1812, "3": 1533, "4": 1039, "5": 230.8, "7": 84.90, "8": 1362},
}
"""Mean irradiance of the sun above the atmosphere, W/(m² µm), by band."""
_KELVIN: Mapping[str, tuple[float, float]] = {
    "LANDSAT_4": (671.62, 1284.30),
    "LANDSAT_5": (607.76, 1260.56),
    "LANDSAT_7": (666.09, 1282.71),
}
"""K1 and K2 of the thermal band."""


class Roles(NamedTuple):
    """Bands of a sensor by what they are for."""

    blue: str
    green: str
    red: str
    nir: str
    swir1: str
    swir2: str
    temperature: str


_TM = Roles("B1", "B2", "B3", "B4", "B5", "B7", "B6")
_ROLES: Mapping[str, Roles] = {
    "LANDSAT_4": _TM,
    "LANDSAT_5": _TM,
    "LANDSAT_7": _TM._replace(temperature="B6_VCID_1"),
    "LANDSAT_8": Roles("B2", "B3", "B4", "B5", "B6", "B7", "B10"),
    "LANDSAT_9": Roles("B2", "B3", "B4", "B5", "B6", "B7", "B10"),
}

_SENSORS = {"TM": "LANDSAT_5", "ETM": "LANDSAT_7", "OLI_TIRS": "LANDSAT_8"}
"""Scenes by what https://developers.google.com/earth-engine/guides/landsat sets on a mosaic."""


def spacecraft_of(image: Image) -> str:
    """Return which Landsat a scene is of, such as LANDSAT_8; a mosaic says it by SENSOR_ID alone.

    Raises:
        InvalidRequest: its metadata does not say so, or it is of none that is known.
    """
    found = image.properties.get("SPACECRAFT_ID")
    sensor = image.properties.get("SENSOR_ID")
    if found is None and sensor is not None:
        found = _SENSORS.get(str(sensor), f"SENSOR_ID {sensor}")
    if found not in _ROLES:
        raise InvalidRequest(
            f"SPACECRAFT_ID must be one of {', '.join(_ROLES)}, or SENSOR_ID one of "
            f"{', '.join(_SENSORS)}; got {str(found)[:40]!r}."
        )
    return str(found)


def is_thermal(image: Image, band: Band) -> bool:
    """Tell whether a band of a scene is of temperature."""
    number = _number(band)
    return number in _THERMAL.get(spacecraft_of(image), _OLD_THERMAL)


def _number(band: Band) -> str | None:
    found = _BAND.fullmatch(band.id)
    return found["number"] if found else None


def _coefficient(image: Image, name: str) -> float | None:
    value = image.properties.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _linear(image: Image, kind: str, number: str) -> tuple[float, float] | None:
    """Return slope and intercept of a band's reflectance or radiance."""
    slope = _coefficient(image, f"{kind}_MULT_BAND_{number}")
    intercept = _coefficient(image, f"{kind}_ADD_BAND_{number}")
    return None if slope is None or intercept is None else (slope, intercept)


def _scaled(band: Band, slope: float, intercept: float) -> Band:
    def compute(pixels: Pixels) -> Pixels:
        values = pixels.values.astype(np.float64) * slope + intercept
        return Pixels(values.astype(np.float32), pixels.mask)

    return replace(band, type=FLOAT, node=Apply(compute, (band.node,)))


@algorithm("Landsat.calibratedRadiance(image: Image) -> Image")
def calibrated_radiance(image: Image) -> Image:
    """Return each band as radiance, W/(m² sr µm), by the coefficients in the image's metadata."""

    def calibrated(band: Band) -> Band:
        number = _number(band)
        found = None if number is None else _linear(image, "RADIANCE", number)
        if number is not None and found is None:
            raise InvalidRequest(f"The image has no property 'RADIANCE_MULT_BAND_{number}'.")
        return band if found is None else _scaled(band, *found)

    return map_bands(image, calibrated)


@algorithm("Landsat.translateMetadata(input: Image) -> Image", hidden=True)
def translate_metadata(image: Image) -> Image:
    """Return the same image."""
    return image


@algorithm("Landsat.TOA(input: Image) -> Image")
def toa(image: Image) -> Image:
    """Return reflectance at the top of the atmosphere, and temperatures in kelvin."""
    spacecraft_of(image)

    def calibrated(band: Band) -> Band:
        number = _number(band)
        if number is None:
            return band
        if is_thermal(image, band):
            return _temperature(image, band, number)
        return _reflectance(image, band, number)

    return map_bands(image, calibrated)


def _sine_of_sun(image: Image) -> float:
    elevation = _coefficient(image, "SUN_ELEVATION")
    if elevation is None or not 0 < elevation <= 90:
        raise InvalidRequest("SUN_ELEVATION must be a number of degrees above 0, at most 90.")
    return math.sin(math.radians(elevation))


def _reflectance(image: Image, band: Band, number: str) -> Band:
    sine = _sine_of_sun(image)
    found = _linear(image, "REFLECTANCE", number)
    if found is None:
        radiance = _linear(image, "RADIANCE", number)
        esun = _ESUN.get(spacecraft_of(image), {}).get(number)
        if radiance is None or esun is None:
            raise InvalidRequest(f"The image has no property 'REFLECTANCE_MULT_BAND_{number}'.")
        share = math.pi * _sun_distance(image) ** 2 / esun
        found = radiance[0] * share, radiance[1] * share
    return _scaled(band, found[0] / sine, found[1] / sine)


def _sun_distance(image: Image) -> float:
    """Return the distance of the sun in astronomical units, from metadata or the day."""
    known = _coefficient(image, "EARTH_SUN_DISTANCE")
    start = _coefficient(image, TIME_START)
    if known is not None:
        return known
    if start is None:
        raise InvalidRequest(f"The image has no property '{TIME_START}'.")
    day = Date(start).moment().timetuple().tm_yday
    return 1 - 0.01672 * math.cos(math.radians(0.9856 * (day - 4)))


def _temperature(image: Image, band: Band, number: str) -> Band:
    radiance = _linear(image, "RADIANCE", number)
    if radiance is None:
        raise InvalidRequest(f"The image has no property 'RADIANCE_MULT_BAND_{number}'.")
    constants = [_coefficient(image, f"K{i}_CONSTANT_BAND_{number}") for i in (1, 2)]
    k1, k2 = constants
    if k1 is None or k2 is None:
        if spacecraft_of(image) not in _KELVIN:
            raise InvalidRequest(f"The image has no property 'K1_CONSTANT_BAND_{number}'.")
        k1, k2 = _KELVIN[spacecraft_of(image)]
    slope, intercept, first, second = *radiance, k1, k2

    def compute(pixels: Pixels) -> Pixels:
        found = pixels.values.astype(np.float64) * slope + intercept
        kelvin = second / np.log(first / np.maximum(found, 1e-12) + 1)
        return Pixels(kelvin.astype(np.float32), pixels.mask)

    return replace(band, type=FLOAT, node=Apply(compute, (band.node,)))


CLOUD = "cloud"
_SCORE = PixelType("int", 0, 100)


@algorithm("Landsat.simpleCloudScore(image: Image) -> Image")
def simple_cloud_score(image: Image) -> Image:
    """Return an image with one more band, cloud: how cloudy a pixel looks, from 0 to 100."""
    return image.derived([*image.bands, cloud_band(image)])


def cloud_band(image: Image) -> Band:
    """Return the band of the cloud score of a scene that is calibrated.

    Raises:
        InvalidRequest: the scene lacks a band that it needs.
    """
    bands = {band.id: band for band in image.bands}
    roles = _ROLES[spacecraft_of(image)]
    if missing := [name for name in roles if name not in bands]:
        raise InvalidRequest(f"The image has no band '{missing[0]}', which the score needs.")
    inputs = [bands[name] for name in roles]

    def compute(*found: Pixels) -> Pixels:
        score = _score(*(pixels.values.astype(np.float64) for pixels in found))
        mask = np.minimum.reduce([pixels.mask for pixels in found])
        return Pixels(np.round(np.clip(score, 0, 1) * 100).astype(np.uint8), mask)

    node = Apply(compute, tuple(band.node for band in inputs))
    return replace(inputs[0], id=CLOUD, type=_SCORE, node=node)


def _score(*bands: NDArray[np.float64]) -> NDArray[np.float64]:
    blue, green, red, nir, swir1, swir2, kelvin = bands
    total = green + swir1
    ndsi = np.where(total == 0, 0.0, (green - swir1) / np.where(total == 0, 1.0, total))
    scores = [
        _between(blue, 0.1, 0.3),
        _between(red + green + blue, 0.2, 0.8),
        _between(nir + swir1 + swir2, 0.3, 0.8),
        _between(kelvin, 300.0, 290.0),
        _between(ndsi, 0.8, 0.6),
    ]
    return np.asarray(np.minimum.reduce(scores))


def _between(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """Return how far values are on the way from one number to another."""
    return (values - low) / (high - low)
