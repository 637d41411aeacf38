"""Morphological filters: the greatest, mean, median, smallest or most frequent pixel around each.

Masked pixels do not count, and a masked pixel gets a value wherever one around it has: programs
fill gaps with them. The bands keep their names. A mean is weighted by its kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tileserver.compute.algorithms.image.neighbourhoods import reduced
from tileserver.compute.algorithms.kernel.shapes import SHAPES, shaped
from tileserver.compute.algorithms.reducer.simple import SIMPLE, as_is, in_range, of_stacks
from tileserver.compute.context import check_length
from tileserver.compute.pixels import reductions
from tileserver.compute.registry import algorithm
from tileserver.compute.values.image import Band, Image, map_bands
from tileserver.compute.values.kernel import Kernel
from tileserver.compute.values.reducer import Output
from tileserver.errors import InvalidRequest, shown

_MOST_ITERATIONS = 1000

FILTERS: dict[str, tuple[Output, str]] = {
    "Max": (SIMPLE["minMax"][0][1], "the greatest"),
    "Mean": (SIMPLE["mean"][0][0], "the mean"),
    "Median": (of_stacks("median", reductions.percentile(50), in_range), "the median"),
    "Min": (SIMPLE["minMax"][0][0], "the smallest"),
    "Mode": (
        of_stacks("mode", reductions.mode, as_is),
        "the most frequent; of several the smallest",
    ),
}
"""Outputs and meaning by the end of the algorithm's name."""


def _filter(output: Output) -> Callable[..., Image]:
    def focal(
        image: Image,
        radius: float,
        kernel_type: str,
        units: str,
        iterations: int,
        kernel: Kernel | None,
    ) -> Image:
        check_length(iterations, _MOST_ITERATIONS, "iterations")
        if kernel is None:
            if kernel_type not in SHAPES:
                raise InvalidRequest(
                    f"kernelType must be one of {', '.join(SHAPES)}, got {shown(kernel_type)}."
                )
            kernel = shaped(kernel_type, radius, units, False, 1.0)
        return map_bands(image, lambda band: _repeated(band, output, kernel, iterations))

    return focal


def _repeated(band: Band, output: Output, kernel: Kernel, iterations: int) -> Band:
    for _ in range(iterations):
        found = reduced([band], output, kernel)
        band = replace(band, type=found.type, node=found.node)
    return band


_ARGUMENTS = (
    'image: Image, radius: Float = 1.5, kernelType: String = "circle", units: String = "pixels",'
    " iterations: Integer = 1.0, kernel: Kernel = null"
)


def _register() -> None:
    for ending, (output, meaning) in FILTERS.items():
        function = _filter(output)
        text = f"Return {meaning} of the pixels around each."
        names = (f"Image.focal{ending}", f"Image.focal_{output.name}", f"Window.{output.name}")
        for name in names:
            hidden = name != names[0]
            algorithm(f"{name}({_ARGUMENTS}) -> Image", text, hidden=hidden)(function)


_register()
