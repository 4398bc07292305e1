"""Damage of every kind: one clear error that names the file, never a crash or silently wrong data."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal
from unittest import mock

import google_crc32c
import numpy as np
import pytest
from numpy.typing import NDArray

from gato_data.errors import FormatError, GatoError, MixtureError
from gato_data.reading.reader import ReadSettings, open_mixture
from gato_data.shards.files import ShardFiles
from gato_data.shards.rebuild import rebuild_index
from gato_schemas.columns import encode_column
from gato_schemas.compression import STORED_HEAD
from gato_schemas.dataset import read_manifest
from gato_schemas.index import SUFFIX, encode_index, read_index
from gato_schemas.index_rows import COLUMNS
from tests.gato_data.reading.folders import episodes, write_dataset

Mix = Callable[..., Path]
SETTINGS = ReadSettings(context_length=64)
FRAMES = ReadSettings(context_length=64, verify="frames")


@pytest.fixture
def broken(library: Path, tmp_path: Path) -> Path:
    """A copy of a dataset, to be damaged."""
    return Path(shutil.copytree(library / "pong", tmp_path / "broken"))


def shards(folder: Path, split: str = "train") -> list[Path]:
    return [folder / shard.name for shard in read_manifest(folder).splits[split].shards]


def read_all(path: Path, settings: ReadSettings = SETTINGS) -> None:
    with open_mixture(path, settings=settings) as reader:
        for _ in reader.stream([range(n * 8, n * 8 + 8) for n in range(20)]):
            pass


def test_a_missing_shard(broken: Path, mix: Mix) -> None:
    path = mix(broken)
    shards(broken)[2].unlink()
    with pytest.raises(FormatError, match=r"shard .*-00002-of-00003 cannot be opened \(No such file or directory\)"):
        read_all(path)


def test_a_truncated_shard(broken: Path, mix: Mix) -> None:
    path, shard = mix(broken), shards(broken)[0]
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(FormatError, match=r"shard .*-00000-of-00003 has \d+ bytes, its manifest says \d+: was it"):
        read_all(path)


@pytest.mark.parametrize("kind", ["raw", "walker"])
def test_a_shard_truncated_while_it_is_read(library: Path, tmp_path: Path, mix: Mix, kind: str) -> None:
    """Also where it is mapped into memory: an error, not a dead process."""
    folder = Path(shutil.copytree(library / kind, tmp_path / "cut"))
    with open_mixture(mix(folder), settings=SETTINGS) as reader:
        reader.batch(range(40))
        for shard in shards(folder):
            with shard.open("r+b") as file:
                file.truncate(200)
        with pytest.raises(FormatError, match=r"record \d+, byte \d+: the shard ends here, more was wanted"):
            reader.batch(range(40))


def test_a_git_lfs_pointer(broken: Path, mix: Mix) -> None:
    path, shard = mix(broken), shards(broken)[0]
    shard.write_bytes(b"version https://git-lfs.github.com/spec/v1\n".ljust(shard.stat().st_size, b"0"))
    with pytest.raises(FormatError, match="is a Git-LFS pointer"):
        read_all(path)


def test_another_shard_of_the_same_size(broken: Path, mix: Mix) -> None:
    path, shard = mix(broken), shards(broken)[0]
    data = bytearray(shard.read_bytes())
    data[:8] = (1).to_bytes(8, "little")
    shard.write_bytes(data)
    with pytest.raises(FormatError, match=r"record 0, byte 12: the shard has another record here than its index says"):
        read_all(path)


def test_a_flipped_bit_in_a_compressed_block(broken: Path, mix: Mix) -> None:
    path, shard = mix(broken), shards(broken)[0]
    index = read_index(shard.with_name(shard.name + SUFFIX))
    data = bytearray(shard.read_bytes())
    for record in range(len(index)):
        at = int(index.offset[record] + index.blocks[int(index.block_starts[record]), 0]) + 40
        data[at] ^= 4
    shard.write_bytes(data)
    with pytest.raises(FormatError, match=r"-00000-of-00003, record \d+, byte \d+: the shard is damaged here"):
        read_all(path, FRAMES)


@pytest.mark.parametrize("kind", ["pong", "raw", "walker", "pages"])
def test_any_flipped_bit_is_found_when_its_record_is_read(library: Path, tmp_path: Path, mix: Mix, kind: str) -> None:
    broken = Path(shutil.copytree(library / kind, tmp_path / "broken"))
    path, shard = mix(broken), shards(broken)[0]
    index = read_index(shard.with_name(shard.name + SUFFIX))
    data = bytearray(shard.read_bytes())
    at = index.payload(0, "tokens")[0] + STORED_HEAD if index.tokens_stored[0] else index.payload(0, "patch_hash")[0]
    data[at] ^= 1
    shard.write_bytes(data)
    read_all(path, FRAMES)
    for map_files in (True, False):
        with pytest.raises(FormatError, match=r"record 0, byte \d+: the shard does not match its checksum"):
            read_all(path, ReadSettings(context_length=64, map_files=map_files))
    with pytest.raises(FormatError, match=r"record 0, byte \d+: the shard does not match its checksum"):
        read_all(path, ReadSettings(context_length=64, verify="full"))


def test_a_record_is_checked_once(library: Path, mix: Mix, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its length, and however many windows it takes."""
    checked: list[tuple[int, int]] = []
    check = ShardFiles.check_data

    def count(self: ShardFiles, shard: int, record: int) -> None:
        checked.append((shard, record))
        check(self, shard, record)

    monkeypatch.setattr(ShardFiles, "check_data", count)
    monkeypatch.setattr("gato_data.shards.record_checks.CHECKED_BYTES", 100)
    path = mix(library / "pong", library / "walker")
    with open_mixture(path, settings=SETTINGS) as reader:
        for first in range(0, 480, 8):
            reader.batch(range(first, first + 8))
    records = [
        sum(shard.totals.records for shard in read_manifest(library / kind).splits["train"].shards)
        for kind in ("pong", "walker")
    ]
    assert len(checked) == len(set(checked)) == sum(records)


def test_a_missing_index_is_rebuilt(broken: Path, mix: Mix, caplog: pytest.LogCaptureFixture) -> None:
    path = mix(broken)
    with open_mixture(path, settings=SETTINGS) as reader:
        wanted = reader.batch(range(30))
    for shard in shards(broken):
        shard.with_name(shard.name + SUFFIX).unlink()
    with open_mixture(path, settings=SETTINGS) as reader:
        found = reader.batch(range(30))
    assert np.array_equal(found.tokens, wanted.tokens)
    assert np.array_equal(found.patches, wanted.patches)
    assert "00000-of-00003.index is missing: rebuilt from the shard" in caplog.text


@pytest.mark.parametrize("kind", ["pong", "raw", "walker", "told", "captions", "pages"])
def test_a_rebuilt_index_is_the_one_that_was_written(library: Path, kind: str) -> None:
    manifest = read_manifest(library / kind)
    for shard in shards(library / kind):
        written = read_index(shard.with_name(shard.name + SUFFIX))
        rebuilt = rebuild_index(shard, manifest, "train")
        assert rebuilt.header.totals == written.header.totals
        for name, array in written.arrays.items():
            if name != "episode_hash":  # of an episode of several chunks it is that of the whole
                assert np.array_equal(rebuilt.arrays[name], array, equal_nan=array.dtype.kind == "f"), name


def test_an_index_of_another_version(broken: Path, mix: Mix) -> None:
    path, index = mix(broken), shards(broken)[0].with_name(shards(broken)[0].name + SUFFIX)
    data = index.read_bytes()[:-4].replace(b'"version":3', b'"version":9')
    index.write_bytes(data + google_crc32c.value(data).to_bytes(4, "little"))
    message = "00003.index has index version 9, this program reads version 3: ingest again from its source"
    with pytest.raises(FormatError, match=message):
        read_all(path)


def test_a_damaged_index(broken: Path, mix: Mix) -> None:
    path, index = mix(broken), shards(broken)[0].with_name(shards(broken)[0].name + SUFFIX)
    data = bytearray(index.read_bytes())
    data[len(data) // 2] ^= 1
    index.write_bytes(data)
    with pytest.raises(FormatError, match=r"00000-of-00003.index is truncated or damaged"):
        read_all(path)


def test_the_index_of_another_shard(broken: Path, mix: Mix) -> None:
    path, (first, _, third) = mix(broken), shards(broken)
    shutil.copy(third.with_name(third.name + SUFFIX), first.with_name(first.name + SUFFIX))
    with pytest.raises(FormatError, match=r"00000-of-00003.index is of shard .*-00002-of-00003, its manifest says"):
        read_all(path)


@pytest.mark.parametrize(
    ("section", "value"),
    [("columns", 2**31), ("offset", 2**60), ("length", 2**31), ("num_tokens", 2**31), ("num_patches", 2**31),
     ("column_bytes", 2**31), ("num_distinct", 2**31),
     ("task", 99), ("blocks", 2**31), ("block_starts", 2**40), ("num_timesteps", 2**31)],
)  # fmt: skip
def test_an_index_that_points_outside_its_shard(broken: Path, mix: Mix, section: str, value: int) -> None:
    """Even one whose own checksum fits."""
    shard = shards(broken)[0]
    path = shard.with_name(shard.name + SUFFIX)
    index = read_index(path)
    array = index.arrays[section].copy()
    array.flat[0] = value
    path.write_bytes(encode_index(index.header, {**index.arrays, section: array}))
    with pytest.raises(FormatError, match=r"points outside its shard|sections .* do not agree|has task number 99 of 1"):
        read_all(mix(broken))


def write_lie(folder: Path, kind: str, encoding: Literal["zlib", "raw"], name: str, lie: Callable[..., Any]) -> Path:
    """A dataset whose records, checksums and indexes agree, but for what one column says."""

    def encode(column: str, values: NDArray[Any], encoding: str) -> bytes:
        return encode_column(column, lie(values) if column == name and len(values) else values, encoding)

    with mock.patch("gato_schemas.record.encode_column", encode):
        return write_dataset(folder, {"train": [episodes(kind, [30, 40])]}, encoding=encoding)


@pytest.mark.parametrize("verify", ["touched", "frames", "off"])
@pytest.mark.parametrize("encoding", ["zlib", "raw"])
@pytest.mark.parametrize(
    ("column", "lie", "what"),
    [
        ("modality", lambda values: values + 9, "an unknown modality"),
        ("modality", lambda values: np.where(values == 1, 0, values), "another number of patch tokens here than its"),
        ("loss_mask", lambda values: values + 2, "a loss mask of other"),
        ("timestep_starts", lambda values: values[::-1], "timesteps out of order"),
        (
            "patch_index",
            lambda values: np.append(values[:-1], 60_000),
            "(a patch index that|column patch_index) names patch 60000 of",
        ),
    ],
)
def test_columns_with_impossible_values(
    tmp_path: Path, mix: Mix, column: str, lie: Callable[..., Any], what: str, encoding: Any, verify: Any
) -> None:
    folder = write_lie(tmp_path / "odd", "told", encoding, column, lie)
    with pytest.raises(FormatError, match=rf"record \d+, byte \d+: the shard (has|is damaged here:) {what}"):
        read_all(mix(folder), ReadSettings(context_length=64, verify=verify))


@pytest.mark.parametrize("encoding", ["zlib", "raw"])
@pytest.mark.parametrize("verify", ["touched", "full"])
def test_a_hash_that_is_not_its_patch_s(tmp_path: Path, mix: Mix, encoding: Any, verify: Any) -> None:
    folder = write_lie(tmp_path / "lie", "pong", encoding, "patch_hash", lambda values: values + (values == values[3]))
    with pytest.raises(FormatError, match=r"record \d+, byte \d+: the shard has a patch_hash that is not"):
        read_all(mix(folder), ReadSettings(context_length=64, verify=verify))


def test_tokens_that_are_not_stored_as_the_index_says(library: Path, tmp_path: Path, mix: Mix) -> None:
    folder = Path(shutil.copytree(library / "walker", tmp_path / "odd"))
    for shard in shards(folder):
        index = read_index(shard.with_name(shard.name + SUFFIX))
        data = bytearray(shard.read_bytes())
        for record in range(len(index)):
            data[index.payload(record, "tokens")[0] + 2] = 0  # a block that is not the last one
        shard.write_bytes(data)
    with pytest.raises(FormatError, match=r"record \d+, byte \d+: the shard has no stored tokens"):
        read_all(mix(folder), FRAMES)


@pytest.mark.parametrize("column", ["tokens", "patch_index", "modality", "position", "patch_position", "loss_mask"])
def test_a_column_that_is_cut(library: Path, tmp_path: Path, mix: Mix, column: str) -> None:
    """Streams of which the index knows only the beginning."""
    folder = Path(shutil.copytree(library / "told", tmp_path / "cut"))
    for shard in shards(folder):
        path = shard.with_name(shard.name + SUFFIX)
        index = read_index(path)
        sizes = index.column_bytes.copy()
        sizes[:, COLUMNS.index(column)] -= 1
        path.write_bytes(encode_index(index.header, {**index.arrays, "column_bytes": sizes}))
    with pytest.raises(FormatError, match=r"record \d+, byte \d+: the shard is damaged here"):
        read_all(mix(folder), FRAMES)


def test_random_damage_is_an_error_or_nothing(library: Path, tmp_path: Path, mix: Mix) -> None:
    """Two hundred damaged files, each checked in full: the error is ours, or the windows are the same."""
    folder = Path(shutil.copytree(library / "captions", tmp_path / "fuzzed"))
    path, generator = mix(folder), np.random.default_rng(0)
    settings = ReadSettings(context_length=64, verify="full")

    def windows() -> bytes:
        with open_mixture(path, settings=settings) as reader:
            batch = reader.batch(range(6))
        return b"".join(array.tobytes() for array in (batch.tokens, batch.loss_mask, batch.position, batch.patches))

    wanted, errors = windows(), 0
    files = sorted(folder.iterdir())
    for number in range(200):
        file = files[number % len(files)]
        data = file.read_bytes()
        damaged = bytearray(data)
        damaged[int(generator.integers(len(data)))] ^= 1 << int(generator.integers(8))
        if number % 3 == 0:
            damaged = damaged[: int(generator.integers(len(data)))]
        file.write_bytes(damaged)
        try:
            assert windows() == wanted
        except GatoError:
            errors += 1
        file.write_bytes(data)
    assert errors > 150


def test_a_dataset_made_again_says_what_changed(tmp_path: Path, mix: Mix) -> None:
    folder = write_dataset(tmp_path / "pong", {"train": [episodes("pong", [9, 20])]})
    path = mix(folder)
    shutil.rmtree(folder)
    write_dataset(folder, {"train": [episodes("pong", [9, 21])]}, fingerprint="fedcba9876543210")
    with pytest.raises(
        MixtureError,
        match=r"dataset pong is not what it was when .*mixture.json was made: pong-train.tfrecord-00000-of-00001 has "
        r"another content; 232 tokens became 240; fingerprint 0123456789ab became fedcba987654",
    ):
        read_all(path)


def test_a_dataset_in_another_place_is_found_with_its_mixture(library: Path, tmp_path: Path) -> None:
    from gato_data.mixing.make import plan_mixture
    from gato_schemas.mixture import encode_mixture

    home = tmp_path / "home"
    shutil.copytree(library / "walker", home / "data" / "walker")
    (home / "plans").mkdir()
    mixture = plan_mixture([home / "data" / "walker"], "uniform", folder=home / "plans")
    assert mixture.datasets[0].path == "../data/walker"
    (home / "plans" / "m.json").write_bytes(encode_mixture(mixture))
    moved = home.rename(tmp_path / "elsewhere")
    read_all(moved / "plans" / "m.json")


def test_shards_that_vanish_between_two_batches(broken: Path, mix: Mix) -> None:
    with open_mixture(mix(broken), settings=ReadSettings(context_length=64, max_open_files=1, threads=3)) as reader:
        stream = reader.stream([range(n * 8, n * 8 + 8) for n in range(500)])
        next(stream)
        for shard in shards(broken):
            shard.unlink()
        with pytest.raises(FormatError, match="cannot be opened"):
            for _ in stream:
                pass
