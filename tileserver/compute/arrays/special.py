"""Special functions of numbers, those of SciPy; each takes and returns doubles of any shape.

SciPy is imported when the first one is called.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]

_LANCZOS = (
    *(0.99999999999999709182, 57.156235665862923517, -59.597960355475491248),
    *(14.136097974741747174, -0.49191381609762019978, 0.33994649984811888699e-4),
    *(0.46523628927048575665e-4, -0.98374475304879564677e-4, 0.15808870322491248884e-3),
    *(-0.21026444172410488319e-3, 0.21743961811521264320e-3, -0.16431810653676389022e-3),
    *(0.84418223983852743293e-4, -0.26190838401581408670e-4, 0.36899182659531622704e-5),
)
"""Godfrey's coefficients for g = 607 / 128, which Apache Commons Math uses."""


def _scipy(name: str, *values: Any) -> Doubles:
    import scipy.special

    found: Doubles = np.asarray(
        getattr(scipy.special, name)(*(np.asarray(each, np.float64) for each in values))
    )
    return found


def gamma(x: Any) -> Doubles:
    """Return the gamma function; at zero and negative whole numbers it is NaN."""
    values = np.asarray(x, np.float64)
    is_pole = (values <= 0) & (values == np.floor(values))
    return np.where(is_pole, np.nan, _scipy("gamma", values))


def digamma(x: Any) -> Doubles:
    """Return the derivative of the logarithm of the gamma function.

    At zero and negative whole numbers it is -Infinity, as the reference of ee.Number.digamma
    prints.
    """
    values = np.asarray(x, np.float64)
    is_pole = (values <= 0) & (values == np.floor(values))
    return np.where(is_pole, -np.inf, _scipy("psi", values))


def trigamma(x: Any) -> Doubles:
    """Return the derivative of `digamma`; by the reflection formula below zero.

    At negative whole numbers it is Infinity, as the reference of ee.Number.trigamma prints.
    """
    values = np.asarray(x, np.float64)
    is_low = values < 0
    found = _scipy("zeta", 2.0, np.where(is_low, 1 - values, values))
    reflected = (np.pi / np.sin(np.pi * values)) ** 2 - found
    is_pole = is_low & (values == np.floor(values))
    return np.where(is_pole, np.inf, np.where(is_low, reflected, found))


def erf(x: Any) -> Doubles:
    """Return the error function."""
    return _scipy("erf", x)


def erfc(x: Any) -> Doubles:
    """Return 1 minus the error function."""
    return _scipy("erfc", x)


def erf_inv(x: Any) -> Doubles:
    """Return the inverse of `erf`; NaN outside -1 to 1."""
    return _scipy("erfinv", x)


def erfc_inv(x: Any) -> Doubles:
    """Return the inverse of `erfc`; NaN outside 0 to 2."""
    return _scipy("erfcinv", x)


def lanczos(x: Any) -> Doubles:
    """Return the series L(x) of Lanczos' approximation of the gamma function.

    With g = 607 / 128 and above zero, gamma(x) = sqrt(2 pi) / x (x + g + 1/2) ** (x + 1/2)
    exp(-(x + g + 1/2)) L(x).
    """
    values = np.asarray(x, np.float64)
    found = np.full_like(values, _LANCZOS[0])
    for place, each in enumerate(_LANCZOS[1:], start=1):
        found += each / (values + place)
    return found


def gammainc(x: Any, a: Any) -> Doubles:
    """Return the regularized lower incomplete gamma function of x with the shape a.

    It is the cumulative chi-square distribution of 2 x with 2 a degrees of freedom, the use that
    Google's tutorial "Detecting Changes in Sentinel-1 Imagery" makes of it. NaN unless a is above
    zero and x is zero or above.
    """
    return _scipy("gammainc", a, x)


def bit_count(x: Any) -> NDArray[np.int64]:
    """Return the number of bits that are 1 in 64-bit integers."""
    values = np.asarray(x)
    whole = values if values.dtype.kind in "iu" else np.nan_to_num(values)
    found: NDArray[np.uint8] = np.bitwise_count(whole.astype(np.int64).view(np.uint64))
    return found.astype(np.int64)


SPECIAL: dict[str, tuple[Callable[[Any], Any], str]] = {
    "gamma": (gamma, "Returns the gamma function"),
    "digamma": (digamma, "Returns the digamma function"),
    "trigamma": (trigamma, "Returns the trigamma function"),
    "erf": (erf, "Returns the error function"),
    "erfc": (erfc, "Returns 1 minus the error function"),
    "erfInv": (erf_inv, "Returns the inverse error function"),
    "erfcInv": (erfc_inv, "Returns the inverse of 1 minus the error function"),
    "lanczos": (lanczos, "Returns the series of Lanczos' approximation of gamma"),
}
"""Functions of one number by Earth Engine's name, and what each does."""
