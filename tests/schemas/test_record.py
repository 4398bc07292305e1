import dataclasses
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gato_schemas import record as record_module
from gato_schemas import wire
from gato_schemas.compression import PatchEncoding, deflate_block, inflate_block
from gato_schemas.errors import FormatError
from gato_schemas.patches import BLOCK_PATCHES
from gato_schemas.record import ARRAY_COLUMNS, Record, decode_record, encode_record
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
    assert_same(decode_record(encode_record(record, encoding).data, encoding.name), record)


@settings(max_examples=50)
@given(RECORDS, ENCODINGS)
def test_the_bytes_are_those_of_protocol_buffers(record, encoding):
    data = encode_record(record, encoding).data
    parsed = example_class().FromString(data)
    assert parsed.SerializeToString(deterministic=True) == data
    values = {key: getattr(f, f.WhichOneof("kind")).value for key, f in parsed.features.feature.items()}
    assert values["task"] == [record.task.encode()]
    assert values["num_tokens"] == [record.sequence.num_tokens]
    assert values["tokens"] == [record.sequence.tokens.tobytes()]
    assert values["image_grid"] == [record.sequence.image_grid.tobytes()]
    assert sorted(values) == list(wire.decode_example(data))


@settings(max_examples=50)
@given(RECORDS, ENCODINGS)
def test_offsets_point_at_the_payloads(record, encoding):
    encoded = encode_record(record, encoding)
    assert set(encoded.columns) == {"tokens", *ARRAY_COLUMNS}
    for name, offset in encoded.columns.items():
        payload = getattr(record.sequence, name).tobytes()
        assert encoded.data[offset : offset + len(payload)] == payload
    blocks = [encoded.data[offset : offset + length] for offset, length in encoded.blocks]
    if encoding.name == "zlib":
        blocks = [inflate_block(block, BLOCK_PATCHES * PATCH_BYTES) for block in blocks]
    assert b"".join(blocks)[: record.sequence.patches.nbytes] == record.sequence.patches.tobytes()


@pytest.mark.parametrize(("patches", "blocks"), [(0, 0), (255, 1), (256, 1), (257, 2), (512, 2), (513, 3)])
def test_blocks_of_256_patches_and_zeros(patches, blocks):
    sequence = document([(1, patches)] if patches else [])
    record = dataclasses.replace(SMALL, sequence=sequence)
    encoded = encode_record(record, PatchEncoding())
    assert len(encoded.blocks) == blocks
    raw = b"".join(inflate_block(encoded.data[at : at + length], 256 * 768) for at, length in encoded.blocks)
    assert not any(raw[patches * 768 :])
    assert_equal(decode_record(encoded.data, "zlib").sequence, sequence)


def test_the_same_record_gives_the_same_bytes():
    copied = dataclasses.replace(
        SMALL, sequence=dataclasses.replace(SMALL.sequence, patches=np.asfortranarray(SMALL.sequence.patches))
    )
    for encoding in (PatchEncoding(), PatchEncoding("raw")):
        assert encode_record(copied, encoding).data == encode_record(SMALL, encoding).data


def test_a_record_without_its_pixels():
    data = encode_record(SMALL, PatchEncoding()).data
    found = decode_record(data, "zlib", with_patches=False).sequence
    assert found.patches.shape == SMALL.sequence.patches.shape
    assert found.patches.strides == (0, 0, 0, 0)
    assert_equal(dataclasses.replace(found, patches=SMALL.sequence.patches), SMALL.sequence)


def test_arrays_are_views_of_the_bytes():
    data = encode_record(SMALL, PatchEncoding("raw")).data
    found = decode_record(data, "raw").sequence
    octets = np.frombuffer(data, np.uint8)
    for name in ("tokens", "patches", *ARRAY_COLUMNS):
        column = getattr(found, name)
        assert np.shares_memory(column, octets)
        assert not column.flags.writeable


def test_a_return_beyond_float32_is_stored_as_infinite():
    record = dataclasses.replace(SMALL, episode_return=1e300)
    assert decode_record(encode_record(record, PatchEncoding()).data, "zlib").episode_return == float("inf")


def test_columns_that_do_not_agree_are_not_written():
    sequence = dataclasses.replace(SMALL.sequence, loss_mask=SMALL.sequence.loss_mask[1:])
    with pytest.raises(FormatError, match="loss_mask has 14 values for 15 tokens"):
        encode_record(dataclasses.replace(SMALL, sequence=sequence), PatchEncoding())


DATA = {name: encode_record(SMALL, PatchEncoding(name)).data for name in ("zlib", "raw")}


def contents(name: str) -> dict[str, object]:
    """The features of the small record, to be changed and written again."""
    values = {key: wire.read_feature(feature) for key, feature in wire.decode_example(DATA[name]).items()}
    return {
        key: [bytes(v) for v in value] if isinstance(value, list) else value.tolist() for key, value in values.items()
    }


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("zlib", {"tokens": None}, "feature tokens is missing"),
        ("zlib", {"task": [1]}, "feature task holds int64 values, bytes values were wanted"),
        ("zlib", {"task": [b"\xff"]}, "task is not UTF-8"),
        ("zlib", {"task": [b"a", b"b"]}, "column task has 2 values"),
        ("zlib", {"num_tokens": [16]}, "column tokens has 30 bytes for 16 tokens"),
        ("zlib", {"num_tokens": [-15]}, "column tokens has 30 bytes for -15 tokens"),
        ("zlib", {"num_tokens": [15, 15]}, "num_tokens has no value or several"),
        ("zlib", {"num_timesteps": [4]}, "num_timesteps says 4, the columns hold 3"),
        ("zlib", {"num_images": [4]}, "num_images says 4, the columns hold 3"),
        ("zlib", {"num_patches": [2**62]}, "num_patches says 4611686018427387904, the columns hold 6"),
        ("zlib", {"num_patches": [-1]}, "num_patches says -1, the columns hold 6"),
        ("zlib", {"position": [b"abc"]}, "column position has 3 bytes, no whole number of rows"),
        ("zlib", {"image_grid": [bytes(16)]}, "column image_grid has 16 bytes, no whole number of rows"),
        ("zlib", {"modality": [bytes(15)]}, "6 patches are stored for 0 patch tokens"),
        ("zlib", {"patches": [b"abc"]}, "a patch block does not inflate"),
        ("zlib", {"patches": [b"abc"] * 2}, "column patches has 2 blocks for 6 patches"),
        ("zlib", {"patches": [deflate_block(bytes(768), 6)]}, "a patch block inflates to 768 bytes, 196608 were"),
        ("raw", {"patches": [b"abc"]}, "column patches has 3 bytes for 6 patches"),
        ("raw", {"patches": [bytes(2304)] * 2}, "column patches has 4608 bytes for 6 patches"),
    ],
)
def test_damage_is_named(name, change, message):
    content = {key: value for key, value in {**contents(name), **change}.items() if value is not None}
    with pytest.raises(FormatError, match=message):
        decode_record(serialize(content), name)


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


def test_a_small_record_cannot_claim_much_memory():
    """Blocks that inflate a thousandfold are refused before the first of them is inflated."""
    block = deflate_block(bytes(BLOCK_PATCHES * PATCH_BYTES), 12)
    content = {**contents("zlib"), "patches": [block] * 4000, "num_patches": [4000 * BLOCK_PATCHES]}
    data = serialize(content)
    tracemalloc.start()
    with pytest.raises(FormatError, match="num_patches says 1024000, the columns hold 6"):
        decode_record(data, "zlib")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * len(data)


@pytest.mark.parametrize(("name", "copies"), [("zlib", 0.2), ("raw", 1.2)])
def test_writing_takes_the_memory_of_what_is_written(name, copies):
    sequence = episode(steps=300, grids=[(4, 5)], tensors=0)
    sequence = dataclasses.replace(sequence, patches=np.zeros_like(sequence.patches))
    record = dataclasses.replace(SMALL, sequence=sequence)
    tracemalloc.start()
    data = encode_record(record, PatchEncoding(name)).data
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < copies * sequence.patches.nbytes
    tracemalloc.start()
    decode_record(data, name)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < (1.2 if name == "zlib" else 0.2) * sequence.patches.nbytes


def test_the_values_of_the_paper_codes_survive():
    found = decode_record(DATA["zlib"], "zlib").sequence
    assert int(found.position.max()) == POSITION_ACTION
    assert found.tokens.dtype == np.uint16
