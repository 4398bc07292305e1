import pickle
import tracemalloc
from itertools import pairwise

import google_crc32c
import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gato_schemas.errors import FormatError
from gato_schemas.index import DeadLetter, IndexHeader, Part, decode_index, encode_index, read_index
from gato_schemas.index_rows import COLUMNS, FREE, PER_RECORD, join_sections, sections
from gato_schemas.statistics import Counts, FieldStatistics

HEADER = IndexHeader(
    shard="reach-train.tfrecord-00000-of-00001",
    shard_size=5000,
    digest="0f" * 32,
    split="train",
    part=Part("raw-00000", "reach", 4000, 0, 3),
    fingerprint="0123456789abcdef",
    token_dtype="uint16",
    patch_encoding="zlib",
    tasks=["reach", "päck"],
    agents=["expert"],
    totals=Counts(episodes=2, records=3),
    statistics=[
        FieldStatistics(
            task="reach",
            field="pose",
            role="observation",
            modality="continuous",
            count=4,
            nan=0,
            low=[-0.1],
            high=[1e300],
            mean=[1 / 3],
            m2=[5e-324],
            saturated=[0],
            bins="ff",
        )
    ],
    dead_letters=[DeadLetter("raw-00000", "7", "tokenize", "pose is nan", 2)],
)
DISTINCT = (0, 5, 70)
NAMES = (*PER_RECORD, *FREE)


def row(number: int) -> dict[str, object]:
    return {
        "offset": 1000 * number + 12,
        "length": 1200 + number,
        "crc": 2**32 - 1 - number,
        "columns": [10 * number + k for k in range(len(COLUMNS))],
        "column_bytes": [700, 9, 9, 9, 8 * DISTINCT[number], 9, 9, 9, 9, 9] if number else [611, *[0] * 9],
        "num_tokens": (300, 400, 512)[number],
        "num_patches": 256 * number // 2,
        "num_distinct": DISTINCT[number],
        "num_timesteps": 2,
        "num_images": 2 if number else 0,
        "tokens_by_modality": np.array([1, 2, 3, 4, number]),
        "loss_tokens": 9,
        "task": number % 2,
        "agent": 0,
        "chunk": 0,
        "num_chunks": 1,
        "episode_return": float("nan") if number else 2.5,
        "is_terminal": bool(number % 2),
        "episode_hash": 2**64 - 1 - number,
    }


def arrays_of(first: int, last: int) -> dict[str, np.ndarray]:
    numbers = range(first, last)
    return sections(
        [row(n) for n in numbers],
        [np.array([[20, 100], [130, 60]][: (n > 0)], np.uint32).reshape(-1, 2) for n in numbers],
    )


ARRAYS = arrays_of(0, 3)
DATA = encode_index(HEADER, ARRAYS)


def sealed(data: bytes) -> bytes:
    """The bytes with their checksum mended, as somebody with bad intentions would."""
    return data[:-4] + google_crc32c.value(data[:-4]).to_bytes(4, "little")


def with_header(change) -> bytes:
    """The index with another header, correct in its checksum and padding."""
    start, length = 12, int.from_bytes(DATA[8:12], "little")
    header = msgspec.json.decode(DATA[start : start + length])
    change(header)
    text = msgspec.json.encode(header)
    head = DATA[:8] + len(text).to_bytes(4, "little") + text
    body = DATA[-(-(start + length) // 64) * 64 :]
    return sealed(head.ljust(-(-len(head) // 64) * 64, b"\0") + body)


def test_round_trip(tmp_path):
    (tmp_path / "x.index").write_bytes(DATA)
    found = read_index(tmp_path / "x.index")
    assert len(found) == 3
    assert msgspec.structs.replace(found.header, sections={}) == HEADER
    for name in NAMES:
        assert found.arrays[name].dtype == ARRAYS[name].dtype
        np.testing.assert_array_equal(found.arrays[name], ARRAYS[name])
        np.testing.assert_array_equal(getattr(found, name), ARRAYS[name])
    assert found.block_starts.tolist() == [0, 0, 1, 2]
    with pytest.raises(AttributeError, match="nothing"):
        _ = found.nothing


def test_the_same_sections_give_the_same_bytes():
    backward = {name: np.asfortranarray(ARRAYS[name]) for name in reversed(NAMES)}
    assert encode_index(HEADER, backward) == DATA


def test_sections_are_aligned_and_are_views():
    found = decode_index(DATA, "x.index")
    octets = np.frombuffer(DATA, np.uint8)
    for name in NAMES:
        array = found.arrays[name]
        assert not array.flags.writeable
        if array.nbytes:
            assert np.shares_memory(array, octets)
            assert (array.ctypes.data - octets.ctypes.data) % 64 == 0


def test_an_index_of_no_records():
    data = encode_index(HEADER, sections([], []))
    found = decode_index(data, "x.index")
    assert len(found) == 0
    assert found.columns.shape == (0, len(COLUMNS))
    assert found.block_starts.tolist() == [0]


def test_an_index_survives_pickling():
    found = pickle.loads(pickle.dumps(decode_index(DATA, "x.index")))
    np.testing.assert_array_equal(found.columns, ARRAYS["columns"])


@pytest.mark.parametrize("bounds", [[0, 3], [0, 0, 3], [0, 1, 2, 3], [0, 2, 3, 3]])
def test_parts_join_to_the_whole(bounds):
    joined = join_sections([arrays_of(first, last) for first, last in pairwise(bounds)])
    assert encode_index(HEADER, joined) == DATA


def test_damage_to_any_byte_is_noticed():
    for at in range(len(DATA)):
        damaged = bytearray(DATA)
        damaged[at] ^= 1 + at % 255
        with pytest.raises(FormatError, match=r"x\.index is (truncated or damaged|not a shard index)"):
            decode_index(bytes(damaged), "x.index")


def test_truncation_at_every_length():
    for length in range(len(DATA)):
        with pytest.raises(FormatError, match=r"x\.index is (truncated or damaged|not a shard index)"):
            decode_index(DATA[:length], "x.index")


@settings(max_examples=300)
@given(st.data())
def test_damage_under_a_mended_checksum_is_refused_or_harmless(data):
    damaged = bytearray(DATA)
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(8, len(damaged) - 5))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        damaged = damaged[: data.draw(st.integers(12, len(damaged)))]
    try:
        found = decode_index(sealed(bytes(damaged)), "x.index")
    except FormatError as error:
        assert "x.index" in str(error)  # noqa: PT017 - either outcome is right, any other exception is not
        return
    assert {len(found.arrays[name]) for name in PER_RECORD} == {len(found)}
    bounds = found.block_starts.astype(np.int64)
    assert (np.diff(bounds) >= 0).all()
    assert (len(bounds), bounds[0], bounds[-1]) == (len(found) + 1, 0, len(found.blocks))


def set_section(name, **values):
    return lambda header: header["sections"][name].update(values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda header: header.update(version=2),
            "has index version 2, this program reads version 3: ingest again",
        ),
        (lambda header: header.pop("version"), "has index version None"),
        (lambda header: header.update(version="1" * 99), "has a malformed header"),
        (lambda header: header.pop("shard"), "has a malformed header .*missing required field `shard`"),
        (lambda header: header.update(more=1), "has a malformed header .*unknown field `more`"),
        (lambda header: header["totals"].update(tokens_by_modality=[1]), "has a malformed header .*length >= 5"),
        (lambda header: header["statistics"][0].update(bins="-1"), "has a malformed header .*regex"),
        (lambda header: header["statistics"][0].update(bins="f" * 257), "has a malformed header .*regex"),
        (lambda header: header["sections"].pop("crc"), "section crc is missing or of another type"),
        (set_section("crc", dtype="<u8"), "section crc is missing or of another type"),
        (set_section("crc", shape=[]), "section crc is missing or of another type"),
        (set_section("crc", shape=[3, 1]), "section crc is missing or of another type"),
        (set_section("columns", shape=[3, 2**51]), "section columns is missing or of another type"),
        (set_section("crc", shape=[2**52]), "section crc runs past the end"),
        (set_section("crc", shape=[-1]), "has a malformed header"),
        (set_section("crc", offset=2**52), "section crc runs past the end"),
        (set_section("crc", offset=-64), "has a malformed header"),
        (set_section("crc", shape=[2]), "section crc has 2 rows for 3 records"),
        (set_section("blocks", shape=[1, 2]), "sections block_starts and blocks do not agree"),
        (set_section("block_starts", shape=[3]), "sections block_starts and blocks do not agree"),
    ],
)
def test_headers_that_lie(change, message):
    with pytest.raises(FormatError, match=message):
        decode_index(with_header(change), "x.index")


@pytest.mark.parametrize("starts", [[0, 2, 1, 2], [1, 1, 1, 2], [0, 2**64 - 1, 2**64 - 1, 2]])
def test_starts_that_do_not_ascend(starts):
    data = encode_index(HEADER, {**ARRAYS, "block_starts": np.array(starts, np.uint64)})
    with pytest.raises(FormatError, match="sections block_starts and blocks do not agree"):
        decode_index(data, "x.index")


def test_where_a_column_lies_and_how_long_it_is():
    found = decode_index(DATA, "x.index")
    assert found.payload(1, "tokens") == (1012 + 10, 700)
    assert found.payload(2, "patch_hash") == (2012 + 20 + COLUMNS.index("patch_hash"), 8 * 70)
    sizes = {name: found.column_size(2, name) for name in COLUMNS}
    assert sizes == {
        "tokens": 2 * 512,
        "image_grid": 20 * 2,
        "loss_mask": 512,
        "modality": 512,
        "patch_hash": 8 * 70,
        "patch_index": 2 * 256,
        "patch_position": 4 * 256,
        "position": 2 * 512,
        "reward": 4 * 2,
        "timestep_starts": 4 * 2,
    }
    assert found.tokens_stored.tolist() == [True, False, False]
    assert found.pixels(2, 3, 60) == (2012 + 20, 100)
    assert (found.totals().patches, found.totals().distinct_patches) == (128 + 256, 75)


@pytest.mark.parametrize(
    ("name", "record", "value"),
    [
        ("offset", 0, 11),
        ("offset", 2, 4000),
        ("length", 1, 130),
        ("columns", 1, 2**32 - 1),
        ("column_bytes", 1, 2**32 - 1),
        ("column_bytes", 2, 2000),
        ("num_tokens", 1, 2**20 + 1),
        ("num_tokens", 0, 301),
        ("num_patches", 1, 401),
        ("num_patches", 0, 1),
        ("num_distinct", 1, 129),
        ("num_distinct", 2, 257),
        ("num_distinct", 2, 69),
        ("num_distinct", 1, 0),
        ("num_images", 1, 129),
        ("num_timesteps", 1, 401),
        ("blocks", 1, 1300),
    ],
)
def test_rows_that_no_record_has(name, record, value):
    changed = ARRAYS[name].copy()
    changed[record] = value
    data = encode_index(HEADER, {**ARRAYS, name: changed})
    with pytest.raises(FormatError, match=r"x\.index points outside its shard of 5000 bytes"):
        decode_index(data, "x.index")


@pytest.mark.parametrize("text", [b"[" * 100_000, b'{"version":3,"shard":"\xff"}', b'{"version":' + b"9" * 5000, b""])
def test_headers_that_are_no_json(text):
    with pytest.raises(FormatError, match=r"x\.index has a malformed header"):
        decode_index(sealed(DATA[:8] + len(text).to_bytes(4, "little") + text + bytes(4)), "x.index")


def test_a_header_longer_than_the_file_allocates_nothing():
    damaged = sealed(DATA[:8] + b"\xff\xff\xff\xff" + DATA[12:])
    tracemalloc.start()
    with pytest.raises(FormatError, match=r"x\.index has a malformed header"):
        decode_index(damaged, "x.index")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * len(DATA)


def test_what_is_no_index():
    for data in (b"", b"GATOIDX", b"something else"):
        with pytest.raises(FormatError, match=r"x\.index is not a shard index of gato-data"):
            decode_index(data, "x.index")
