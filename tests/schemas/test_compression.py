import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gato_schemas.compression import (
    DEFAULT_LEVEL,
    PatchEncoding,
    deflate_block,
    deflate_column,
    inflate_block,
    store,
    stored_data,
)
from gato_schemas.errors import FormatError

LEVELS = st.integers(1, 12)


@given(st.binary(max_size=2000), LEVELS)
def test_zlib_reads_what_is_written_and_so_do_we(raw, level):
    packed = deflate_block(raw, level)
    assert zlib.decompress(packed) == raw
    assert inflate_block(packed, len(raw)) == raw


@given(st.binary(max_size=2000))
def test_reads_what_zlib_writes(raw):
    assert inflate_block(memoryview(zlib.compress(raw)), len(raw)) == raw


def test_the_default_is_level_6():
    assert PatchEncoding() == PatchEncoding("zlib", DEFAULT_LEVEL)
    raw = bytes(range(256)) * 20
    assert deflate_block(raw, DEFAULT_LEVEL) == deflate_block(raw, 6)


@given(st.binary(min_size=1, max_size=300), st.data())
def test_any_flipped_bit_is_noticed(raw, data):
    packed = bytearray(deflate_block(raw, 6))
    packed[data.draw(st.integers(0, len(packed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        assert inflate_block(bytes(packed), len(raw)) == raw  # a header bit that says nothing about the bytes
    except FormatError as error:
        assert "does not inflate" in str(error)  # noqa: PT017 - both outcomes are right


@given(st.binary(min_size=1, max_size=300), st.data())
def test_truncation_at_every_length(raw, data):
    packed = deflate_block(raw, 6)
    with pytest.raises(FormatError, match="does not inflate"):
        inflate_block(packed[: data.draw(st.integers(0, len(packed) - 1))], len(raw))


def test_a_block_of_another_size():
    packed = deflate_block(bytes(1000), 6)
    with pytest.raises(FormatError, match="inflates to 1000 bytes, 1001 were wanted"):
        inflate_block(packed, 1001)
    with pytest.raises(FormatError, match="does not inflate"):
        inflate_block(packed, 999)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_inflated_or_refused(data):
    try:
        assert len(inflate_block(data, 100)) == 100
    except FormatError as error:
        assert str(error)  # noqa: PT017 - either outcome is right, any other exception is not


@given(st.binary(max_size=2000))
def test_a_stored_stream_is_one_of_zlib_and_is_read_in_place(raw):
    stream = store(raw)
    assert zlib.decompress(stream) == inflate_block(stream, len(raw)) == raw
    assert stored_data(memoryview(stream), len(raw)) == raw == stream[7:-4]
    assert stored_data(memoryview(stream), len(raw) + 1) is None
    assert stored_data(memoryview(stream + b"x"), len(raw)) is None
    assert stored_data(memoryview(stream[:-1] + bytes([stream[-1] ^ 1])), len(raw)) is None
    assert zlib.decompress(deflate_column(raw)) == raw


@pytest.mark.parametrize("size", [65_504, 65_535])
def test_a_stored_stream_of_the_most_bytes(size):
    raw = bytes(range(256)) * 256
    stream = store(raw[:size])
    assert zlib.decompress(stream) == stored_data(memoryview(stream), size) == raw[:size]


def test_columns_of_a_few_bytes_are_stored():
    assert deflate_column(b"abc") == store(b"abc")
    assert len(deflate_column(bytes(1000))) < 30


def test_no_stream_inflates_more_than_a_thousandfold():
    """So nothing is allocated for a size that a stream only claims."""
    packed = deflate_block(bytes(10**7), 12)
    assert len(inflate_block(packed, 10**7)) == 10**7
    with pytest.raises(FormatError, match="does not inflate to 1000000000000"):
        inflate_block(packed, 10**12)


def test_one_of_two_sizes():
    assert inflate_block(store(bytes(6)), 6, 12) == bytes(6)
    assert inflate_block(store(bytes(12)), 6, 12) == bytes(12)
    with pytest.raises(FormatError, match="inflates to 9 bytes, 6 or 12 were wanted"):
        inflate_block(store(bytes(9)), 6, 12)
