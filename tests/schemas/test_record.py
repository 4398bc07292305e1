import dataclasses
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gato_data.distinct_patches import distinct_patches
from gato_schemas import record as record_module
from gato_schemas import wire
from gato_schemas.columns import ARRAY_COLUMNS, SEQUENCE_COLUMNS, is_plain
from gato_schemas.compression import PatchEncoding, deflate_block, inflate_block, store
from gato_schemas.errors import FormatError
from gato_schemas.patches import BLOCK_PATCHES
from gato_schemas.record import EncodedRecord, Record, decode_record, distinct_of, encode_record
from gato_schemas.sequence import PATCH_BYTES, POSITION_ACTION
from tests.schemas.examples import example_class, serialize
from tests.schemas.sequences import SEQUENCES, assert_equal, document, episode

ENCODINGS = st.builds(PatchEncoding, st.sampled_from(["zlib", "raw"]), st.integers(1, 12))
RECORDS = st.builds(
    Record,
    episode_id=st.text(max_size=9),
    source_episode_id=st.text(max_size=9),
    task=st.text(max_size=9),
    agent=st.text(max_size=9),
    chunk=st.integers(0, 9),
    num_chunks=st.integers(1, 9),
    episode_return=st.floats(width=32),
    is_terminal=st.booleans(),
    sequence=SEQUENCES,
)
SMALL = Record(
    episode_id="reach/0/1", task="reach", agent="expert", sequence=episode(steps=3, grids=[(1, 2)], tensors=1)
)


def encode(record: Record, encoding: PatchEncoding) -> EncodedRecord:
    return encode_record(record, distinct_patches(record.sequence.patches), encoding)


def assert_same(found: Record, wanted: Record) -> None:
    for field in dataclasses.fields(Record):
        mine, theirs = getattr(found, field.name), getattr(wanted, field.name)
        if field.name == "sequence":
            assert_equal(mine, theirs)
        else:
            assert mine == theirs or (mine != mine and theirs != theirs), field.name


@settings(max_examples=50)
@given(RECORDS, ENCODINGS)
def test_round_trip(record, encoding):
    if not record.sequence.num_tokens:  # nothing says what the dtype of no tokens is
        record = dataclasses.replace(record, sequence=document([]))
    assert_same(decode_record(encode(record, encoding).data, encoding.name), record)


@settings(max_examples=50)
@given(RECORDS, ENCODINGS)
def test_the_bytes_are_those_of_protocol_buffers(record, encoding):
    data = encode(record, encoding).data
    parsed = example_class().FromString(data)
    assert parsed.SerializeToString(deterministic=True) == data
    values = {key: getattr(f, f.WhichOneof("kind")).value for key, f in parsed.features.feature.items()}
    assert values["task"] == [record.task.encode()]
    assert values["num_tokens"] == [record.sequence.num_tokens]
    assert zlib.decompress(*values["tokens"]) == record.sequence.tokens.tobytes()
    assert zlib.decompress(*values["image_grid"]) == record.sequence.image_grid.tobytes()
    assert sorted(values) == list(wire.decode_example(data))


@settings(max_examples=50)
@given(RECORDS, ENCODINGS)
def test_offsets_point_at_the_payloads(record, encoding):
    encoded, patches = encode(record, encoding), distinct_patches(record.sequence.patches)
    assert list(encoded.columns) == ["tokens", *ARRAY_COLUMNS]
    wanted = {name: getattr(record.sequence, name).tobytes() for name in ("tokens", *SEQUENCE_COLUMNS)}
    wanted |= {"patch_hash": patches.hashes.tobytes(), "patch_index": patches.index.astype("<u2").tobytes()}
    for name, (offset, length) in encoded.columns.items():
        payload = encoded.data[offset : offset + length]
        assert (payload if is_plain(name, encoding.name) else zlib.decompress(payload)) == wanted[name], name
    blocks = [encoded.data[offset : offset + length] for offset, length in encoded.blocks]
    if encoding.name == "zlib":
        blocks = [inflate_block(block, BLOCK_PATCHES * PATCH_BYTES) for block in blocks]
    assert b"".join(blocks)[: patches.patches.nbytes] == patches.patches.tobytes()
    assert encoded.num_distinct == len(patches.patches)


@settings(max_examples=50)
@given(RECORDS, ENCODINGS)
def test_distinct_patches_come_back(record, encoding):
    found = distinct_of(wire.decode_example(encode(record, encoding).data), encoding.name)
    wanted = distinct_patches(record.sequence.patches)
    for name in ("patches", "index", "hashes"):
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name))
    np.testing.assert_array_equal(found.patches[found.index], record.sequence.patches)


@pytest.mark.parametrize("dtype", ["u2", "i4"])
@pytest.mark.parametrize(
    ("encoding", "segments", "is_stored"),
    [
        ("zlib", [1000], True),
        ("zlib", [0], True),
        ("zlib", [1000, (2, 2)], False),
        ("raw", [1000, (2, 2)], True),
        ("raw", [40_000], False),
        ("zlib", [40_000], False),
    ],
)
def test_tokens_are_stored_where_no_patch_is_inflated(dtype, encoding, segments, is_stored):
    sequence = document(segments, dtype)
    encoded = encode(dataclasses.replace(SMALL, sequence=sequence), PatchEncoding(encoding))
    offset, length = encoded.columns["tokens"]
    raw, payload = sequence.tokens.tobytes(), encoded.data[offset : offset + length]
    assert (payload[:3] == b"\x78\x01\x01" and payload[7:-4] == raw) == is_stored
    found = decode_record(encoded.data, encoding).sequence.tokens
    assert np.shares_memory(found, np.frombuffer(encoded.data, np.uint8)) == (is_stored and len(raw) > 0)
    assert found.tobytes() == raw


def test_a_background_is_kept_once():
    sequence = episode(steps=100, grids=[(4, 4)], tensors=0)
    background = np.broadcast_to(sequence.patches[0], sequence.patches.shape)
    record = dataclasses.replace(SMALL, sequence=dataclasses.replace(sequence, patches=background))
    raw = encode(record, PatchEncoding("raw"))
    assert raw.num_distinct == 1
    assert raw.blocks[0][1] == PATCH_BYTES
    assert len(encode(record, PatchEncoding()).data) < len(raw.data) < 15_000 < background.nbytes / 80
    assert_equal(decode_record(raw.data, "raw").sequence, record.sequence)


@pytest.mark.parametrize("encoding", ["zlib", "raw"])
def test_as_many_distinct_patches_as_numbers(encoding):
    number = np.arange(65_537, dtype="<u4")
    patches = np.zeros((65_537, PATCH_BYTES), np.uint8)
    patches[:, :4] = number.view(np.uint8).reshape(-1, 4)
    whole = document([(1, 65_537)])
    most = document([(1, 65_536)])
    most = dataclasses.replace(most, patches=patches[:-1].reshape(-1, 16, 16, 3))
    data = encode(dataclasses.replace(SMALL, sequence=most), PatchEncoding(encoding, 1)).data
    found = decode_record(data, encoding).sequence
    np.testing.assert_array_equal(found.patches, most.patches)
    whole = dataclasses.replace(whole, patches=patches.reshape(-1, 16, 16, 3))
    with pytest.raises(FormatError, match="65,537 distinct patches in one timestep or image, a record holds at most"):
        encode(dataclasses.replace(SMALL, sequence=whole), PatchEncoding(encoding, 1))


def test_more_tokens_than_a_record_holds():
    with pytest.raises(FormatError, match="1,048,577 tokens in one timestep or image, a record holds at most"):
        encode(dataclasses.replace(SMALL, sequence=document([2**20 + 1])), PatchEncoding())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"index": np.arange(5)}, "column patch_index has 5 values for 6 patches"),
        ({"index": np.arange(1, 7)}, "column patch_index names patch 6 of "),
        ({"hashes": np.zeros(9, np.uint64)}, "column patch_hash has 9 values for "),
    ],
)
def test_distinct_patches_that_are_not_those_of_the_sequence(change, message):
    patches = dataclasses.replace(distinct_patches(SMALL.sequence.patches), **change)
    with pytest.raises(FormatError, match=message):
        encode_record(SMALL, patches, PatchEncoding())


@pytest.mark.parametrize(("patches", "blocks"), [(0, 0), (255, 1), (256, 1), (257, 2), (512, 2), (513, 3)])
def test_blocks_of_256_patches_and_zeros(patches, blocks):
    sequence = document([(1, patches)] if patches else [])
    pixels = np.random.default_rng(patches).integers(1, 256, sequence.patches.shape, np.uint8)
    sequence = dataclasses.replace(sequence, patches=pixels)
    record = dataclasses.replace(SMALL, sequence=sequence)
    encoded = encode(record, PatchEncoding())
    assert len(encoded.blocks) == blocks
    raw = b"".join(inflate_block(encoded.data[at : at + length], 256 * 768) for at, length in encoded.blocks)
    assert not any(raw[patches * 768 :])
    assert_equal(decode_record(encoded.data, "zlib").sequence, sequence)


def test_the_same_record_gives_the_same_bytes():
    copied = dataclasses.replace(
        SMALL, sequence=dataclasses.replace(SMALL.sequence, patches=np.asfortranarray(SMALL.sequence.patches))
    )
    for encoding in (PatchEncoding(), PatchEncoding("raw")):
        assert encode(copied, encoding).data == encode(SMALL, encoding).data


def test_a_record_without_its_pixels():
    data = encode(SMALL, PatchEncoding()).data
    found = decode_record(data, "zlib", with_patches=False).sequence
    assert found.patches.shape == SMALL.sequence.patches.shape
    assert found.patches.strides == (0, 0, 0, 0)
    assert_equal(dataclasses.replace(found, patches=SMALL.sequence.patches), SMALL.sequence)


def test_what_is_not_compressed_is_a_view_of_the_bytes():
    data = encode(SMALL, PatchEncoding("raw")).data
    found = decode_record(data, "raw").sequence
    assert np.shares_memory(found.tokens, np.frombuffer(data, np.uint8))
    for name in ("tokens", *SEQUENCE_COLUMNS):
        assert not getattr(found, name).flags.writeable
    table = distinct_of(wire.decode_example(data), "raw")
    for column in (table.patches, table.index, table.hashes):
        assert np.shares_memory(column, np.frombuffer(data, np.uint8))
        assert not column.flags.writeable


def test_a_return_beyond_float32_is_stored_as_infinite():
    record = dataclasses.replace(SMALL, episode_return=1e300)
    assert decode_record(encode(record, PatchEncoding()).data, "zlib").episode_return == float("inf")


def test_columns_that_do_not_agree_are_not_written():
    sequence = dataclasses.replace(SMALL.sequence, loss_mask=SMALL.sequence.loss_mask[1:])
    with pytest.raises(FormatError, match="loss_mask has 14 values for 15 tokens"):
        encode(dataclasses.replace(SMALL, sequence=sequence), PatchEncoding())


DATA = {name: encode(SMALL, PatchEncoding(name)).data for name in ("zlib", "raw")}


def contents(name: str) -> dict[str, object]:
    """The features of the small record, to be changed and written again."""
    values = {key: wire.read_feature(feature) for key, feature in wire.decode_example(DATA[name]).items()}
    return {
        key: [bytes(v) for v in value] if isinstance(value, list) else value.tolist() for key, value in values.items()
    }


DISTINCT = len(distinct_patches(SMALL.sequence.patches).patches)
BOMB = deflate_block(bytes(2**24), 12)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("zlib", {"tokens": None}, "feature tokens is missing"),
        ("zlib", {"patch_index": None}, "column patch_index is missing: .* ingest again from its source"),
        ("zlib", {"task": [1]}, "feature task holds int64 values, bytes values were wanted"),
        ("zlib", {"task": [b"\xff"]}, "task is not UTF-8"),
        ("zlib", {"task": [b"a", b"b"]}, "column task has 2 values"),
        ("zlib", {"num_tokens": [16]}, "column loss_mask: a stream of .* 15 bytes, 16 were wanted"),
        ("zlib", {"num_tokens": [-15]}, "num_tokens says -15, at most 1048576 can be"),
        ("zlib", {"num_tokens": [2**20 + 1]}, "num_tokens says 1048577, at most 1048576 can be"),
        ("zlib", {"num_tokens": [15, 15]}, "num_tokens has no value or several"),
        ("zlib", {"num_timesteps": [4]}, "column reward: a stream of .* 12 bytes, 16 were wanted"),
        ("zlib", {"num_images": [4]}, "column image_grid: a stream of .* 60 bytes, 80 were wanted"),
        ("zlib", {"num_patches": [2**62]}, "num_patches says 4611686018427387904, at most 15 can be"),
        ("zlib", {"num_patches": [-1]}, "num_patches says -1, at most 15 can be"),
        ("zlib", {"num_distinct_patches": [7]}, "num_distinct_patches says 7, at most 6 can be"),
        ("zlib", {"num_distinct_patches": [1]}, f"column patch_index names patch {DISTINCT - 1} of 1"),
        ("zlib", {"num_distinct_patches": [0]}, "column patches has 1 blocks for 0 distinct patches"),
        ("zlib", {"num_distinct_patches": [0], "patches": []}, "feature patches .*|column patch_index names patch"),
        ("zlib", {"position": [b"abc"]}, "column position: a stream of 3 bytes does not inflate to 30"),
        ("zlib", {"image_grid": [store(bytes(16))]}, "column image_grid: a stream .* 16 bytes, 60 were wanted"),
        ("zlib", {"modality": [store(bytes(15))]}, "6 patches are stored for 0 patch tokens"),
        ("zlib", {"tokens": [store(bytes(31))]}, "column tokens: a stream .* 31 bytes, 30 or 60 were wanted"),
        ("zlib", {"tokens": [store(bytes(30))[:-1] + b"x"]}, "column tokens: a stream of 41 bytes does not inflate"),
        ("zlib", {"modality": [BOMB]}, "column modality: a stream of .* does not inflate to 15"),
        ("zlib", {"patch_index": [BOMB]}, "column patch_index: a stream of .* does not inflate to 12"),
        ("zlib", {"patches": [b"abc"]}, "column patches: a stream of 3 bytes does not inflate"),
        ("zlib", {"patches": [BOMB]}, "column patches: a stream of .* does not inflate to 196608"),
        ("zlib", {"patches": [b"abc"] * 2}, "column patches has 2 blocks for "),
        ("zlib", {"patches": [deflate_block(bytes(768), 6)]}, "column patches: a stream of 14 bytes does not inflate"),
        ("raw", {"patches": [b"abc"]}, "column patches has 3 bytes for "),
        ("raw", {"patches": [bytes(2304)] * 2}, "column patches has 4608 bytes for "),
        ("raw", {"patch_index": [bytes(10)]}, "column patch_index has 10 bytes, 12 were wanted"),
        ("raw", {"patch_index": [bytes(11) + b"\xff"]}, "column patch_index names patch 65280 of "),
    ],
)
def test_damage_is_named(name, change, message):
    content = {key: value for key, value in {**contents(name), **change}.items() if value is not None}
    data = serialize(content)
    with pytest.raises(FormatError, match=message):
        decode_record(data, name)


@pytest.mark.parametrize(
    ("name", "value"), [("patches", None), ("patch_index", [b"", b""]), ("patch_hash", None), ("patch_hash", [7])]
)
def test_what_holds_the_patches_is_missed_also_where_they_are_not_read(name, value):
    content = {key: found for key, found in {**contents("zlib"), name: value}.items() if found is not None}
    with pytest.raises(FormatError, match=name):
        decode_record(serialize(content), "zlib", with_patches=False)


def test_hashes_are_read_where_they_are_wanted():
    data = serialize({**contents("zlib"), "patch_hash": [b"abc"]})
    assert_same(decode_record(data, "zlib"), SMALL)
    with pytest.raises(FormatError, match="column patch_hash has 3 bytes"):
        distinct_of(wire.decode_example(data), "zlib")


@settings(max_examples=200)
@given(st.sampled_from(["zlib", "raw"]), st.data())
def test_any_damage_is_refused_or_harmless(name, data):
    damaged = bytearray(DATA[name])
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    damaged = damaged[: data.draw(st.just(len(damaged)) | st.integers(0, len(damaged)))]
    for with_patches in (True, False):
        try:
            found = decode_record(bytes(damaged), name, with_patches=with_patches)
        except FormatError as error:
            assert str(error)  # noqa: PT017 - either outcome is right, any other exception is not
        else:
            record_module.check(found.sequence)


@pytest.mark.parametrize("name", ["zlib", "raw"])
def test_truncation_at_every_length(name):
    for length in [*range(0, 900), *range(900, len(DATA[name]), 101)]:
        with pytest.raises(FormatError):
            decode_record(DATA[name][:length], name)


@pytest.mark.parametrize("name", ["modality", "patch_index", "patches", "image_grid"])
def test_a_small_record_cannot_claim_much_memory(name):
    """Streams that inflate a thousandfold are refused before more is inflated than the record may hold."""
    content = {**contents("zlib"), name: [BOMB] * (1 if name != "patches" else DISTINCT), "num_images": [6]}
    content = {**content, "num_tokens": [2**20], "num_patches": [2**20], "num_distinct_patches": [2**16]}
    data = serialize(content)
    tracemalloc.start()
    with pytest.raises(FormatError, match="column"):
        decode_record(data, "zlib")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**24


@pytest.mark.parametrize(("name", "copies"), [("zlib", 0.2), ("raw", 1.2)])
def test_writing_takes_the_memory_of_what_is_written(name, copies):
    sequence = episode(steps=300, grids=[(4, 5)], tensors=0)
    sequence = dataclasses.replace(sequence, patches=np.zeros_like(sequence.patches))
    record = dataclasses.replace(SMALL, sequence=sequence)
    tracemalloc.start()
    data = encode(record, PatchEncoding(name)).data
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < copies * sequence.patches.nbytes
    tracemalloc.start()
    decode_record(data, name)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.2 * sequence.patches.nbytes


def test_the_values_of_the_paper_codes_survive():
    found = decode_record(DATA["zlib"], "zlib").sequence
    assert int(found.position.max()) == POSITION_ACTION
    assert found.tokens.dtype == np.uint16
