"""NPZ: values with their masks, read by NumPy."""

import io
import zipfile

import numpy as np
import pytest

from tests.rendering.test_encoders import DTYPES
from tests.support.rasterfiles import noise
from tileserver.contract.pixels import BandArrays
from tileserver.rendering.damaged_file import DamagedFile
from tileserver.rendering.npz import read_npz, write_npz

IDS = ("B4", "rot/grün", "B2")


def bands(dtype: str = "uint16", alpha: bool = False) -> BandArrays:
    """Return three bands of shape (20, 30), a fifth of them masked."""
    values = noise(3, 20, 30, dtype)
    valid = np.random.default_rng(2).random(values.shape) > 0.2
    shown = np.random.default_rng(3).integers(0, 256, values.shape[1:]).astype(np.uint8)
    return BandArrays(IDS, values, valid, alpha=shown if alpha else None)


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_numpy_reads_the_values_the_masks_and_the_ids(dtype: str, alpha: bool) -> None:
    made = bands(dtype, alpha)
    body = write_npz(made)
    assert zipfile.ZipFile(io.BytesIO(body)).testzip() is None
    found = np.load(io.BytesIO(body))
    assert found["bands"].tolist() == list(IDS)
    assert found["values"].dtype == np.dtype(dtype).newbyteorder("<")
    np.testing.assert_array_equal(found["values"][made.valid], made.values[made.valid])
    assert not found["values"][~made.valid].any()
    np.testing.assert_array_equal(found["valid"], made.valid)
    assert ("alpha" in found) is alpha
    if alpha:
        np.testing.assert_array_equal(found["alpha"], made.alpha)
    assert write_npz(bands(dtype, alpha)) == body


def test_a_zero_is_told_from_a_masked_pixel() -> None:
    valid = np.array([[[True, False]]])
    found = np.load(io.BytesIO(write_npz(BandArrays(("a",), np.zeros((1, 1, 2), "i2"), valid))))
    assert (found["values"].tolist(), found["valid"].tolist()) == ([[[0, 0]]], [[[True, False]]])


def test_nan_and_infinity_are_values() -> None:
    values = np.array([[[np.nan, np.inf, -np.inf]]], np.float32)
    found = read_npz(write_npz(BandArrays(("a",), values, np.ones(values.shape, bool))), 3, 1)
    np.testing.assert_array_equal(found.values, values)
    assert found.valid.all()


@pytest.mark.parametrize("alpha", [False, True])
def test_what_is_written_is_read_back(alpha: bool) -> None:
    made = bands(alpha=alpha)
    found = read_npz(write_npz(made), 30, 20)
    assert found.ids == IDS
    np.testing.assert_array_equal(found.values, made.masked_to_zero())
    np.testing.assert_array_equal(found.valid, made.valid)
    assert (found.alpha is None) is not alpha


def wrong() -> dict[str, bytes]:
    whole = write_npz(bands())
    bomb, other = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("bands.npy", bytes(60_000_000))
    np.savez(other, bands=np.array(IDS), values=np.zeros((2, 20, 30)), valid=np.ones((2, 20, 30)))
    return {
        "nothing": b"",
        "half": whole[: len(whole) // 2],
        "another": whole[:200] + bytes(50) + whole[250:],
        "no members": b"PK\x05\x06" + bytes(18),
        "bomb": bomb.getvalue(),
        "shapes": other.getvalue(),
    }


@pytest.mark.parametrize("body", wrong().values(), ids=wrong())
def test_a_damaged_one_is_refused(body: bytes) -> None:
    with pytest.raises(DamagedFile):
        read_npz(body, 30, 20)


def test_one_of_another_size_is_refused() -> None:
    with pytest.raises(DamagedFile, match="an NPZ of"):
        read_npz(write_npz(bands()), 20, 30)
