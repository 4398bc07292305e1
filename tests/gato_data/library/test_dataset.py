"""`import gato_data` as a library: what can be opened, what it says of itself, and what is refused."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gato_data
from gato_data.errors import EpisodeError, FormatError, GatoError, InputError, MixtureError, SettingError
from gato_data.reading.reader import ReadSettings, open_mixture
from gato_data.shards.chunks import chunk, join
from gato_schemas.dataset import read_manifest
from gato_schemas.record import decode_record
from gato_schemas.sequence import TokenSequence
from gato_schemas.tfrecord import read_records


@pytest.fixture
def dataset(breakout: Path) -> Iterator[gato_data.Dataset]:
    with gato_data.open(breakout) as opened:
        yield opened


def stored(folder: Path, split: str = "train") -> list[TokenSequence]:
    manifest = read_manifest(folder)
    return [
        decode_record(raw.data, manifest.patch_encoding.name).sequence
        for shard in manifest.splits[split].shards
        for raw in read_records(folder / shard.name)
    ]


def same(one: TokenSequence, other: TokenSequence) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name), equal_nan=name == "reward") for name in COLUMNS)


COLUMNS = [*TokenSequence.__dataclass_fields__]


def test_what_is_exported_is_there_and_imported_late() -> None:
    assert {name: hasattr(gato_data, name) for name in gato_data.__all__} == dict.fromkeys(gato_data.__all__, True)
    assert set(gato_data.__all__) <= set(dir(gato_data))
    assert gato_data.__version__.count(".") >= 1
    with pytest.raises(AttributeError, match="has no attribute 'opne'"):
        _ = gato_data.opne
    code = "import sys, gato_data; print('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


def test_episodes_are_what_the_shards_hold(dataset: gato_data.Dataset, breakout: Path) -> None:
    wanted = stored(breakout)
    assert len(dataset.episodes) == len(wanted)
    assert [same(episode.sequence, one) for episode, one in zip(dataset.episodes, wanted, strict=True)] == [True] * len(
        wanted
    )
    assert dataset.episodes[-1].id == dataset.episodes[len(wanted) - 1].id
    assert [each.id for each in dataset.episodes[:2]] == [each.id for each in dataset.episodes[[0, 1]]]
    with pytest.raises(IndexError, match=f"episode {len(wanted)} of {len(wanted)}"):
        dataset.episodes[len(wanted)]


def test_an_episode_decodes_to_its_values(dataset: gato_data.Dataset) -> None:
    episode = dataset.episodes[0]
    assert len(episode) == episode.sequence.num_timesteps == 30
    [frames] = episode.observations.values()
    assert (frames.shape, frames.dtype) == ((30, 64, 80, 3), np.uint8)
    [actions] = episode.actions.values()
    assert actions.shape == (30,)
    assert np.array_equal(actions, episode.tokens[episode.loss_mask == 1])


def test_encode_gives_back_what_decode_took(dataset: gato_data.Dataset) -> None:
    episode, task = dataset.episodes[0], dataset.tasks["breakout"]
    values = gato_data.decode(episode.sequence, task)
    again = gato_data.encode({**values, "reward": episode.reward}, task)
    assert same(again, episode.sequence)
    with pytest.raises(EpisodeError, match="an episode has observations, actions and reward; got 'observation'"):
        gato_data.encode({"observation": {}}, task)


def test_chunks_join_to_what_they_were_cut_from(breakout: Path) -> None:
    whole = stored(breakout)[0]
    pieces = [*chunk(whole, 50)]
    assert len(pieces) > 5
    assert same(join(pieces), whole)


def test_reprs_are_one_line(dataset: gato_data.Dataset) -> None:
    batches = dataset.batches(context_length=64, batch_size=4)
    for shown, wanted in (
        (dataset, "<gato_data.Dataset breakout, train: "),
        (dataset.episodes, "<gato_data.Episodes: "),
        (
            dataset.episodes[0],
            "<gato_data.TokenizedEpisode breakout/00000/000000: 30 timesteps, 660 tokens, 600 patches",
        ),
        (dataset.tasks["breakout"], "<gato_data.Task breakout: observation (image), action (discrete)>"),
        (batches, "<gato_data.Batches of 4 windows of 64 tokens, step 0 of "),
        (batches[0], "<gato_data.Batch of 4 windows of 64 tokens"),
    ):
        assert repr(shown).startswith(wanted)
        assert "\n" not in repr(shown)


def test_batches_are_those_of_the_reader(dataset: gato_data.Dataset, breakout: Path, tmp_path: Path) -> None:
    from gato_data.mixing.make import plan_mixture
    from gato_data.mixing.mixture_file import write_mixture

    write_mixture(tmp_path / "mixture.json", plan_mixture([breakout], "breakout=1", folder=tmp_path))
    batches = dataset.batches(context_length=64, batch_size=4, seed=3)
    found = [*batches]
    assert len(found) == len(batches)
    with open_mixture(tmp_path / "mixture.json", settings=ReadSettings(context_length=64, seed=3)) as reader:
        assert len(batches) == -(-reader.num_windows // 4)
        for step, batch in enumerate(found):
            assert np.array_equal(batch.tokens, reader.batch(range(4 * step, 4 * step + 4)).tokens)
    assert np.array_equal(batches[-1].tokens, found[-1].tokens)
    assert [batch.sample.tolist() for batch in batches] == [batch.sample.tolist() for batch in found]  # from the start
    with pytest.raises(IndexError, match=f"step {len(batches)} of {len(batches)}"):
        batches[len(batches)]


@pytest.mark.parametrize("ranks", [2, 3, 8])
def test_ranks_share_one_stream(dataset: gato_data.Dataset, ranks: int) -> None:
    options = {"context_length": 64, "batch_size": 8, "steps": 5}
    alone = [batch.tokens for batch in dataset.batches(**options)]
    parts = [[*dataset.batches(**options, rank=rank, world_size=ranks)] for rank in range(ranks)]
    for step, whole in enumerate(alone):
        assert np.array_equal(np.concatenate([part[step].tokens for part in parts]), whole)


def test_a_stream_goes_on_where_another_was(dataset: gato_data.Dataset) -> None:
    options = {"context_length": 64, "batch_size": 4, "steps": 6}
    one, other = dataset.batches(**options), dataset.batches(**options)
    whole = [batch.sample[0] for batch in one]
    for _, batch in zip(range(2), one, strict=False):
        last = batch.sample[0]
    assert last == whole[1]
    other.load_state_dict(one.state_dict())
    assert [batch.sample[0] for batch in other] == whole[2:]
    with pytest.raises(SettingError, match="the state is of other windows than these"):
        dataset.batches(**options, seed=1).load_state_dict(one.state_dict())


def test_what_cannot_be_opened_says_why(breakout: Path, tmp_path: Path, dataset: gato_data.Dataset) -> None:
    for path, error, message in (
        (tmp_path / "none", FormatError, "does not exist: give the folder of a dataset"),
        (tmp_path, FormatError, "has no dataset.json"),
        (breakout / "dataset.json", FormatError, "dataset.json is a file of a dataset: give its folder, "),
        (next(breakout.glob("*.tfrecord-*")), FormatError, "is a file of a dataset: give its folder, "),
        (dataset, SettingError, "is open already: give the path or the address that it was opened by"),
        ("none://bucket/breakout", InputError, "is no address that fsspec knows"),
        ("memory://bucket/none", InputError, "memory://bucket/none does not exist, or is empty: give the folder"),
    ):
        with pytest.raises(error, match=message):
            gato_data.open(path)  # type: ignore[arg-type]
    with pytest.raises(MixtureError, match=r"has no split 'test': it has train, validation"):
        gato_data.open(breakout, split="test")
    with pytest.raises(SettingError, match="there is no setting 'prompt' of reading: there are context_length, "):
        dataset.batches(prompt=1)
    with pytest.raises(SettingError, match="rank 2 of 2 and a batch of 8 windows do not go together"):
        dataset.batches(rank=2, world_size=2)
    assert issubclass(FormatError, GatoError)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"context_length": 64.0}, "context_length 64.0 is not a whole number"),
        ({"seed": "a"}, "seed 'a' is not a whole number"),
        ({"steps": True}, "steps True is not a whole number"),
        ({"batch_size": 0}, "batch_size 0 is not possible: at least 1 is wanted"),
        ({"first": -1}, "first -1 is not possible: at least 0 is wanted"),
    ],
)
def test_numbers_that_cannot_be_are_named(dataset: gato_data.Dataset, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        dataset.batches(**settings)


@pytest.mark.parametrize("at", ["breakout", 1.0, True, [0, 0.5], np.array([True, False]), None])
def test_episodes_are_asked_for_by_number(dataset: gato_data.Dataset, at: Any) -> None:
    with pytest.raises(TypeError, match="by a whole number, a slice or a list of whole numbers, not by "):
        dataset.episodes[at]


def test_what_is_no_episode_is_neither_encoded_nor_decoded(dataset: gato_data.Dataset) -> None:
    episode, task = dataset.episodes[0], dataset.tasks["breakout"]
    with pytest.raises(EpisodeError, match=r"such as episode\.sequence, not a ndarray"):
        gato_data.decode(episode.tokens, task)  # type: ignore[arg-type]
    with pytest.raises(EpisodeError, match=r"got TokenizedEpisode: that of a dataset has them as \.observations"):
        gato_data.encode(episode, task)  # type: ignore[arg-type]
