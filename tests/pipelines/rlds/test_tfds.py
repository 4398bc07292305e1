"""TensorFlow Datasets is the reference: what it reads is what we read, and it reads what we write."""

from pathlib import Path

import numpy as np
import pytest

from gato_data.image_decoding import decode_images
from gato_pipelines.rlds.card import DatasetCard
from gato_pipelines.rlds.decode import EpisodeDecoder
from gato_pipelines.rlds.directory import Directory, open_directory
from gato_pipelines.rlds.features import Kind
from gato_pipelines.rlds.writer import write_directory
from gato_schemas.tfrecord import read_records


@pytest.fixture(scope="session")
def tfds():
    import tensorflow as tf
    import tensorflow_datasets as tfds

    tf.config.set_visible_devices([], "GPU")
    return tfds


def _flatten(tree, prefix=""):
    if isinstance(tree, dict):
        return {
            path: value for key, child in tree.items() for path, value in _flatten(child, f"{prefix}{key}/").items()
        }
    return {prefix.removesuffix("/"): tree}


def _read_with_tfds(tfds, path: Path, split: str):
    """Per episode: every leaf by its path, those of the timesteps stacked."""
    config = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)  # records in the order of the files
    for episode in tfds.builder_from_directory(path).as_dataset(split, read_config=config):
        steps = [_flatten(step, "steps/") for step in tfds.as_numpy(episode.pop("steps"))]
        yield _flatten(tfds.as_numpy(episode)), {key: np.stack([step[key] for step in steps]) for key in steps[0]}


def _assert_same_as_tfds(tfds, directory: Directory) -> None:
    decoder = EpisodeDecoder(directory.features.leaves)
    shapes = {leaf.path: leaf.shape for leaf in directory.features.leaves if leaf.kind == Kind.IMAGE}
    theirs = _read_with_tfds(tfds, directory.path, "train")
    ours = [raw for shard in directory.split("train").shards for raw in read_records(shard.path)]
    for raw, (episode, steps) in zip(ours, theirs, strict=True):
        found = decoder.decode(raw.data)
        arrays: dict[str, np.ndarray] = dict(found.tensors)
        arrays |= {path: decode_images(images, shapes[path]) for path, images in found.images.items()}
        arrays |= {path: np.array([text.encode() for text in texts]) for path, texts in found.texts.items()}
        assert set(arrays) == set(steps)
        assert set(found.episode) == set(episode)
        for path, value in steps.items():
            assert arrays[path].dtype == value.dtype, path
            np.testing.assert_array_equal(arrays[path], value, err_msg=path)
        for path, value in episode.items():
            mine = found.episode[path]
            assert (mine.encode() if isinstance(mine, str) else mine) == value, path


def test_reads_what_tfds_reads(tfds, dataset):
    _assert_same_as_tfds(tfds, dataset)


def test_tfds_reads_what_is_written(tfds, dataset, tmp_path):
    decoder = EpisodeDecoder(dataset.features.leaves)
    shards = dataset.split("train").shards
    episodes = [decoder.decode(raw.data) for shard in shards for raw in read_records(shard.path)]
    card = DatasetCard(
        name=dataset.name, config=dataset.config, version=dataset.version, features=dataset.features, module=__name__
    )
    written = write_directory(tmp_path / "out", card, episodes, num_episodes=len(episodes), num_shards=2)
    _assert_same_as_tfds(tfds, written)
    builder = tfds.builder_from_directory(written.path)
    original = tfds.builder_from_directory(dataset.path)
    assert repr(builder.info.features) == repr(original.info.features)
    assert builder.info.splits["train"].num_examples == len(episodes)


def test_sequences_and_nested_tensors(tfds, tmp_path):
    """Features that none of the recordings has, written by TFDS and read by both."""
    features = tfds.features.FeaturesDict(
        {
            "steps": tfds.features.Dataset(
                {
                    "is_last": np.bool_,
                    "rows": tfds.features.Sequence(tfds.features.Tensor(shape=(2,), dtype=np.float32)),
                    "frame": tfds.features.Image(shape=(4, 5, 3), encoding_format="png"),
                    "label": tfds.features.ClassLabel(num_classes=9),
                    "raw": tfds.features.Tensor(shape=(2, 2), dtype=np.uint16, encoding="bytes"),
                    "half": np.float16,
                    "big": np.uint64,
                }
            ),
            "tags": tfds.features.Sequence(np.int32),
        }
    )
    writer = tfds.core.SequentialWriter(
        tfds.core.DatasetInfo(
            builder=tfds.core.DatasetIdentity(
                name="mini", version=tfds.core.Version("1.0.0"), data_dir=str(tmp_path), module_name=__name__
            ),
            features=features,
        ),
        max_examples_per_shard=10,
    )
    writer.initialize_splits(["train"])
    rng = np.random.default_rng(0)
    for length in (1, 3):
        steps = [
            {
                "is_last": index == length - 1,
                "rows": rng.normal(size=(2, 2)).astype(np.float32),
                "frame": rng.integers(0, 256, (4, 5, 3), dtype=np.uint8),
                "label": int(rng.integers(9)),
                "raw": rng.integers(0, 65536, (2, 2)).astype(np.uint16),
                "half": np.float16(rng.normal()),
                "big": np.uint64(2**64 - 1 - index),
            }
            for index in range(length)
        ]
        writer.add_examples({"train": [{"steps": steps, "tags": [1, 2, 3]}]})
    writer.close_all()
    directory = open_directory(tmp_path)
    decoder = EpisodeDecoder(directory.features.leaves)
    shapes = {"steps/frame": (4, 5, 3)}
    raws = [raw for shard in directory.split("train").shards for raw in read_records(shard.path)]
    for raw, (episode, steps) in zip(raws, _read_with_tfds(tfds, tmp_path, "train"), strict=True):
        found = decoder.decode(raw.data)
        np.testing.assert_array_equal(found.episode["tags"], episode["tags"])
        for path, value in steps.items():
            images = found.images.get(path)
            mine = found.tensors[path] if images is None else decode_images(images, shapes[path])
            np.testing.assert_array_equal(mine, value, err_msg=path)
