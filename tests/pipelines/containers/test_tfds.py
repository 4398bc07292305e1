"""RLDS that is not TFRecord, and features that only TFDS decodes."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gato_data.errors import InputError
from gato_pipelines.containers.detect import open_container
from gato_pipelines.ingest.run import IngestSettings, run
from gato_schemas.dataset import read_manifest
from gato_schemas.tfrecord import read_records
from tests.pipelines.sources.records import read_dataset
from tests.rlds_inputs import ingest

SOKOBAN = Path(__file__).parents[2] / "data" / "rlds" / "sokoban" / "rooms_10x10" / "1.0.0"


def as_array_record(folder: Path, out: Path) -> Path:
    """The same dataset in TFDS's file format for random access."""
    module = pytest.importorskip("array_record.python.array_record_module", reason="needs the package array_record")
    out.mkdir()
    info = json.loads((folder / "dataset_info.json").read_text())
    shards = sorted(folder.glob("*tfrecord*"))
    for number, shard in enumerate(shards):
        name = f"{info['name']}-train.array_record-{number:05d}-of-{len(shards):05d}"
        writer = module.ArrayRecordWriter(str(out / name), "group_size:1")
        for record in read_records(shard):
            writer.write(record.data)
        writer.close()
    info["fileFormat"] = "array_record"
    info["splits"][0]["filepathTemplate"] = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
    (out / "dataset_info.json").write_text(json.dumps(info))
    shutil.copy(folder / "features.json", out)
    return out


def test_array_record_holds_the_same_records(tmp_path: Path) -> None:
    again = as_array_record(SOKOBAN, tmp_path / "rooms")
    ingest(SOKOBAN, tmp_path / "a" / "rooms", source="sokoban")
    ingest(again, tmp_path / "b" / "rooms", source="sokoban")
    for one, other in zip(read_dataset(tmp_path / "a" / "rooms"), read_dataset(tmp_path / "b" / "rooms"), strict=True):
        np.testing.assert_array_equal(one.tokens, other.tokens)
        np.testing.assert_array_equal(one.patches, other.patches)


def test_a_damaged_array_record_costs_its_own_episodes(tmp_path: Path) -> None:
    again = as_array_record(SOKOBAN, tmp_path / "rooms")
    shard = next(again.glob("*00001-of-00002"))
    shard.write_bytes(shard.read_bytes()[:1000])
    ingest(again, tmp_path / "out", source="sokoban", max_bad=3)
    assert len(read_dataset(tmp_path / "out")) == 3
    assert read_manifest(tmp_path / "out").dead_letters == 3


def write_with_tfds(folder: Path, steps: dict[str, Any], episodes: list[list[dict[str, Any]]]) -> Path:
    """A dataset as TFDS writes it, with features of all kinds."""
    import tensorflow_datasets as tfds

    features = tfds.features.FeaturesDict({"steps": tfds.features.Dataset(steps)})
    folder.mkdir()
    identity = tfds.core.DatasetIdentity(
        name=folder.name, version=tfds.core.Version("1.0.0"), data_dir=str(folder), module_name=__name__
    )
    writer = tfds.core.SequentialWriter(tfds.core.DatasetInfo(builder=identity, features=features), 10)
    writer.initialize_splits(["train"])
    for rows in episodes:
        writer.add_examples({"train": [{"steps": rows}]})
    writer.close_all()
    return folder


@pytest.fixture
def nested(tmp_path: Path) -> tuple[Path, list[np.ndarray]]:
    """A dataset with a feature that is not read without TFDS (sound); and its values."""
    import tensorflow_datasets as tfds

    steps = {
        "observation": {
            "camera": tfds.features.Image(shape=(32, 16, 3), encoding_format="png"),
            "sound": tfds.features.Audio(shape=(6,)),
            "words": tfds.features.Text(),
        },
        "action": tfds.features.Tensor(shape=(2,), dtype=np.float32),
        "reward": np.float32,
    }
    rng = np.random.default_rng(0)
    values = [rng.integers(0, 1024, (length, 6)) for length in (3, 5)]
    episodes = [[_row(sound, rng) for sound in sounds] for sounds in values]
    return write_with_tfds(tmp_path / "rays", steps, episodes), values


def _row(sound: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
    picture = rng.integers(0, 256, (32, 16, 3), dtype=np.uint8)
    return {
        "observation": {"camera": picture, "sound": sound, "words": "go"},
        "action": rng.uniform(-1, 1, 2).astype(np.float32),
        "reward": 1.0,
    }


def test_what_is_not_asked_for_is_left_out(nested: tuple[Path, list[np.ndarray]], tmp_path: Path) -> None:
    ingest(nested[0], tmp_path / "out", source="rlds")
    task = read_manifest(tmp_path / "out").tasks["rays"]
    assert task.left_out == {"sound": "of a type that cannot be read"}
    assert [field.name for field in task.observations] == ["words", "camera"]


def test_what_is_asked_for_is_read_by_tfds_which_is_said(nested: tuple[Path, list[np.ndarray]], tmp_path: Path) -> None:
    folder, values = nested
    said: list[str] = []
    settings = {"observation_keys": ("sound", "camera", "words")}
    run("rlds", settings, folder, tmp_path / "tfds", IngestSettings(workers=1), said.append)
    assert said[0].startswith("read: rays is read by TensorFlow Datasets, several times slower than otherwise: ")
    assert "steps/observation/sound" in said[0]
    found = read_dataset(tmp_path / "tfds")
    ingest(folder, tmp_path / "fast", source="rlds")
    fast = read_dataset(tmp_path / "fast")
    for mine, theirs, sounds in zip(found, fast, values, strict=True):
        rows, others = (episode.tokens.reshape(len(sounds), -1) for episode in (mine, theirs))
        before = others.shape[1] - 3  # text and patches; the separator and two actions come last
        np.testing.assert_array_equal(rows[:, :before], others[:, :before])
        np.testing.assert_array_equal(rows[:, before:-3], sounds)
        np.testing.assert_array_equal(rows[:, -3:], others[:, -3:])
        np.testing.assert_array_equal(mine.patches, theirs.patches)


def test_a_format_that_nothing_reads_is_refused(tmp_path: Path) -> None:
    shutil.copytree(SOKOBAN, tmp_path / "rooms")
    info = json.loads((tmp_path / "rooms" / "dataset_info.json").read_text())
    (tmp_path / "rooms" / "dataset_info.json").write_text(json.dumps({**info, "fileFormat": "zip"}))
    with pytest.raises(InputError, match="stored as zip, which cannot be read here"):
        open_container(tmp_path / "rooms")


PICTURES = {
    "free": (None, None, 3),
    "see_through": (32, 32, 4),
    "tiny": (8, 12, 3),
    "atari": (84, 84, 1),
}


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Sound beside images of free size, with an alpha channel, smaller than a patch, and of real size."""
    import tensorflow_datasets as tfds

    cameras = {name: tfds.features.Image(shape=shape, encoding_format="png") for name, shape in PICTURES.items()}
    steps = {"observation": {**cameras, "sound": tfds.features.Audio(shape=(4,))}, "action": np.int64}
    rng = np.random.default_rng(0)

    def row(at: int) -> dict[str, Any]:
        shown = {
            name: rng.integers(0, 256, tuple(side or 40 for side in shape), dtype=np.uint8)
            for name, shape in PICTURES.items()
        }
        return {"observation": {**shown, "sound": np.arange(4) + at}, "action": at}

    return write_with_tfds(tmp_path / "films", steps, [[row(at) for at in range(length)] for length in (3, 2)])


@pytest.mark.parametrize("name", PICTURES)
def test_images_are_the_same_beside_a_feature_that_tfds_decodes(name: str, pictures: Path, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"image_size": (32, 48), "final_step": "keep", "frame_stack": "none"}
    ingest(pictures, tmp_path / "a", source="rlds", settings={**settings, "observation_keys": (name,)})
    ingest(pictures, tmp_path / "b", source="rlds", settings={**settings, "observation_keys": (name, "sound")})
    alone, both = read_dataset(tmp_path / "a"), read_dataset(tmp_path / "b")
    assert [len(episode.patches) for episode in both] == [3 * 6, 2 * 6]
    for mine, theirs in zip(both, alone, strict=True):
        np.testing.assert_array_equal(mine.patches, theirs.patches)
        sounds = mine.tokens.reshape(-1, 6 + 4 + 2)[:, 6:10]
        np.testing.assert_array_equal(sounds, np.arange(4) + np.arange(len(sounds))[:, None])


def test_a_damaged_record_costs_itself_alone(pictures: Path, tmp_path: Path) -> None:
    shard = next(pictures.glob("*.tfrecord-*"))
    data = bytearray(shard.read_bytes())
    data[100] ^= 1
    shard.write_bytes(data)
    settings = {"observation_keys": ("atari", "sound")}
    ingest(pictures, tmp_path / "out", source="rlds", settings=settings, max_bad=1)
    assert [len(episode.patches) for episode in read_dataset(tmp_path / "out")] == [2 * 25]
