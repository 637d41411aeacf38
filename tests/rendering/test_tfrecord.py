import struct
from typing import Any

import google_crc32c
import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given
from hypothesis import strategies as st

from tests.support.limits import cpu_limit
from tileserver.contract.pixels import BandArrays
from tileserver.rendering.tfrecord import crc32c, write_tfrecord


def example_class() -> Any:
    """Return tf.train.Example, declared as in TensorFlow's example.proto and feature.proto."""
    file = descriptor_pb2.FileDescriptorProto(name="example.proto", package="t", syntax="proto3")
    field = descriptor_pb2.FieldDescriptorProto

    def message(parent: Any, name: str, *fields: tuple[str, int, int, int, str]) -> Any:
        added = parent.add(name=name)
        for field_name, number, label, kind, type_name in fields:
            of_type = type_name or None
            added.field.add(
                name=field_name, number=number, label=label, type=kind, type_name=of_type
            )
        return added

    one, many, submessage = field.LABEL_OPTIONAL, field.LABEL_REPEATED, field.TYPE_MESSAGE
    top = file.message_type
    message(top, "FloatList", ("value", 1, many, field.TYPE_FLOAT, ""))
    message(top, "Feature", ("float_list", 2, one, submessage, ".t.FloatList"))
    map_type = ".t.Features.FeatureEntry"
    features = message(top, "Features", ("feature", 1, many, submessage, map_type))
    entry = message(
        features.nested_type,
        "FeatureEntry",
        ("key", 1, one, field.TYPE_STRING, ""),
        ("value", 2, one, submessage, ".t.Feature"),
    )
    entry.options.map_entry = True
    message(top, "Example", ("features", 1, one, submessage, ".t.Features"))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("t.Example"))


def unmasked(stored: bytes) -> int:
    rotated = (int.from_bytes(stored, "little") - 0xA282EAD8) & 0xFFFFFFFF
    return (rotated >> 17 | rotated << 15) & 0xFFFFFFFF


def payload_of(record: bytes) -> bytes:
    """Return the one message in a TFRecord file, checking length and both checksums."""
    (length,) = struct.unpack_from("<Q", record)
    assert len(record) == 8 + 4 + length + 4
    assert unmasked(record[8:12]) == google_crc32c.value(record[:8])
    payload = record[12 : 12 + length]
    assert unmasked(record[-4:]) == google_crc32c.value(payload)
    return payload


def features_of(bands: BandArrays) -> dict[str, Any]:
    example = example_class().FromString(payload_of(write_tfrecord(bands)))
    return {key: list(each.float_list.value) for key, each in example.features.feature.items()}


@pytest.mark.parametrize(
    "dtype",
    [
        *("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"),
        *("float32", "float64"),
    ],
)
def test_every_type_becomes_floats_row_after_row(dtype: str) -> None:
    values = (np.arange(2 * 3 * 50) % 100).astype(dtype).reshape(2, 3, 50)
    features = features_of(BandArrays(("B1", "é"), values, np.ones(values.shape, bool)))
    assert features == {"B1": values[0].ravel().tolist(), "é": values[1].ravel().tolist()}


def test_masked_pixels_are_zero() -> None:
    values = np.array([[[1.5, np.nan], [3.0, -1e30]]])
    bands = BandArrays(("x",), values, np.array([[[True, False], [True, False]]]))
    assert features_of(bands) == {"x": [1.5, 0.0, 3.0, 0.0]}


def test_a_double_beyond_float_becomes_infinite() -> None:
    bands = BandArrays(("x",), np.array([[[1e300]]]), np.ones((1, 1, 1), bool))
    assert features_of(bands) == {"x": [float("inf")]}


@given(st.binary(max_size=300))
def test_the_checksum_is_crc32c(data: bytes) -> None:
    assert crc32c(data) == google_crc32c.value(data)


def test_a_few_megabytes_are_summed_in_well_under_a_second() -> None:
    data = np.random.default_rng(1).bytes(4 * 2**20 + 3)
    with cpu_limit(1):
        checksum = crc32c(data)
    assert checksum == google_crc32c.value(data)
