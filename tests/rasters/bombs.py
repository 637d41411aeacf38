"""GeoTIFFs of less than a megabyte that would decode to many."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tests.rasters.tiffs import UTM_12N, Image, Tags, write_tiff

SIDE = 8192
"""Pixels on a side of a block that holds 67 MB, as bytes."""
TWICE = 2 * SIDE
MASK: Tags = {254: 4, 262: 4}
SMALL = (512, 512)

Make = Callable[[Path], object]


def image(side: int, block: tuple[int, int], samples: int = 1, **tags: int) -> Image:
    """Return a square image near Great Salt Lake; tags as `t` and the number."""
    more = {int(name[1:]): value for name, value in tags.items()}
    return Image(side, side, block, samples=samples, tags={**UTM_12N, **more})


def of(*images: Image) -> Make:
    return lambda path: write_tiff(path, *images)


def reduced(side: int, block: tuple[int, int], subfile_type: int = 1, samples: int = 1) -> Image:
    return Image(side, side, block, samples=samples, tags={254: subfile_type})


def bare(*images: Image) -> list[Image]:
    return [replace(each, has_pixels=False) for each in images]


def empty(*images: Image) -> Make:
    return of(*bare(*images))


SERVED: dict[str, Make] = {
    "blocks": of(image(SIDE, (SIDE, SIDE))),
    "many-blocks": of(image(TWICE, (SIDE, SIDE))),
    "bands": of(image(4096, (4096, 4096), samples=4)),
    "overview": of(image(TWICE, SMALL), reduced(SIDE, (SIDE, SIDE))),
    "mask": of(image(SIDE, SMALL), Image(SIDE, SIDE, (SIDE, SIDE), 255, tags=MASK)),
    "block-and-mask": of(
        image(SIDE, (SIDE, SIDE)), Image(SIDE, SIDE, (SIDE, SIDE), 255, tags=MASK)
    ),
    "strip": of(Image(35_000, 1900, tags=UTM_12N)),
}
"""As large as may be."""
REFUSED: dict[str, Make] = {
    "blocks": empty(image(TWICE, (TWICE, TWICE))),
    "planar": empty(image(TWICE, (TWICE, TWICE), samples=3, t284=2)),
    "bands": empty(image(8000, (8000, 8000), samples=2)),
    "strip": empty(Image(100_000, 1900, tags=UTM_12N)),
    "strip-of-colours": empty(image(12_000, (0, 0), samples=3, t262=6)),
    "overview": empty(image(2 * TWICE, SMALL), reduced(TWICE, (TWICE, TWICE))),
    "old-overview": empty(
        image(2 * TWICE, SMALL), Image(TWICE, TWICE, (TWICE, TWICE), tags={255: 2})
    ),
    "second-overview": empty(
        image(2 * TWICE, SMALL), reduced(TWICE, SMALL), reduced(SIDE, (TWICE, TWICE))
    ),
    "mask": empty(image(TWICE, SMALL), Image(TWICE, TWICE, (TWICE, TWICE), tags=MASK)),
    "mask-strip": empty(image(TWICE, SMALL), Image(TWICE, TWICE, tags=MASK)),
    "mask-of-an-overview": empty(
        image(2 * TWICE, SMALL),
        reduced(TWICE, SMALL),
        Image(2 * TWICE, 2 * TWICE, SMALL, tags=MASK),
        Image(TWICE, TWICE, (TWICE, TWICE), tags={254: 5, 262: 4}),
    ),
    "below-the-image": lambda path: write_tiff(
        path, *bare(image(2 * TWICE, SMALL)), below=bare(reduced(TWICE, (TWICE, TWICE)))
    ),
}
"""Larger: `blocks hold … MB each, at most 68 MB may be`."""
