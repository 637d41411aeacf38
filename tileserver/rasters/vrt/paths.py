"""Which file of its own folder a VRT means by a SourceFilename."""

from __future__ import annotations

from tileserver.contract.raster_formats import GEOTIFF, suffixes_of

_SUFFIXES = suffixes_of([GEOTIFF])
_MAX_PATH = 1000


def below_folder(text: str, relative: str, folder: str) -> str:
    """Return the path below a VRT's folder of a GeoTIFF.

    The file need not be there; it is opened beneath the folder, so that links lead nowhere else.

    Args:
        text: of a SourceFilename.
        relative: its attribute relativeToVRT.
        folder: the absolute path of the VRT's folder.

    Raises:
        ValueError: the text leads elsewhere, or is no name of a GeoTIFF. The message has no path
            that the file itself does not say.
    """
    if text.startswith("/vsi") or "://" in text:
        raise ValueError(
            "a SourceFilename is an address or begins with /vsi, expected a file in the folder of "
            "the VRT"
        )
    shown = _shown(text)
    path = text
    if text.startswith("/"):
        inside = folder.rstrip("/") + "/"
        if not text.startswith(inside):
            raise ValueError(
                f"SourceFilename {shown} is not in the folder of the VRT, and may not be elsewhere"
            )
        path = text[len(inside) :]
    elif relative.strip() != "1":
        raise ValueError(
            f'SourceFilename {shown}: expected relativeToVRT="1", or an absolute path in the '
            "folder of the VRT"
        )
    names = [name for name in path.split("/") if name not in ("", ".")]
    if ".." in names or not path.isprintable() or len(path) > _MAX_PATH:
        raise ValueError(f"SourceFilename {shown} must be in the folder of the VRT, without ..")
    if not names or not names[-1].lower().endswith(_SUFFIXES):
        raise ValueError(f"SourceFilename {shown}: expected a GeoTIFF, ending in .tif or .tiff")
    return "/".join(names)


def _shown(text: str) -> str:
    """Return a path for an error: of an absolute one the name of the file alone."""
    return repr(f"…/{text.rpartition('/')[2][-60:]}" if text.startswith("/") else text[-80:])
