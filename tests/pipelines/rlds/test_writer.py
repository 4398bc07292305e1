import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gato_data.errors import EpisodeError, InputError, OutputError, SettingError
from gato_pipelines.rlds.card import DatasetCard
from gato_pipelines.rlds.decode import EpisodeDecoder
from gato_pipelines.rlds.directory import Directory
from gato_pipelines.rlds.encode import encode_episode
from gato_pipelines.rlds.episode import RldsEpisode
from gato_pipelines.rlds.features import Features, Kind, Leaf
from gato_pipelines.rlds.writer import write_directory
from gato_schemas.tfrecord import read_records

LEAVES = (
    Leaf(path="steps/x", kind=Kind.TENSOR, dtype="float32", shape=(2,)),
    Leaf(path="steps/t", kind=Kind.TEXT, dtype="string"),
)
CARD = DatasetCard(name="mini", version="1.0.0", features=Features(LEAVES), module="tests")
EPISODE = RldsEpisode(num_timesteps=2, tensors={"steps/x": np.ones((2, 2), np.float32)}, texts={"steps/t": ["a", "b"]})


def _records(directory: Directory) -> list[bytes]:
    return [raw.data for shard in directory.split("train").shards for raw in read_records(shard.path)]


def _digests(folder) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_a_real_dataset_written_again_is_read_the_same(dataset, tmp_path):
    decoder = EpisodeDecoder(dataset.features.leaves)
    episodes = [decoder.decode(record) for record in _records(dataset)]
    card = DatasetCard(
        name=dataset.name,
        config=dataset.config,
        version=dataset.version,
        description=dataset.description,
        licence=dataset.licence,
        features=dataset.features,
    )
    again = write_directory(tmp_path / "again", card, episodes, num_episodes=len(episodes), num_shards=3)
    assert again.features == dataset.features
    assert (again.name, again.config, again.version) == (dataset.name, dataset.config, dataset.version)
    assert (again.description, again.licence) == (dataset.description, dataset.licence)
    written = [decoder.decode(record) for record in _records(again)]
    assert len(written) == len(episodes)
    for ours, theirs in zip(written, episodes, strict=True):
        assert (ours.num_timesteps, ours.images, ours.texts) == (theirs.num_timesteps, theirs.images, theirs.texts)
        for path, array in theirs.tensors.items():
            np.testing.assert_array_equal(ours.tensors[path], array)
            assert ours.tensors[path].dtype == array.dtype
        assert {key: np.asarray(value).tolist() for key, value in ours.episode.items()} == {
            key: np.asarray(value).tolist() for key, value in theirs.episode.items()
        }


def test_episodes_are_spread_evenly_and_in_order(tmp_path):
    episodes = [replace(EPISODE, tensors={"steps/x": np.full((2, 2), i, np.float32)}) for i in range(7)]
    directory = write_directory(tmp_path / "out", CARD, iter(episodes), num_episodes=7, num_shards=3)
    split = directory.split("train")
    assert [shard.num_episodes for shard in split.shards] == [2, 2, 3]
    decoder = EpisodeDecoder(LEAVES)
    firsts = [decoder.decode(record).tensors["steps/x"][0, 0] for record in _records(directory)]
    assert firsts == list(range(7))
    info = json.loads((tmp_path / "out" / "dataset_info.json").read_text())
    assert int(info["splits"][0]["numBytes"]) == sum(map(len, _records(directory)))


def test_same_episodes_same_bytes(tmp_path):
    for name in "ab":
        write_directory(tmp_path / name, CARD, [EPISODE] * 3, num_episodes=3, num_shards=2)
    assert _digests(tmp_path / "a") == _digests(tmp_path / "b")


@given(st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.text(), st.booleans(), st.floats(width=64)), min_size=1))
def test_episodes_round_trip(rows):
    leaves = (
        Leaf(path="steps/i", kind=Kind.TENSOR, dtype="int64"),
        Leaf(path="steps/t", kind=Kind.TEXT, dtype="string"),
        Leaf(path="steps/b", kind=Kind.TENSOR, dtype="bool"),
        Leaf(path="steps/f", kind=Kind.TENSOR, dtype="float64", encoding="zlib"),
    )
    integers, texts, flags, floats = zip(*rows, strict=True)
    episode = RldsEpisode(
        num_timesteps=len(rows),
        tensors={
            "steps/i": np.array(integers, np.int64),
            "steps/b": np.array(flags),
            "steps/f": np.array(floats, np.float64),
        },
        texts={"steps/t": list(texts)},
    )
    again = EpisodeDecoder(leaves).decode(encode_episode(episode, leaves))
    assert again.texts == episode.texts
    for path, array in episode.tensors.items():
        np.testing.assert_array_equal(again.tensors[path], array)


@pytest.mark.parametrize(
    ("episode", "message"),
    [
        (replace(EPISODE, tensors={}), "the episode has no steps/x"),
        (replace(EPISODE, num_timesteps=3), "has 2 timesteps, the episode has 3"),
        (
            replace(EPISODE, tensors={"steps/x": np.ones((2, 2))}),
            r"float64 of shape \(2,\), float32 of shape \(2,\) was",
        ),
        (replace(EPISODE, tensors={"steps/x": np.ones((2, 3), np.float32)}), r"float32 of shape \(3,\)"),
    ],
)
def test_episodes_that_are_not_what_the_features_say(episode, message):
    with pytest.raises(EpisodeError, match=message):
        encode_episode(episode, LEAVES)


def test_a_missing_value_of_the_episode():
    with pytest.raises(EpisodeError, match="the episode has no id"):
        encode_episode(EPISODE, [Leaf(path="id", kind=Kind.TENSOR, dtype="int64")])


@pytest.mark.parametrize("shards", [0, 4])
def test_shards_need_episodes(tmp_path, shards):
    with pytest.raises(SettingError, match=f"3 episodes cannot be spread over {shards} shards"):
        write_directory(tmp_path, CARD, [EPISODE] * 3, num_episodes=3, num_shards=shards)


def test_too_few_episodes_leave_no_dataset(tmp_path):
    with pytest.raises(SettingError, match=r"2 episodes were announced .*, 1 came"):
        write_directory(tmp_path / "out", CARD, [EPISODE] * 3, num_episodes=4, num_shards=2)
    assert not (tmp_path / "out" / "dataset_info.json").exists()


def test_leaves_that_cannot_be_written(tmp_path):
    leaf = Leaf(path="steps/x", kind=Kind.CLASS_LABEL, dtype="int64")
    with pytest.raises(InputError, match="steps/x is a sequence or a class_label"):
        write_directory(tmp_path / "out", replace(CARD, features=Features((leaf,))), [EPISODE], num_episodes=1)
    assert not (tmp_path / "out").exists()


def test_an_interrupted_folder_is_continued(tmp_path):
    def interrupted():
        yield EPISODE
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_directory(tmp_path / "out", CARD, interrupted(), num_episodes=3, num_shards=3)
    assert (tmp_path / "out" / "mini-train.tfrecord-00000-of-00003").exists()
    write_directory(tmp_path / "out", CARD, [EPISODE] * 3, num_episodes=3, num_shards=2)
    write_directory(tmp_path / "clean", CARD, [EPISODE] * 3, num_episodes=3, num_shards=2)
    assert _digests(tmp_path / "out") == _digests(tmp_path / "clean")


def test_a_finished_folder_is_kept_unless_told_otherwise(tmp_path):
    write_directory(tmp_path, CARD, [EPISODE] * 2, num_episodes=2, num_shards=2)
    before = _digests(tmp_path)
    with pytest.raises(OutputError, match="already holds a finished recording"):
        write_directory(tmp_path, CARD, [EPISODE], num_episodes=1)
    assert _digests(tmp_path) == before
    (tmp_path / "notes.txt").write_text("mine")
    assert write_directory(tmp_path, CARD, [EPISODE], num_episodes=1, overwrite=True).splits["train"].num_episodes == 1
    assert not list(tmp_path.glob("*-of-00002"))
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("content", [None, b"", b"[1]", b'{"module": "other"}', b'{"module": 1}'])
def test_a_folder_of_something_else_is_left_alone(tmp_path, content):
    (tmp_path / "mini-train.tfrecord-00000-of-00001").write_bytes(b"precious")
    if content is not None:
        (tmp_path / "metadata.json").write_bytes(content)
    before = _digests(tmp_path)
    with pytest.raises(OutputError, match="is not empty, and nothing of this recorder's"):
        write_directory(tmp_path, CARD, [EPISODE], num_episodes=1, overwrite=True)
    assert _digests(tmp_path) == before


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match="is a file"):
        write_directory(tmp_path / "out", CARD, [EPISODE], num_episodes=1)
    with pytest.raises(OutputError, match=r"cannot be written \(Not a directory\)"):
        write_directory(tmp_path / "out" / "deeper", CARD, [EPISODE], num_episodes=1)
