import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorflow_datasets.proto import tf_example_pb2, tf_feature_pb2

from gato_pipelines.rlds.encode import encode_varints
from gato_pipelines.rlds.wire import decode_varints, parse_example
from gato_schemas.errors import FormatError

INT64 = st.integers(-(2**63), 2**63 - 1)
FLOAT32 = st.floats(width=32, allow_nan=False)
VALUES = st.one_of(st.lists(INT64), st.lists(FLOAT32), st.lists(st.binary()))
EXAMPLES = st.dictionaries(st.text(), VALUES)


def _feature(values):
    if values and isinstance(values[0], bytes):
        return tf_feature_pb2.Feature(bytes_list=tf_feature_pb2.BytesList(value=values))
    if values and isinstance(values[0], float):
        return tf_feature_pb2.Feature(float_list=tf_feature_pb2.FloatList(value=values))
    return tf_feature_pb2.Feature(int64_list=tf_feature_pb2.Int64List(value=values))


def _serialize(content):
    features = tf_feature_pb2.Features(feature={key: _feature(values) for key, values in content.items()})
    return tf_example_pb2.Example(features=features).SerializeToString(deterministic=True)


def _plain(value):
    return [bytes(item) for item in value] if isinstance(value, list) else value.tolist()


def _varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def _field(number, wire_type, payload):
    return _varint(number << 3 | wire_type) + (_varint(len(payload)) if wire_type == 2 else b"") + payload


def _example(feature: bytes, key: bytes = b"x") -> bytes:
    entry = _field(1, 2, key) + _field(2, 2, feature)
    return _field(1, 2, _field(1, 2, entry))


@given(EXAMPLES)
def test_reads_what_protocol_buffers_write(content):
    found = parse_example(_serialize(content), set(content))
    assert {key: _plain(value) for key, value in found.items()} == content


@given(EXAMPLES)
def test_only_wanted_features_are_parsed(content):
    wanted = set(list(content)[::2]) | {"\x00absent"}
    assert set(parse_example(_serialize(content), wanted)) == wanted & set(content)


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_parsed_or_refused(data):
    try:
        parse_example(data, {"", "x"})
    except FormatError as error:
        assert str(error)  # noqa: PT017 - either outcome is right, any other exception is not


@given(EXAMPLES, st.data())
def test_damaged_examples_are_parsed_or_refused(content, data):
    record = bytearray(_serialize(content))
    for _ in range(data.draw(st.integers(1, 4))):
        if record:
            at = data.draw(st.integers(0, len(record) - 1))
            record[at] = data.draw(st.integers(0, 255))
    try:
        found = parse_example(bytes(record[: data.draw(st.integers(0, len(record)))]), set(content))
    except FormatError:
        return
    assert set(found) <= set(content)


@given(st.lists(INT64))
def test_varints_round_trip(numbers):
    packed = encode_varints(np.array(numbers, dtype=np.int64))
    assert packed == b"".join(_varint(number % 2**64) for number in numbers)
    assert decode_varints(memoryview(packed)).tolist() == numbers


def test_varints_across_blocks():
    numbers = np.arange(-50_000, 250_000, dtype=np.int64) * 7
    packed = encode_varints(numbers)
    assert len(packed) > 3 * 2**18
    np.testing.assert_array_equal(decode_varints(memoryview(packed)), numbers)


def test_packed_floats_are_a_view_of_the_record():
    record = _serialize({"x": [1.5, -2.0]})
    value = parse_example(record, {"x"})["x"]
    assert isinstance(value, np.ndarray)
    assert np.shares_memory(value, np.frombuffer(record, dtype=np.uint8))
    assert not value.flags.writeable


@pytest.mark.parametrize(
    "pieces",
    [
        [_field(1, 5, struct.pack("<f", 1.5)), _field(1, 5, struct.pack("<f", -2.0))],
        [_field(1, 2, struct.pack("<f", 1.5)), _field(1, 2, struct.pack("<f", -2.0))],
        [_field(1, 5, struct.pack("<f", 1.5)), _field(1, 2, struct.pack("<f", -2.0))],
    ],
    ids=["unpacked", "two packed pieces", "mixed"],
)
def test_floats_stored_otherwise(pieces):
    assert _plain(parse_example(_example(_field(2, 2, b"".join(pieces))), {"x"})["x"]) == [1.5, -2.0]


@pytest.mark.parametrize(
    "pieces",
    [
        [_field(1, 0, _varint(300)), _field(1, 0, _varint(2**64 - 1))],
        [_field(1, 2, _varint(300)), _field(1, 2, _varint(2**64 - 1))],
        [_field(1, 0, _varint(300)), _field(1, 2, _varint(2**64 - 1))],
    ],
    ids=["unpacked", "two packed pieces", "mixed"],
)
def test_integers_stored_otherwise(pieces):
    assert _plain(parse_example(_example(_field(3, 2, b"".join(pieces))), {"x"})["x"]) == [300, -1]


def test_unknown_fields_are_stepped_over():
    feature = (
        _field(9, 5, b"abcd") + _field(9, 1, b"abcdefgh") + _field(9, 0, b"\x05") + _field(1, 2, _field(1, 2, b"a"))
    )
    record = _field(7, 2, b"later") + _example(feature)
    assert _plain(parse_example(record, {"x"})["x"]) == [b"a"]


def test_the_last_feature_of_a_name_counts():
    first, second = (_example(_field(1, 2, _field(1, 2, value))) for value in (b"a", b"b"))
    assert _plain(parse_example(first + second, {"x"})["x"]) == [b"b"]


def test_a_feature_without_a_list_is_left_out():
    assert parse_example(_example(b""), {"x"}) == {}


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (b"\x0a\x05ab", "runs past the end"),
        (b"\x0b", "wire type 3"),
        (b"\x02\x00", "number 0"),
        (b"\xff" * 10 + b"\x01", "ten bytes"),
        (_example(_field(2, 2, _field(1, 2, b"abc"))), "multiple of 4"),
        (_example(_field(3, 2, _field(1, 2, b"\x80"))), "past the end of its list"),
        (_example(_field(3, 2, _field(1, 2, b"\x80" * 10 + b"\x01"))), "longer than 10 bytes"),
        (_example(_field(3, 2, _field(1, 2, b"\x80" * 300_000 + b"\x01"))), "longer than 10 bytes"),
        (_example(_field(3, 2, _field(1, 2, b"\xff" * 9 + b"\x02"))), "64 bits"),
    ],
)
def test_damage_is_named(record, message):
    with pytest.raises(FormatError, match=message):
        parse_example(record, {"x"})


def test_a_bytes_list_of_empty_values_is_bounded(monkeypatch):
    monkeypatch.setattr("gato_pipelines.rlds.wire.MAX_BYTES_VALUES", 100)
    with pytest.raises(FormatError, match="more than 100 values"):
        parse_example(_example(_field(1, 2, b"\x0a\x00" * 101)), {"x"})
