"""The same records whatever file format of TFDS they are stored in."""

import json
import shutil
from pathlib import Path

import pytest

from gato_data.errors import InputError, MissingPackageError
from gato_pipelines.containers import shard_records
from gato_pipelines.containers.shard_records import num_records, read_shard
from gato_pipelines.ingest.run import IngestSettings, plan_only
from gato_schemas.tfrecord import TFRecordError, read_records
from tests.pipelines.sources.records import read_dataset
from tests.rlds_inputs import edit_json, ingest, shards, truncate

BREAKOUT = Path(__file__).parents[2] / "data" / "rlds" / "rlu_atari" / "Breakout_run_1" / "1.3.0"


def as_parquet(folder: Path, out: Path, rows: int = 100) -> Path:
    """The same dataset as TFDS's `convert_format` writes it: one column of whole records."""
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    out.mkdir(parents=True)
    schema = pyarrow.schema([("data", pyarrow.binary())])
    for shard in shards(folder):
        records = [{"data": record.data} for record in read_records(shard)]
        with ParquetWriter(out / shard.name.replace("tfrecord", "parquet"), schema) as writer:
            for start in range(0, len(records), rows):
                writer.write_batch(pyarrow.RecordBatch.from_pylist(records[start : start + rows], schema))
    info = json.loads((folder / "dataset_info.json").read_text())
    (out / "dataset_info.json").write_text(json.dumps({**info, "fileFormat": "parquet"}))
    shutil.copy(folder / "features.json", out)
    return out


def tokens(out: Path) -> list[tuple[bytes, bytes]]:
    return [(episode.tokens.tobytes(), episode.patches.tobytes()) for episode in read_dataset(out)]


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    return as_parquet(BREAKOUT, tmp_path / "parquet" / "1.3.0", rows=1)


def test_parquet_gives_the_tokens_of_tfrecord(parquet: Path, tmp_path: Path) -> None:
    ingest(BREAKOUT, tmp_path / "a" / "breakout")
    summary = ingest(parquet, tmp_path / "b" / "breakout")
    assert tokens(tmp_path / "a" / "breakout") == tokens(tmp_path / "b" / "breakout")
    assert len(tokens(tmp_path / "b" / "breakout")) == 4
    assert [note.text for note in summary.manifest.account if note.kind == "read"] == []


@pytest.mark.parametrize(("first", "count"), [(0, None), (0, 1), (1, 1), (1, None), (0, 2), (2, 0)])
@pytest.mark.parametrize("rows", [1, 100])
def test_ranges_of_parquet(first: int, count: int | None, rows: int, tmp_path: Path) -> None:
    folder = as_parquet(BREAKOUT, tmp_path / "parquet", rows)
    for shard, same in zip(shards(BREAKOUT), sorted(folder.glob("*.parquet-*")), strict=True):
        wanted = [(record.ordinal, record.data) for record in read_records(shard, first, count)]
        assert [(r.ordinal, r.data) for r in read_shard(same, "parquet", first, count)] == wanted
        assert num_records(same, "parquet") == num_records(shard, "tfrecord") == 2


def test_a_damaged_parquet_shard_costs_its_own_episodes(parquet: Path, tmp_path: Path) -> None:
    shard = sorted(parquet.glob("*.parquet-*"))[1]
    truncate(shard, shard.stat().st_size // 2)
    ingest(parquet, tmp_path / "out", max_bad=2)
    assert len(tokens(tmp_path / "out")) == 2
    letter = json.loads((tmp_path / "out" / "dead_letters.jsonl").read_text())
    assert letter["reason"] == f"{shard.name} is damaged at record 0; 2 episodes from there on cannot be read"
    assert num_records(shard, "parquet") is None


def test_a_parquet_shard_that_ends_early(parquet: Path) -> None:
    shard = sorted(parquet.glob("*.parquet-*"))[0]
    with pytest.raises(TFRecordError, match=r"ends after 2 of 3 records"):
        list(read_shard(shard, "parquet", 0, 3))


def test_other_parquet_files(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow.parquet import write_table

    write_table(pyarrow.table({"reward": [1.0]}), tmp_path / "other.parquet")
    with pytest.raises(TFRecordError, match=r"other\.parquet holds no column 'data'"):
        list(read_shard(tmp_path / "other.parquet", "parquet"))
    with pytest.raises(FileNotFoundError):
        list(read_shard(tmp_path / "absent", "parquet"))


@pytest.fixture
def riegeli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A dataset that only TFDS opens; in this test it does so as a TFRecord."""
    from tensorflow_datasets.core import file_adapters

    adapter = file_adapters.TfRecordFileAdapter
    monkeypatch.setitem(file_adapters.ADAPTER_FOR_FORMAT, file_adapters.FileFormat.RIEGELI, adapter)
    folder = Path(shutil.copytree(BREAKOUT, tmp_path / "riegeli"))
    for shard in shards(folder):
        shard.rename(shard.with_name(shard.name.replace("tfrecord", "riegeli")))
    edit_json(folder / "dataset_info.json", fileFormat="riegeli")
    return folder


def test_records_that_tfds_reads_give_the_same_tokens(riegeli: Path, tmp_path: Path) -> None:
    ingest(BREAKOUT, tmp_path / "a" / "breakout")
    summary = ingest(riegeli, tmp_path / "b" / "breakout")
    assert tokens(tmp_path / "a" / "breakout") == tokens(tmp_path / "b" / "breakout")
    why = "rlu_atari is read by TensorFlow Datasets, several times slower than otherwise: it is stored as riegeli"
    assert why in [note.text for note in summary.manifest.account]


def test_records_that_tfds_reads_have_ranges_and_ends(riegeli: Path) -> None:
    shard = sorted(riegeli.glob("*.riegeli-*"))[0]
    wanted = [record.data for record in read_records(shard)]
    assert [(r.ordinal, r.data) for r in read_shard(shard, "riegeli", 1, 1)] == [(1, wanted[1])]
    assert num_records(shard, "riegeli") == 2
    with pytest.raises(TFRecordError, match=r"ends after 2 of 3 records"):
        list(read_shard(shard, "riegeli", 0, 3))
    truncate(shard, shard.stat().st_size - 10)
    with pytest.raises(TFRecordError, match=r"is damaged at record 1"):
        list(read_shard(shard, "riegeli", 0, 2))


def test_a_format_that_this_tfds_does_not_know(riegeli: Path) -> None:
    with pytest.raises(MissingPackageError, match=r"stored as bagz, for which TFDS .*`tfds convert_format`"):
        list(read_shard(sorted(riegeli.glob("*.riegeli-*"))[0], "bagz"))


class TestAnnounced:
    @pytest.mark.parametrize("file_format", ["tfrecord", "parquet"])
    def test_more_records_than_announced_are_refused(self, file_format: str, parquet: Path, tmp_path: Path) -> None:
        folder = parquet if file_format == "parquet" else Path(shutil.copytree(BREAKOUT, tmp_path / "tfrecord"))
        info = json.loads((folder / "dataset_info.json").read_text())
        info["splits"][0]["shardLengths"] = ["2", "1"]
        edit_json(folder / "dataset_info.json", **info)
        name = rf"rlu_atari-train\.{file_format}-00001-of-00002"
        message = rf"^{name} holds 2 episodes, but dataset_info\.json announces 1: correct its shardLengths, or "
        with pytest.raises(InputError, match=message):
            plan_only("atari", {}, folder, tmp_path / "out", IngestSettings())
        with pytest.raises(InputError, match=message):
            ingest(folder, tmp_path / "out")

    @pytest.mark.parametrize("file_format", ["tfrecord", "parquet"])
    @pytest.mark.parametrize("address", [False, True])
    def test_a_shard_of_none_is_checked_too(
        self, file_format: str, address: bool, parquet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = parquet if file_format == "parquet" else Path(shutil.copytree(BREAKOUT, tmp_path / "tfrecord"))
        info = json.loads((folder / "dataset_info.json").read_text())
        info["splits"][0]["shardLengths"] = ["2", "0"]
        edit_json(folder / "dataset_info.json", **info)
        given = f"local://{folder}" if address else folder
        counted: list[Path] = []
        count = shard_records._num_records

        def noted(path: Path, file_format: str) -> int:
            counted.append(path)
            return count(path, file_format)

        monkeypatch.setattr(shard_records, "_num_records", noted)
        with pytest.raises(InputError, match=r"00001-of-00002 holds 2 episodes, but .* announces 0"):
            plan_only("atari", {}, given, tmp_path / "out", IngestSettings())
        assert len(counted) == 1
        of_a_run = any(around.name.startswith("gato-data-") for around in counted[0].parents)
        assert of_a_run == address, "what a killed run left goes with its folder"

    def test_shards_of_unknown_length_are_read_whole(self, tmp_path: Path) -> None:
        folder = Path(shutil.copytree(BREAKOUT, tmp_path / "tfrecord"))
        info = json.loads((folder / "dataset_info.json").read_text())
        info["splits"][0] |= {"shardLengths": [], "numShards": "2"}
        edit_json(folder / "dataset_info.json", **info)
        plan = plan_only("atari", {}, folder, tmp_path / "out", IngestSettings()).plan
        assert [part.count for part in plan.parts] == [2, 2]
