"""Named colour maps, so that `palette=viridis` says what eighteen hex codes would.

Each is a row of equally spaced stops, drawn linearly in between like any palette. Smooth maps
are sampled at 17 stops, which stays within 11 of 255 of the full table in every channel.

Where they come from:
    viridis, plasma, inferno, magma: S. van der Walt and N. Smith, CC0.
    cividis: J. Nunez, C. Anderton and R. Renslow; terrain: Matplotlib; both by way of Matplotlib
        (BSD-compatible licence).
    turbo: A. Mikhailov, Google, Apache-2.0.
    coolwarm: K. Moreland, "Diverging Color Maps for Scientific Visualization", 2009.
    ndvi: the vegetation palette of Earth Engine's own examples, Apache-2.0.
    gray, jet: the classic ramps.
    All others: color specifications and designs developed by Cynthia Brewer
        (https://colorbrewer2.org), Apache-2.0.
"""

from __future__ import annotations

_STOPS = {
    "gray": "000000 ffffff",
    "viridis": (
        "440154 48186a 472d7b 424086 3b528b 33638d 2c728e 26828e 21918c 1fa088 28ae80 3fbc73 "
        "5ec962 84d44b addc30 d8e219 fde725"
    ),
    "plasma": (
        "0d0887 310597 4c02a1 6600a7 7e03a8 9511a1 aa2395 bc3587 cc4778 da5a6a e66c5c f0804e "
        "f89540 fdac33 fdc527 f8df25 f0f921"
    ),
    "inferno": (
        "000004 0b0724 210c4a 3d0965 57106e 71196e 8a226a a32c61 bc3754 d24644 e45a31 f1731d "
        "f98e09 fcac11 f9cb35 f2ea69 fcffa4"
    ),
    "magma": (
        "000004 0a0822 1d1147 36106b 51127c 6a1c81 832681 9c2e7f b73779 d0416f e75263 f56b5c "
        "fc8961 fea772 fec488 fde2a3 fcfdbf"
    ),
    "cividis": (
        "00224e 002e6a 1a386f 32436d 434e6c 535a6d 61656f 6f7073 7d7c78 8c8878 9b9476 aba072 "
        "bcae6c cdbb63 dec958 f0d846 fee838"
    ),
    "turbo": (
        "30123b 4040a2 466be3 4294ff 28bceb 18ddc2 32f298 6dfe62 a4fc3c cdec34 eecf3a fdac34 "
        "fb7e21 eb500e d02f05 a91601 7a0403"
    ),
    "jet": "00007f 0000ff 007fff 00ffff 7fff7f ffff00 ff7f00 ff0000 7f0000",
    "terrain": (
        "333399 2255bb 1177dd 0099ff 00b3b3 00cc66 33d670 66e07a 99eb85 ccf58f ffff99 e6de8b "
        "ccbe7d b39d70 997c62 805c54 997c76 b39d98 ccbebb e6dedd ffffff"
    ),
    "coolwarm": (
        "3b4cc0 4e68d8 6282ea 779af7 8db0fe a3c2fe b9d0f9 ccd9ed dddcdc ecd3c5 f5c4ac f7b093 "
        "f4987a eb7d62 dd5f4b ca3b37 b40426"
    ),
    "ndvi": (
        "ffffff ce7e45 df923d f1b555 fcd163 99b718 74a901 66a000 529400 3e8601 207401 056201 "
        "004c00 023b01 012e01 011d01 011301"
    ),
    "blues": "f7fbff deebf7 c6dbef 9ecae1 6baed6 4292c6 2171b5 08519c 08306b",
    "greens": "f7fcf5 e5f5e0 c7e9c0 a1d99b 74c476 41ab5d 238b45 006d2c 00441b",
    "greys": "ffffff f0f0f0 d9d9d9 bdbdbd 969696 737373 525252 252525 000000",
    "oranges": "fff5eb fee6ce fdd0a2 fdae6b fd8d3c f16913 d94801 a63603 7f2704",
    "purples": "fcfbfd efedf5 dadaeb bcbddc 9e9ac8 807dba 6a51a3 54278f 3f007d",
    "reds": "fff5f0 fee0d2 fcbba1 fc9272 fb6a4a ef3b2c cb181d a50f15 67000d",
    "bugn": "f7fcfd e5f5f9 ccece6 99d8c9 66c2a4 41ae76 238b45 006d2c 00441b",
    "bupu": "f7fcfd e0ecf4 bfd3e6 9ebcda 8c96c6 8c6bb1 88419d 810f7c 4d004b",
    "gnbu": "f7fcf0 e0f3db ccebc5 a8ddb5 7bccc4 4eb3d3 2b8cbe 0868ac 084081",
    "orrd": "fff7ec fee8c8 fdd49e fdbb84 fc8d59 ef6548 d7301f b30000 7f0000",
    "pubu": "fff7fb ece7f2 d0d1e6 a6bddb 74a9cf 3690c0 0570b0 045a8d 023858",
    "pubugn": "fff7fb ece2f0 d0d1e6 a6bddb 67a9cf 3690c0 02818a 016c59 014636",
    "purd": "f7f4f9 e7e1ef d4b9da c994c7 df65b0 e7298a ce1256 980043 67001f",
    "rdpu": "fff7f3 fde0dd fcc5c0 fa9fb5 f768a1 dd3497 ae017e 7a0177 49006a",
    "ylgn": "ffffe5 f7fcb9 d9f0a3 addd8e 78c679 41ab5d 238443 006837 004529",
    "ylgnbu": "ffffd9 edf8b1 c7e9b4 7fcdbb 41b6c4 1d91c0 225ea8 253494 081d58",
    "ylorbr": "ffffe5 fff7bc fee391 fec44f fe9929 ec7014 cc4c02 993404 662506",
    "ylorrd": "ffffcc ffeda0 fed976 feb24c fd8d3c fc4e2a e31a1c bd0026 800026",
    "brbg": "543005 8c510a bf812d dfc27d f6e8c3 f5f5f5 c7eae5 80cdc1 35978f 01665e 003c30",
    "piyg": "8e0152 c51b7d de77ae f1b6da fde0ef f7f7f7 e6f5d0 b8e186 7fbc41 4d9221 276419",
    "prgn": "40004b 762a83 9970ab c2a5cf e7d4e8 f7f7f7 d9f0d3 a6dba0 5aae61 1b7837 00441b",
    "puor": "7f3b08 b35806 e08214 fdb863 fee0b6 f7f7f7 d8daeb b2abd2 8073ac 542788 2d004b",
    "rdbu": "67001f b2182b d6604d f4a582 fddbc7 f7f7f7 d1e5f0 92c5de 4393c3 2166ac 053061",
    "rdgy": "67001f b2182b d6604d f4a582 fddbc7 ffffff e0e0e0 bababa 878787 4d4d4d 1a1a1a",
    "rdylbu": "a50026 d73027 f46d43 fdae61 fee090 ffffbf e0f3f8 abd9e9 74add1 4575b4 313695",
    "rdylgn": "a50026 d73027 f46d43 fdae61 fee08b ffffbf d9ef8b a6d96a 66bd63 1a9850 006837",
    "spectral": "9e0142 d53e4f f46d43 fdae61 fee08b ffffbf e6f598 abdda4 66c2a5 3288bd 5e4fa2",
}
_COLORMAPS = {name: tuple(stops.split()) for name, stops in _STOPS.items()}
_ALIASES = {"grey": "gray"}
_REVERSED = "_r"


def named_palette(name: str) -> tuple[str, ...] | None:
    """Return the hex stops of a colour map, or None when there is none of that name.

    Case does not matter; the suffix `_r` turns the map around. "gray" and "grey" are the ramp
    from black to white here, although CSS has a colour of that name too.

    >>> named_palette("Gray_R")
    ('ffffff', '000000')
    """
    lower = name.strip().lower()
    base = lower.removesuffix(_REVERSED)
    stops = _COLORMAPS.get(_ALIASES.get(base, base))
    if stops is None:
        return None
    return stops if base == lower else stops[::-1]


def names() -> tuple[str, ...]:
    """Return every name `named_palette` knows, sorted; each may take the suffix `_r`."""
    return tuple(sorted({*_COLORMAPS, *_ALIASES}))
