from __future__ import annotations

import struct

import pytest

from tests.rasters.tiffs import METADATA, Image, tiff
from tileserver.errors import UnreadableRaster
from tileserver.rasters.tiff_directories import MAX_DIRECTORIES, Directory, read_directories

SMALL = Image(9, 9)


def directories(content: bytes) -> tuple[Directory, ...]:
    return read_directories(lambda offset, size: content[offset : offset + size], "a")


@pytest.mark.parametrize("is_big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_images_levels_and_masks_are_told_apart(is_big: bool, order: str) -> None:
    images = [
        Image(600, 500, (256, 128), samples=3, tags={METADATA: b"<GDALMetadata/>\0"}),
        Image(300, 250, (64, 64), samples=3, tags={254: 1}),
        Image(600, 500, (512, 512), tags={254: 4}),
    ]
    image, level, mask = directories(tiff(*images, is_big=is_big, order=order))
    assert (image.width, image.height, image.block_width, image.block_height) == (
        600,
        500,
        256,
        128,
    )
    assert (image.samples, image.bits, image.is_tiled, image.is_planar) == (3, 8, True, False)
    assert image.metadata is not None
    assert image.metadata.content == b"<GDALMetadata/>\0"
    assert [each.is_overview for each in (image, level, mask)] == [False, True, False]
    assert [each.is_mask for each in (image, level, mask)] == [False, False, True]
    assert [each.block_bytes for each in (image, level, mask)] == [98304, 12288, 262144]


def test_levels_below_the_image_are_found() -> None:
    found = directories(tiff(SMALL, below=[Image(4, 4, tags={254: 1}), Image(2, 2, tags={254: 1})]))
    assert [(each.width, each.is_overview) for each in found] == [(9, False), (4, True), (2, True)]


def test_a_chain_that_leads_back_ends() -> None:
    content = bytearray(tiff(SMALL))
    content[-4:] = content[4:8]
    assert len(directories(bytes(content))) == 1


def test_so_many_directories_are_refused() -> None:
    content = tiff(*[SMALL] * (MAX_DIRECTORIES + 1))
    with pytest.raises(UnreadableRaster, match="more than 256 directories"):
        directories(content)


def test_a_tag_that_is_there_twice_is_refused() -> None:
    content = bytearray(tiff(SMALL))
    at = struct.unpack_from("<I", content, 4)[0] + 2
    content[at + 12 : at + 14] = content[at : at + 2]
    with pytest.raises(UnreadableRaster, match="tag 256 twice"):
        directories(bytes(content))


def test_more_control_points_than_gdal_should_make_objects_of_are_refused() -> None:
    content = bytearray(tiff(SMALL))
    at = struct.unpack_from("<I", content, 4)[0] + 2
    struct.pack_into("<HHI", content, at + 36, 33922, 12, 6 * 100_001)
    with pytest.raises(UnreadableRaster, match="it has 100001 control points, at most 100000"):
        directories(bytes(content))


@pytest.mark.parametrize("length", [0, 4, 8, 30, 60, 100])
def test_what_is_cut_off_is_refused(length: int) -> None:
    with pytest.raises(UnreadableRaster, match="a: not a readable GeoTIFF: "):
        directories(tiff(Image(9, 9, samples=3))[:length])


@pytest.mark.parametrize("head", [b"II*\0\xff\xff\xff\xff", b"II+\0\x08\0\0\0" + b"\xff" * 8])
def test_a_directory_past_the_end_is_refused(head: bytes) -> None:
    with pytest.raises(UnreadableRaster, match="goes on past its end"):
        directories(head)


def test_metadata_that_is_no_utf_8_is_refused() -> None:
    content = tiff(Image(9, 9, tags={METADATA: b"<GDALMetadata><\xdd></GDALMetadata>\0"}))
    with pytest.raises(UnreadableRaster, match="its metadata is not UTF-8"):
        directories(content)
