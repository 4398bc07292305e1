import hashlib
import io
import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gato_data.distinct_patches import distinct_patches
from gato_data.errors import EpisodeError
from gato_data.shards import chunks
from gato_data.shards.episode_hash import episode_hash
from gato_data.shards.writer import ShardWriter
from gato_schemas import index_rows
from gato_schemas.columns import is_plain
from gato_schemas.compression import PatchEncoding, inflate_block
from gato_schemas.index import IndexHeader, Part, decode_index, encode_index
from gato_schemas.index_rows import COLUMNS, count_rows
from gato_schemas.patches import BLOCK_PATCHES
from gato_schemas.record import Record, decode_record
from gato_schemas.sequence import PATCH_BYTES, Modality
from gato_schemas.tfrecord import masked_crc32c, read_records
from tests.schemas.sequences import SEQUENCES, document, episode

TASKS, AGENTS = ["push", "reach"], ["", "d4pg"]
ENCODINGS = st.sampled_from([PatchEncoding(), PatchEncoding("raw")])


def records_of(sequences):
    return [
        Record(
            episode_id=f"reach/00000/{number:06d}",
            source_episode_id=f"source {number}",
            task=TASKS[number % 2],
            agent=AGENTS[number // 2 % 2],
            episode_return=number / 2,
            is_terminal=bool(number % 2),
            sequence=sequence,
        )
        for number, sequence in enumerate(sequences)
    ]


def write(records, encoding=PatchEncoding()):  # noqa: B008 - frozen
    file = io.BytesIO()
    writer = ShardWriter(file, encoding, TASKS, AGENTS)
    for record in records:
        writer.add(record)
    assert writer.size == len(file.getvalue())
    return file.getvalue(), writer


@pytest.fixture
def short_chunks(monkeypatch):
    monkeypatch.setattr(chunks, "PATCH_CHUNK_TOKENS", 20)
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 18)


@settings(max_examples=40)
@given(st.lists(SEQUENCES.filter(lambda s: s.num_tokens), max_size=5), ENCODINGS)
def test_the_index_says_where_everything_lies(tmp_path_factory, sequences, encoding):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "PATCH_CHUNK_TOKENS", 20)
        patch.setattr(chunks, "CHUNK_BYTES", 18)
        data, writer = write(records_of(sequences), encoding)
    path = tmp_path_factory.getbasetemp() / "shard"
    path.write_bytes(data)
    arrays, raw = writer.arrays(), list(read_records(path))
    assert len(raw) == len(arrays["offset"])
    for n, record in enumerate(raw):
        assert record.error is None
        assert (arrays["offset"][n], arrays["length"][n]) == (record.offset, len(record.data))
        assert arrays["crc"][n] == masked_crc32c(record.data)
        found = decode_record(record.data, encoding.name)
        assert (TASKS[arrays["task"][n]], AGENTS[arrays["agent"][n]]) == (found.task, found.agent)
        for name in ("chunk", "num_chunks", "episode_return", "is_terminal"):
            assert arrays[name][n] == getattr(found, name)
        sequence = found.sequence
        for name in ("num_tokens", "num_patches", "num_timesteps", "num_images"):
            assert arrays[name][n] == getattr(sequence, name)
        assert arrays["loss_tokens"][n] == sequence.loss_mask.sum()
        assert arrays["tokens_by_modality"][n].tolist() == [(sequence.modality == m).sum() for m in Modality]
        patches = distinct_patches(sequence.patches)
        assert arrays["num_distinct"][n] == len(patches.patches)
        stored = {"patch_hash": patches.hashes, "patch_index": patches.index.astype("<u2")}
        for name, at, size in zip(COLUMNS, arrays["columns"][n], arrays["column_bytes"][n], strict=True):
            payload = record.data[at : at + size]
            payload = payload if is_plain(name, encoding.name) else zlib.decompress(payload)
            assert payload == (stored[name] if name in stored else getattr(sequence, name)).tobytes()
        assert arrays["block_starts"][n + 1] >= arrays["block_starts"][n]
        spans = arrays["blocks"][int(arrays["block_starts"][n]) : int(arrays["block_starts"][n + 1])].tolist()
        blocks = [record.data[at : at + length] for at, length in spans]
        if encoding.name == "zlib":
            blocks = [inflate_block(block, BLOCK_PATCHES * PATCH_BYTES) for block in blocks]
        assert b"".join(blocks)[: patches.patches.nbytes] == patches.patches.tobytes()


@pytest.mark.usefixtures("short_chunks")
def test_chunks_of_an_episode_stand_next_to_each_other(tmp_path):
    sequences = [document([30]), episode(steps=5, grids=[(1, 2)], tensors=1), document([3])]
    data, writer = write(records_of(sequences))
    (tmp_path / "shard").write_bytes(data)
    found = [decode_record(raw.data, "zlib") for raw in read_records(tmp_path / "shard")]
    assert [(r.episode_id[-1], r.chunk, r.num_chunks) for r in found] == [
        ("0", 0, 4),
        ("0", 1, 4),
        ("0", 2, 4),
        ("0", 3, 4),
        ("1", 0, 2),
        ("1", 1, 2),
        ("2", 0, 1),
    ]
    assert {r.source_episode_id for r in found} == {"source 0", "source 1", "source 2"}
    assert [r.episode_return for r in found] == [0.0] * 4 + [0.5] * 2 + [1.0]
    np.testing.assert_array_equal(
        np.concatenate([r.sequence.patches for r in found]), np.concatenate([s.patches for s in sequences])
    )
    hashes = writer.arrays()["episode_hash"].tolist()
    assert hashes == [episode_hash(sequences[0])] * 4 + [episode_hash(sequences[1])] * 2 + [episode_hash(sequences[2])]


@pytest.mark.usefixtures("short_chunks")
def test_totals():
    _, writer = write(records_of([document([30]), episode(steps=5, grids=[(1, 2)], tensors=1), document([(1, 1), 3])]))
    totals = writer.totals()
    assert (writer.episodes, totals.episodes, totals.records) == (3, 3, 7)
    assert (totals.timesteps, totals.images, totals.patches) == (5, 6, 11)
    assert totals.distinct_patches == writer.arrays()["num_distinct"].sum() < 11
    assert totals.tokens == 30 + 5 * 5 + 4
    assert totals.loss_tokens == 30 + 5 + 3
    assert totals.tokens_by_modality == (33, 11, 5, 5, 5)
    arrays = writer.arrays()
    of_task = [count_rows(arrays, arrays["task"] == number) for number in range(2)]
    assert [c.tokens for c in of_task] == [34, 25]
    assert count_rows(arrays, slice(0, 0)).tokens_by_modality == (0,) * 5


def test_packing_rows_on_the_way_changes_nothing(monkeypatch):
    records = records_of([document([n, (1, 2)]) for n in range(1, 8)])
    data, writer = write(records)
    monkeypatch.setattr(index_rows, "_PACKED_ROWS", 3)
    again, packed = write(records)
    assert again == data
    assert packed.totals() == writer.totals()
    for name, array in writer.arrays().items():
        assert packed.arrays()[name].dtype == array.dtype
        np.testing.assert_array_equal(packed.arrays()[name], array)


def test_the_same_episodes_give_the_same_bytes():
    sequences = [document([3, (2, 2)], dtype="i4"), episode(steps=4, grids=[(1, 1)], tensors=3, dtype="i4")]
    shards, indexes = set(), set()
    for _ in range(2):
        data, writer = write(records_of(sequences))
        header = IndexHeader(
            shard="s",
            shard_size=writer.size,
            digest=writer.digest,
            split="train",
            part=Part("", "", 0),
            fingerprint="",
            token_dtype="int32",
            patch_encoding="zlib",
            tasks=TASKS,
            agents=AGENTS,
            totals=writer.totals(),
            statistics=[],
            dead_letters=[],
        )
        shards.add(data)
        indexes.add(encode_index(header, writer.arrays()))
    assert len(shards) == len(indexes) == 1
    assert decode_index(indexes.pop(), "s.index").header.totals.records == 2


def test_the_digest_is_that_of_the_file():
    for sequences in ([], [document([3, (2, 2)]), episode(steps=4, grids=[(1, 1)], tensors=3, dtype="i4")]):
        data, writer = write(records_of(sequences))
        assert writer.digest == hashlib.sha256(data).hexdigest()


def test_a_shard_of_no_episodes():
    data, writer = write([])
    assert data == b""
    assert writer.totals().records == 0
    assert writer.arrays()["columns"].shape == (0, len(COLUMNS))


@given(SEQUENCES, SEQUENCES)
def test_equal_hashes_are_equal_tokens_and_pixels(one, other):
    same = one.tokens.tobytes() == other.tokens.tobytes() and one.patches.tobytes() == other.patches.tobytes()
    assert (episode_hash(one) == episode_hash(other)) == same
    assert 0 <= episode_hash(one) < 2**64


def test_one_pixel_or_token_makes_another_episode():
    sequence = document([5, (10, 10)])
    hashes = {episode_hash(sequence)}
    for at in (0, 2**16, sequence.patches.size - 1):
        patches = sequence.patches.copy()
        patches.reshape(-1)[at] ^= 1
        hashes.add(episode_hash(replace(sequence, patches=patches)))
    tokens = sequence.tokens.copy()
    tokens[0] ^= 1
    hashes.add(episode_hash(replace(sequence, tokens=tokens)))
    assert len(hashes) == 5


def test_an_episode_that_no_record_holds_leaves_nothing_behind():
    patches = np.zeros((65_537, 768), np.uint8)
    patches[:, :4] = np.arange(65_537, dtype="<u4").view(np.uint8).reshape(-1, 4)
    large = replace(document([5, (1, 65_537)]), patches=patches.reshape(-1, 16, 16, 3))
    good = [document([3, (2, 2)]), document([5])]
    file = io.BytesIO()
    writer = ShardWriter(file, PatchEncoding(level=1), TASKS, AGENTS)
    first, bad, last = records_of([good[0], large, good[1]])
    writer.add(first)
    with pytest.raises(EpisodeError, match="65,537 distinct patches in one timestep or image") as error:
        writer.add(bad)
    assert error.value.stage == "write"
    writer.add(last)
    alone, _ = write([first, last], PatchEncoding(level=1))
    assert file.getvalue() == alone
    assert (writer.episodes, writer.totals().records) == (2, 2)
