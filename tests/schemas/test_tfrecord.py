import gzip
import struct
from itertools import pairwise

import google_crc32c
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gato_schemas import tfrecord
from gato_schemas.errors import FormatError
from gato_schemas.tfrecord import MAX_RECORD_BYTES, TFRecordError, frame, masked_crc32c, read_records, refuse_foreign

RECORDS = [b"first", b"", bytes(range(30)), b"last"]


def write(path, records=RECORDS):
    path.write_bytes(b"".join(header + data + footer for data in records for header, footer in [frame(data)]))
    return path


def offsets(records=RECORDS):
    """Where every record begins, and the end of the file."""
    ends = [0]
    for data in records:
        ends.append(ends[-1] + 12 + len(data) + 4)
    return ends


def test_the_checksum_is_crc32c_rotated_and_shifted():
    assert google_crc32c.value(b"123456789") == 0xE3069283  # RFC 3720's polynomial, its usual check value
    rotated = 0xE3069283 >> 15 | (0xE3069283 << 17 & 0xFFFFFFFF)
    assert masked_crc32c(b"123456789") == (rotated + 0xA282EAD8) % 2**32
    for data in (bytearray(b"123456789"), memoryview(b"123456789")):
        assert masked_crc32c(data) == masked_crc32c(b"123456789")
    assert masked_crc32c(b"") == masked_crc32c(bytearray()) == 0xA282EAD8


def test_records_with_their_offsets(tmp_path):
    found = list(read_records(write(tmp_path / "shard")))
    assert [record.data for record in found] == RECORDS
    assert [record.ordinal for record in found] == [0, 1, 2, 3]
    assert [record.offset for record in found] == [start + 12 for start in offsets()[:-1]]
    assert {record.error for record in found} == {None}


def test_a_file_without_a_byte_has_no_records(tmp_path):
    assert list(read_records(write(tmp_path / "shard", []))) == []


@pytest.mark.parametrize(
    ("first", "count", "wanted"),
    [(0, None, RECORDS), (2, None, RECORDS[2:]), (1, 2, RECORDS[1:3]), (3, 0, []), (4, None, []), (9, None, [])],
)
def test_some_of_the_records(tmp_path, first, count, wanted):
    assert [record.data for record in read_records(write(tmp_path / "shard"), first, count)] == wanted


def test_more_records_than_there_are(tmp_path):
    path = write(tmp_path / "shard")
    with pytest.raises(TFRecordError, match="shard ends after 4 of 5 records") as error:
        list(read_records(path, 1, 4))
    assert error.value.ordinal == 4


@pytest.mark.parametrize("length", range(offsets()[-1]))
def test_truncation_at_every_length(tmp_path, length):
    path = write(tmp_path / "shard")
    path.write_bytes(path.read_bytes()[:length])
    whole = sum(end <= length for end in offsets()[1:])
    found = []
    if length in offsets():
        found += read_records(path)
    else:
        with pytest.raises(TFRecordError, match=f"truncated i.* record {whole} ") as error:
            found.extend(read_records(path))
        assert error.value.ordinal == whole
    assert [record.data for record in found] == RECORDS[:whole]


@pytest.mark.parametrize("byte", range(offsets()[-1]))
def test_a_flipped_bit_in_every_byte(tmp_path, byte):
    path = write(tmp_path / "shard")
    damaged = bytearray(path.read_bytes())
    damaged[byte] ^= 1 << byte % 8
    path.write_bytes(damaged)
    number, (start, _) = next((n, pair) for n, pair in enumerate(pairwise(offsets())) if byte < pair[1])
    found = []
    if byte < start + 12:  # the length or its checksum: what follows cannot be found
        with pytest.raises(TFRecordError, match="not a TFRecord file" if number == 0 else "damaged length") as error:
            found.extend(read_records(path))
        assert error.value.ordinal == number
        assert [record.data for record in found] == RECORDS[:number]
        return
    found += read_records(path)
    assert [record.error is None for record in found] == [n != number for n in range(len(RECORDS))]
    assert [record.data for record in found if record.error is None] == RECORDS[:number] + RECORDS[number + 1 :]
    assert found[number].error == f"record {number} of shard (byte {start + 12}) does not match its checksum"


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_read_or_refused(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "arbitrary"
    path.write_bytes(data)
    try:
        assert all(record.error for record in read_records(path))
    except TFRecordError as error:
        assert "arbitrary" in str(error)  # noqa: PT017 - either outcome is right, any other exception is not


@pytest.mark.parametrize("length", [MAX_RECORD_BYTES + 1, 2**63, 2**64 - 1])
def test_a_huge_length_is_damage_and_allocates_nothing(tmp_path, length):
    packed = struct.pack("<Q", length)
    path = tmp_path / "shard"
    path.write_bytes(packed + struct.pack("<I", masked_crc32c(packed)) + b"data")
    with pytest.raises(TFRecordError, match="not a TFRecord file"):
        list(read_records(path))


def test_a_length_beyond_the_file_allocates_nothing(tmp_path):
    packed = struct.pack("<Q", MAX_RECORD_BYTES)
    path = tmp_path / "shard"
    path.write_bytes(packed + struct.pack("<I", masked_crc32c(packed)) + b"data")
    with pytest.raises(TFRecordError, match=r"truncated inside record 0 \(byte 0\)"):
        list(read_records(path))


def test_a_file_that_becomes_shorter_while_it_is_read(tmp_path):
    path = write(tmp_path / "shard", [bytes(300_000), bytes(300_000)])
    records = read_records(path)
    next(records)
    with path.open("r+b") as file:
        file.truncate(500_000)
    with pytest.raises(TFRecordError, match="became shorter while record 1 was read"):
        next(records)


def test_compressed_files_and_pointers_are_named(tmp_path):
    path = tmp_path / "shard"
    path.write_bytes(gzip.compress(b"".join(RECORDS)))
    with pytest.raises(TFRecordError, match="gzip-compressed"):
        list(read_records(path))
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n")
    with pytest.raises(TFRecordError, match="Git-LFS pointer"):
        list(read_records(path))
    path.write_text("any other file\n")
    with pytest.raises(FormatError, match=r"shard is not a TFRecord file \(byte 0\)"):
        list(read_records(path))


def test_a_first_record_whose_length_looks_like_gzip(tmp_path):
    data = bytes(0x8B1F)
    path = write(tmp_path / "shard", [data, b"next"])
    head = path.read_bytes()[:64]
    assert head.startswith(b"\x1f\x8b")
    refuse_foreign(head, path)
    assert [record.data for record in read_records(path)] == [data, b"next"]


def test_memory_is_that_of_one_record(tmp_path, monkeypatch):
    path = write(tmp_path / "shard", [bytes(1000)] * 50)
    sizes = []
    unpatched = tfrecord.masked_crc32c
    monkeypatch.setattr(tfrecord, "masked_crc32c", lambda data: sizes.append(len(data)) or unpatched(data))
    assert sum(1 for _ in read_records(path, 40)) == 10
    assert sizes.count(1000) == 10  # what is skipped is not read
