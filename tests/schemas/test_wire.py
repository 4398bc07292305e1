import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gato_schemas import wire, wire_lists
from gato_schemas.errors import FormatError
from gato_schemas.varints import decode_varints, encode_varint, encode_varints, read_varint
from tests.schemas.examples import example, example_class, field, serialize, varint

INT64 = st.integers(-(2**63), 2**63 - 1)
FLOAT32 = st.floats(width=32, allow_nan=False)
VALUES = st.one_of(st.lists(INT64), st.lists(FLOAT32), st.lists(st.binary()))
EXAMPLES = st.dictionaries(st.text(), VALUES)


def written(values):
    """The feature to write for a list of values."""
    if values and isinstance(values[0], bytes):
        return wire.binary(values)
    if values and isinstance(values[0], float):
        return wire.Feature("float", [np.array(values, "<f4").tobytes()])
    return wire.Feature("int64", [encode_varints(np.array(values, np.int64))])


def plain(value):
    return [bytes(item) for item in value] if isinstance(value, list) else value.tolist()


def read(data: bytes):
    features = {key: wire.read_feature(feature) for key, feature in wire.decode_example(data).items()}
    return {key: plain(value) for key, value in features.items() if value is not None}


@given(EXAMPLES)
def test_protocol_buffers_read_what_is_written(content):
    data, _ = wire.encode_example({key: written(values) for key, values in content.items()})
    parsed = example_class().FromString(data)
    found = {key: getattr(f, f.WhichOneof("kind")).value for key, f in parsed.features.feature.items()}
    assert {key: list(values) for key, values in found.items()} == content


@given(EXAMPLES)
def test_reads_what_protocol_buffers_write(content):
    assert read(serialize(content)) == content


@given(st.dictionaries(st.integers(0, 999).map("{:03}".format), VALUES.filter(bool), min_size=1))
def test_the_bytes_are_those_of_protocol_buffers(content):
    # keys of one length: protocol buffers put a key before its own prefix
    assert wire.encode_example({key: written(values) for key, values in content.items()})[0] == serialize(content)


@given(EXAMPLES)
def test_order_of_insertion_does_not_matter_and_keys_are_sorted(content):
    forward = wire.encode_example({key: written(values) for key, values in content.items()})
    backward = wire.encode_example({key: written(content[key]) for key in reversed(content)})
    assert forward == backward
    assert list(wire.decode_example(forward[0])) == sorted(content)


@given(EXAMPLES)
def test_spans_point_at_the_values(content):
    features = {key: written(values) for key, values in content.items()}
    data, spans = wire.encode_example(features)
    found = {key: [data[start : start + length] for start, length in pairs] for key, pairs in spans.items()}
    assert found == {key: list(feature.values) for key, feature in features.items()}


@pytest.mark.parametrize("value", [0, 1, -1, 2**63 - 1, -(2**63), 127, 128])
def test_single_integers(value):
    data, _ = wire.encode_example({"x": wire.integer(value)})
    assert wire.get_integer(wire.decode_example(data), "x") == value
    assert data == serialize({"x": [value]})


@pytest.mark.parametrize(
    ("value", "stored"), [(0.1, float(np.float32(0.1))), (1e39, float("inf")), (-1e300, float("-inf"))]
)
def test_single_floats_are_rounded_to_float32(value, stored):
    data, _ = wire.encode_example({"x": wire.real(value)})
    assert wire.get_real(wire.decode_example(data), "x") == stored


def test_single_nan():
    data, _ = wire.encode_example({"x": wire.real(float("nan"))})
    assert np.isnan(wire.get_real(wire.decode_example(data), "x"))


def test_what_is_too_large_for_protocol_buffers_is_refused(monkeypatch):
    monkeypatch.setattr(wire, "MAX_EXAMPLE_BYTES", 28)
    with pytest.raises(FormatError, match="takes 29 bytes, at most 28"):
        wire.encode_example({"x": wire.binary([bytes(16)])})
    wire.encode_example({"x": wire.binary([bytes(15)])})


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_parsed_or_refused(data):
    for attempt in (read, wire.leading_features):
        try:
            attempt(data)
        except FormatError as error:
            assert str(error)  # noqa: PT017 - either outcome is right, any other exception is not


@given(EXAMPLES, st.data())
def test_damaged_examples_are_parsed_or_refused(content, data):
    record = bytearray(serialize(content))
    for _ in range(data.draw(st.integers(1, 4))):
        if record:
            record[data.draw(st.integers(0, len(record) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(record[: data.draw(st.integers(0, len(record)))])
    for getter in (wire.get_bytes, wire.get_integer, wire.get_real, lambda features, key: features[key]):
        try:
            features = wire.decode_example(damaged)
            for key in features:
                getter(features, key)
        except FormatError:
            continue


@given(EXAMPLES, st.data())
def test_leading_features_are_those_before_the_cut(content, data):
    record, spans = wire.encode_example({key: written(values) for key, values in content.items()})
    head = record[: data.draw(st.integers(1, len(record)))]
    found = wire.leading_features(head)
    assert list(found) == sorted(content)[: len(found)]
    assert all(plain(wire.read_feature(found[key])) == content[key] for key in found)
    ends = {key: max((start + length for start, length in pairs), default=0) for key, pairs in spans.items()}
    assert all(ends[key] <= len(head) for key in found)
    if len(head) == len(record):
        assert set(found) == set(content)


@given(st.lists(INT64))
def test_varints_round_trip(numbers):
    packed = encode_varints(np.array(numbers, dtype=np.int64))
    assert packed == b"".join(varint(number % 2**64) for number in numbers)
    assert packed == b"".join(encode_varint(number % 2**64) for number in numbers)
    assert decode_varints(memoryview(packed)).tolist() == numbers


def test_varints_across_blocks():
    numbers = np.arange(-50_000, 250_000, dtype=np.int64) * 7
    packed = encode_varints(numbers)
    assert len(packed) > 3 * 2**18
    np.testing.assert_array_equal(decode_varints(memoryview(packed)), numbers)


def test_a_number_of_more_than_64_bits_is_refused():
    assert read_varint(memoryview(b"\xff" * 9 + b"\x01"), 0) == (2**64 - 1, 10)
    with pytest.raises(FormatError, match="more than 64 bits"):
        read_varint(memoryview(b"\xff" * 9 + b"\x02"), 0)


def test_packed_floats_and_bytes_are_views_of_the_record():
    record = serialize({"x": [1.5, -2.0], "y": [b"abc"]})
    octets = np.frombuffer(record, dtype=np.uint8)
    features = wire.decode_example(record)
    floats = wire.read_feature(features["x"])
    assert isinstance(floats, np.ndarray)
    assert np.shares_memory(floats, octets)
    assert not floats.flags.writeable
    (value,) = wire.get_bytes(features, "y")
    assert value.readonly
    assert np.shares_memory(np.frombuffer(value, np.uint8), octets)


@pytest.mark.parametrize(
    "pieces",
    [
        [field(1, 5, struct.pack("<f", 1.5)), field(1, 5, struct.pack("<f", -2.0))],
        [field(1, 2, struct.pack("<f", 1.5)), field(1, 2, struct.pack("<f", -2.0))],
        [field(1, 5, struct.pack("<f", 1.5)), field(1, 2, struct.pack("<f", -2.0))],
    ],
    ids=["unpacked", "two packed pieces", "mixed"],
)
def test_floats_stored_otherwise(pieces):
    assert read(example(field(2, 2, b"".join(pieces)))) == {"x": [1.5, -2.0]}


@pytest.mark.parametrize(
    "pieces",
    [
        [field(1, 0, varint(300)), field(1, 0, varint(2**64 - 1))],
        [field(1, 2, varint(300)), field(1, 2, varint(2**64 - 1))],
        [field(1, 0, varint(300)), field(1, 2, varint(2**64 - 1))],
    ],
    ids=["unpacked", "two packed pieces", "mixed"],
)
def test_integers_stored_otherwise(pieces):
    assert read(example(field(3, 2, b"".join(pieces)))) == {"x": [300, -1]}
    single = wire.decode_example(example(field(3, 2, pieces[1])))
    assert wire.get_integer(single, "x") == -1


def test_unknown_fields_are_stepped_over():
    feature = field(9, 5, b"abcd") + field(9, 1, b"abcdefgh") + field(9, 0, b"\x05") + field(1, 2, field(1, 2, b"a"))
    assert read(field(7, 2, b"later") + example(feature)) == {"x": [b"a"]}


def test_numbers_where_messages_belong_are_stepped_over():
    assert read(field(1, 0, b"\x05") + example(field(1, 2, field(1, 0, b"\x07") + field(1, 2, b"a")))) == {"x": [b"a"]}


def test_the_last_feature_of_a_name_counts():
    first, second = (example(field(1, 2, field(1, 2, value))) for value in (b"a", b"b"))
    assert read(first + second) == {"x": [b"b"]}


def test_a_feature_without_a_list():
    assert read(example(b"")) == {}
    with pytest.raises(FormatError, match="feature x holds no values, int64 values were wanted"):
        wire.get_integer(wire.decode_example(example(b"")), "x")


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (b"\x0a\x05ab", "runs past the end"),
        (b"\x0b", "wire type 3"),
        (b"\x02\x00", "number 0"),
        (b"\xff" * 10 + b"\x01", "ten bytes"),
        (b"\x0a" + varint(2**63) + b"ab", "runs past the end"),
        (example(b"", key=b"\xff"), "not UTF-8"),
        (example(field(2, 2, field(1, 2, b"abc"))), "multiple of 4"),
        (example(field(3, 2, field(1, 2, b"\x80"))), "past the end of its list"),
        (example(field(3, 2, field(1, 2, b"\x80" * 10 + b"\x01"))), "longer than 10 bytes"),
        (example(field(3, 2, field(1, 2, b"\x80" * 300_000 + b"\x01"))), "longer than 10 bytes"),
        (example(field(3, 2, field(1, 2, b"\xff" * 9 + b"\x02"))), "64 bits"),
    ],
)
def test_damage_is_named(record, message):
    with pytest.raises(FormatError, match=message):
        read(record)


@pytest.mark.parametrize(
    ("getter", "message"),
    [
        (wire.get_integer, "feature bytes holds bytes values, int64 values were wanted"),
        (wire.get_real, "feature bytes holds bytes values, float values were wanted"),
        (
            lambda features, _: wire.get_bytes(features, "ints"),
            "feature ints holds int64 values, bytes values were wanted",
        ),
        (lambda features, _: wire.get_bytes(features, "none"), "feature none is missing, bytes values were wanted"),
        (lambda features, _: wire.get_integer(features, "ints"), "feature ints has no value or several"),
        (lambda features, _: wire.get_integer(features, "empty"), "feature empty has no value or several"),
        (lambda features, _: wire.get_real(features, "floats"), "feature floats has 2 values, one was wanted"),
    ],
)
def test_another_feature_than_was_wanted(getter, message):
    record = serialize({"bytes": [b"a"], "ints": [1, 2], "floats": [1.0, 2.0], "empty": []})
    with pytest.raises(FormatError, match=message):
        getter(wire.decode_example(record), "bytes")


def test_a_head_that_begins_otherwise_has_no_leading_features():
    for head in (b"", b"\x12\x00"):
        with pytest.raises(FormatError, match="does not begin with its features"):
            wire.leading_features(head)


def test_a_bytes_list_of_empty_values_is_bounded(monkeypatch):
    monkeypatch.setattr(wire_lists, "MAX_BYTES_VALUES", 100)
    assert read(example(field(1, 2, b"\x0a\x00" * 100))) == {"x": [b""] * 100}
    with pytest.raises(FormatError, match="more than 100 values"):
        read(example(field(1, 2, b"\x0a\x00" * 101)))
