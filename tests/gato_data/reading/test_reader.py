"""Every window of every kind of dataset, against whole episodes decoded from the shards."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from gato_data.distinct_patches import bucket
from gato_data.errors import MixtureError, SettingError
from gato_data.mixing.make import add_stage
from gato_data.reading.batch import PADDING, Batch
from gato_data.reading.reader import MixtureReader, ReadSettings, open_mixture
from gato_schemas.mixture import encode_mixture, read_mixture
from gato_schemas.sequence import POSITION_NONE, Modality
from tests.gato_data.reading.folders import Whole, decode, episodes, write_dataset

KINDS = ("pong", "raw", "walker", "told", "captions", "pages")
Mix = Callable[..., Path]


def plain(**changes: object) -> ReadSettings:
    return ReadSettings(**{"context_length": 64, "prompt_share": 0.0, **changes})  # type: ignore[arg-type]


def check_piece(batch: Batch, row: int, slot: int, whole: Whole, start: int, stop: int) -> None:
    """Tokens start .. stop - 1 of an episode stand in a row from a slot on, with all that belongs to them."""
    sequence, here = whole.sequence, slice(slot, slot + stop - start)
    modality = sequence.modality[start:stop]
    is_patch = modality == Modality.PATCH
    assert np.array_equal(batch.tokens[row, here], np.where(is_patch, 0, sequence.tokens[start:stop]))
    assert np.array_equal(batch.modality[row, here], modality)
    assert np.array_equal(batch.position[row, here], sequence.position[start:stop])
    slots = row * batch.tokens.shape[1] + slot + np.flatnonzero(is_patch)
    numbers = np.searchsorted(batch.patch_slot, slots)
    assert np.array_equal(batch.patch_slot[numbers], slots)
    first = int(np.count_nonzero(sequence.modality[:start] == Modality.PATCH))
    patches = slice(first, first + len(slots))
    assert np.array_equal(batch.patches[numbers], sequence.patches[patches])
    assert np.array_equal(batch.patch_position[numbers], sequence.patch_position[patches])


def check_padding(batch: Batch) -> None:
    beyond = np.arange(batch.tokens.shape[1]) >= batch.length[:, None]
    assert np.array_equal(batch.modality == PADDING, beyond)
    assert not batch.tokens[beyond].any()
    assert not batch.loss_mask[beyond].any()
    assert (batch.position[beyond] == POSITION_NONE).all()
    assert np.array_equal(batch.patch_slot, np.flatnonzero(batch.modality == Modality.PATCH))
    assert np.array_equal(batch.supervised_slot, np.flatnonzero(batch.loss_mask[:, 1:]))


@pytest.mark.parametrize("window", ["timestep", "token"])
@pytest.mark.parametrize("context_length", [20, 64, 250])
@pytest.mark.parametrize("kind", KINDS)
def test_an_epoch_trains_on_every_target_once(
    library: Path, mix: Mix, kind: str, context_length: int, window: str
) -> None:
    settings = plain(context_length=context_length, window=window)
    wholes = decode(library / kind)
    with open_mixture(mix(library / kind), settings=settings) as reader:
        for epoch in range(2):
            trained = [np.zeros(whole.sequence.num_tokens, int) for whole in wholes]
            samples = range(epoch * reader.num_windows, (epoch + 1) * reader.num_windows)
            batch = reader.batch(samples)
            windows = reader.planner.windows(np.arange(samples.start, samples.stop))
            for row, episode in enumerate(windows.episode.tolist()):
                whole = wholes[episode]
                start, first, last = (int(getattr(windows.spans, name)[row]) for name in ("start", "first", "last"))
                assert 0 <= start <= first <= last < start + context_length + 1
                assert batch.length[row] == last - start + 1
                check_piece(batch, row, 0, whole, start, last + 1)
                mask = whole.sequence.loss_mask[start : last + 1].copy()
                mask[: first - start + 1] = 0
                assert np.array_equal(batch.loss_mask[row, : len(mask)], mask)
                trained[episode][first + 1 : last + 1] += 1
            check_padding(batch)
            assert all((count[1:] == 1).all() and count[0] == 0 for count in trained)


@pytest.mark.parametrize("kind", ["pong", "walker", "told"])
def test_windows_begin_at_timesteps(library: Path, mix: Mix, kind: str) -> None:
    wholes = decode(library / kind)
    with open_mixture(mix(library / kind), settings=plain(context_length=100)) as reader:
        windows = reader.planner.windows(np.arange(2 * reader.num_windows))
    starts = [wholes[e].sequence.timestep_starts.tolist() for e in windows.episode.tolist()]
    assert all(start in known for start, known in zip(windows.spans.start.tolist(), starts, strict=True))
    assert len(set(windows.spans.start.tolist())) > 5


def test_a_window_in_the_middle_of_a_timestep_has_its_true_positions(library: Path, mix: Mix) -> None:
    with open_mixture(mix(library / "walker"), settings=plain(window="token")) as reader:
        batch = reader.batch(range(20 * reader.num_windows))
    assert set(batch.position[:, 0].tolist()) >= {1, 2, 3, 4, 65534, 65535}


def test_a_path_may_be_text(library: Path, mix: Mix) -> None:
    path = mix(library / "walker")
    with open_mixture(str(path)) as told, open_mixture(path) as given:
        assert told.fingerprint == given.fingerprint


def test_phases_differ_between_epochs(library: Path, mix: Mix) -> None:
    with open_mixture(mix(library / "walker"), settings=plain()) as reader:
        n = reader.num_windows
        first, second = (reader.planner.windows(np.arange(e * n, e * n + n)) for e in range(2))
    starts = [set(zip(w.episode.tolist(), w.spans.first.tolist(), strict=True)) for w in (first, second)]
    assert starts[0] != starts[1]
    assert first.number.tolist() != second.number.tolist()
    assert sorted(first.number.tolist()) == sorted(second.number.tolist()) == list(range(n))


@pytest.mark.parametrize("kind", ["pong", "told", "captions", "pages"])
def test_windows_do_not_depend_on_how_episodes_are_cut_into_records(tmp_path: Path, mix: Mix, kind: str) -> None:
    made = episodes(kind, [40, 90, 3, 61])
    settings = ReadSettings(context_length=70, verify="full")
    batches = []
    for name, limit in (("whole", None), ("cut", 150)):
        folder = write_dataset(tmp_path / name / kind, {"train": [made]}, chunk_tokens=limit)
        with open_mixture(mix(folder), settings=settings) as reader:
            batches.append(reader.batch(range(3 * reader.num_windows)))
    whole, cut = batches
    for name in ("tokens", "loss_mask", "modality", "position", "length", "sample", "patches", "patch_position"):
        assert np.array_equal(getattr(whole, name), getattr(cut, name)), name


@pytest.mark.parametrize("kinds", [("pong",), ("raw",), ("pong", "raw"), ("captions",), ("walker",)])
@pytest.mark.parametrize("map_files", [True, False])
@pytest.mark.parametrize("inflated", [None, 0, 5000])
def test_every_distinct_patch_of_a_batch_comes_once(
    library: Path, mix: Mix, kinds: tuple[str, ...], map_files: bool, inflated: int | None
) -> None:
    """Of whatever records; then come zeros, also where a larger batch stood in the same memory before."""
    settings = plain(map_files=map_files, inflated=inflated)
    with open_mixture(mix(*(library / kind for kind in kinds)), settings=settings) as reader:
        for batch in reader.stream([range(40), range(40, 43), range(43, 60), range(60, 60)]):
            distinct, count = batch.distinct_patches, batch.num_distinct
            assert len(distinct) == (bucket(count) if count else 0)
            assert not distinct[count:].any()
            rows = distinct[:count].reshape(count, 768)
            assert len(np.unique(rows, axis=0)) == count
            assert np.array_equal(np.unique(batch.patch_index), np.arange(count))
            assert len(batch.patch_index) == len(batch.patch_slot)


def test_the_same_game_in_two_encodings_has_its_patches_once(library: Path, tmp_path: Path, mix: Mix) -> None:
    made = episodes("pong", [30, 40])
    both = [write_dataset(tmp_path / name, {"train": [made]}, encoding=name) for name in ("raw", "zlib")]  # type: ignore[arg-type]
    counts = []
    for folders in (both[:1], both):
        with open_mixture(mix(*folders), settings=plain()) as reader:
            counts.append(reader.batch(range(6 * reader.num_windows)).num_distinct)
    assert counts[0] == counts[1] > 0


def assert_same(one: Batch, other: Batch) -> None:
    for column in fields(Batch):
        mine, theirs = getattr(one, column.name), getattr(other, column.name)
        assert (mine is None and theirs is None) or np.array_equal(mine, theirs), column.name


def test_streams_equal_batches_for_any_number_of_threads(library: Path, mix: Mix) -> None:
    path = mix(*(library / kind for kind in KINDS))
    ranges = [range(n * 5, n * 5 + 5) for n in range(12)]
    ranges += [range(60, 60), range(60, 61), range(61, 80), range(3, 9)]
    for threads in (1, 2, 5):
        with open_mixture(path, settings=ReadSettings(context_length=80, threads=threads)) as reader:
            seen = 0
            for batch, samples in zip(reader.stream(iter(ranges)), ranges, strict=True):
                assert_same(batch, reader.batch(samples))
                seen += 1
            assert seen == len(ranges)


def test_a_stream_may_be_endless_and_left(library: Path, mix: Mix) -> None:
    def forever():  # type: ignore[no-untyped-def]
        step = 0
        while True:
            yield range(step * 4, step * 4 + 4)
            step += 1

    with open_mixture(mix(library / "pong"), settings=plain()) as reader:
        stream = reader.stream(forever())
        samples = [next(stream).sample.tolist() for _ in range(700)]
        stream.close()
    assert [n for batch in samples for n in batch] == list(range(2800))


def test_one_index_in_memory_and_one_open_file_suffice(library: Path, mix: Mix) -> None:
    path = mix(*(library / kind for kind in KINDS))
    with open_mixture(path, settings=ReadSettings(context_length=80)) as reader:
        wanted = reader.batch(range(40))
    with open_mixture(path, settings=ReadSettings(context_length=80, max_open_files=1, memory=2**20)) as reader:
        reader._files.limit_indexes(0)
        assert_same(reader.batch(range(40)), wanted)
        assert len(reader._files._open) == 1
        assert len(reader._files._indexes) == 1


def test_large_tables_are_read_as_int32(tmp_path: Path, mix: Mix) -> None:
    made = episodes("walker", [20, 9], large_ids=True)
    folder = write_dataset(tmp_path / "large", {"train": [made]}, large_ids=True)
    with open_mixture(mix(folder), settings=plain()) as reader:
        batch = reader.batch(range(4))
        assert reader.vocabulary_size == 71_025
    assert batch.tokens.max() > 65_535
    assert (batch.tokens[batch.modality == Modality.CONTINUOUS] >= 70_000).all()


def test_validation_reads_the_datasets_that_have_it(library: Path, mix: Mix) -> None:
    path = mix(library / "walker", library / "pong")
    with open_mixture(path, split="validation", settings=plain()) as reader:
        batch = reader.batch(range(20))
        assert reader.dataset_names == ("walker", "pong")
    assert set(batch.dataset.tolist()) == {1}
    later = add_stage(read_mixture(path), path, 50, [], "pong=0,walker=1")
    path.write_bytes(encode_mixture(later))
    with pytest.raises(MixtureError, match="the datasets that are drawn have no window in split 'validation'"):
        open_mixture(path, split="validation", settings=plain())
    with pytest.raises(MixtureError, match="no dataset of the mixture has a window in split 'validation'"):
        open_mixture(mix(library / "walker"), split="validation", settings=plain())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"context_length": 0}, "context_length 0 is not possible"),
        ({"threads": 0}, "threads 0 is not possible"),
        ({"prompt_share": 1.5}, "prompt_share 1.5 is not a share"),
        ({"prompt_tokens": 64}, "leaves nothing of a context of 64"),
        ({"window": "epoch"}, "window 'epoch' is unknown"),
        ({"inflated": -1}, "inflated -1 is not possible"),
        ({"memory": 1000}, "memory 1kB is not possible: at least 1MiB is wanted"),
        ({"cache_size": "16GB"}, "cache_size '16GB' is not possible: a whole number of bytes is wanted"),
        ({"memory": 2**30, "inflated": 2**29}, "more than a quarter of the memory, 256.0 MiB: raise --memory"),
    ],
)
def test_impossible_settings_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        plain(**changes)


def test_a_batch_beyond_the_memory_is_refused(library: Path, mix: Mix) -> None:
    with (
        open_mixture(mix(library / "pong"), settings=plain(memory=2**21)) as reader,
        pytest.raises(SettingError, match="a batch of 1000 windows of 64 can take 51 MiB"),
    ):
        next(reader.stream([range(1000)]))


def test_a_window_beyond_the_memory_is_refused(library: Path, mix: Mix) -> None:
    with pytest.raises(SettingError, match="a batch of 1 windows of 100000000 can take"):
        open_mixture(mix(library / "pong"), settings=plain(context_length=10**8))


def test_prompts_come_from_another_episode_of_the_same_task_and_agent(library: Path, mix: Mix) -> None:
    for kind in ("pong", "walker", "told"):
        wholes = decode(library / kind)
        settings = ReadSettings(context_length=120, prompt_share=0.25, prompt_end_share=0.5)
        with open_mixture(mix(library / kind), settings=settings) as reader:
            batch = reader.batch(range(400))
            pieces, windows = reader.planner.plan([range(400)])[0].pieces, reader.planner.windows(np.arange(400))
            prompts = reader.planner.prompter.choose(windows)
        check_padding(batch)
        assert 90 <= len(prompts.row) <= 100
        assert abs(int(prompts.from_end.sum()) - len(prompts.row) / 2) <= 5
        rows = dict(zip(prompts.row.tolist(), range(len(prompts.row)), strict=True))
        bases = np.cumsum([0, *(whole.sequence.num_tokens for whole in wholes)])
        for row in range(400):
            mine = np.flatnonzero(pieces.row == row)
            main = wholes[int(windows.episode[row])]
            last = int(mine[-1])
            start = int(pieces.token[last] - bases[windows.episode[row]])
            check_piece(batch, row, int(pieces.slot[last]), main, start, start + int(pieces.length[last]))
            assert len(mine) == 1 + (row in rows)
            if row not in rows:
                continue
            number = rows[row]
            other = wholes[int(prompts.episode[number])]
            assert (other.task, other.agent) == (main.task, main.agent)
            assert other.episode_id != main.episode_id
            begin, length = int(prompts.start[number]), int(prompts.length[number])
            assert length <= 60
            assert begin in other.sequence.timestep_starts
            assert begin + length in (*other.sequence.timestep_starts, other.sequence.num_tokens)
            if prompts.from_end[number]:
                assert begin + length == other.sequence.num_tokens
            check_piece(batch, row, 0, other, begin, begin + length)
            assert pieces.slot[last] == length
            assert batch.loss_mask[row, length] == 0
            assert np.array_equal(batch.loss_mask[row, 1:length], other.sequence.loss_mask[begin + 1 : begin + length])


def test_prompts_can_be_left_untrained_or_out(library: Path, mix: Mix) -> None:
    path = mix(library / "walker")
    with open_mixture(path, settings=ReadSettings(context_length=64, prompt_share=1.0, prompt_loss=False)) as reader:
        batch, plan = reader.batch(range(50)), reader.planner.plan([range(50)])[0]
    rows, counts = np.unique(plan.pieces.row, return_counts=True)
    assert (counts == 2).all()
    first = plan.pieces.slot == 0
    for row, length in zip(plan.pieces.row[first].tolist(), plan.pieces.length[first].tolist(), strict=True):
        assert not batch.loss_mask[row, : length + 1].any()
        assert length <= 32
    with open_mixture(path, settings=ReadSettings(context_length=64, prompt_share=1.0, prompt_tokens=0)) as reader:
        assert len(reader.planner.plan([range(50)])[0].pieces.row) == 50
    assert len(rows) == 50


def test_documents_and_lone_episodes_get_no_prompt(library: Path, mix: Mix, tmp_path: Path) -> None:
    lone = write_dataset(tmp_path / "lone", {"train": [episodes("walker", [30, 30])]}, family="dm-control")
    for folder in (library / "captions", lone):
        with open_mixture(mix(folder), settings=ReadSettings(context_length=64, prompt_share=1.0)) as reader:
            assert len(reader.planner.plan([range(50)])[0].pieces.row) == 50


def test_packing_puts_short_episodes_side_by_side(tmp_path: Path, mix: Mix) -> None:
    sizes = np.random.default_rng(0).integers(2, 120, 200).tolist()
    made = episodes("pages", [*sizes, 700, 300])
    folder = write_dataset(tmp_path / "short", {"train": [made]}, family="massivetext")
    wholes = decode(folder)
    with open_mixture(mix(folder), settings=plain(context_length=255)) as reader:
        alone = reader.num_windows
    with open_mixture(mix(folder), settings=plain(context_length=255, pack=True)) as reader:
        packed = reader.num_windows
        batch, plan = reader.batch(range(packed)), reader.planner.plan([range(packed)])[0]
    total = sum(whole.sequence.num_tokens for whole in wholes)
    assert alone == 200 + 3 + 2
    assert packed <= total / 256 + 4
    check_padding(batch)
    bases = np.cumsum([0, *(whole.sequence.num_tokens for whole in wholes)])
    seen = np.zeros(total, int)
    pieces = plan.pieces
    assert batch.segment is not None
    for number in range(len(pieces.row)):
        row, slot, length = (int(getattr(pieces, name)[number]) for name in ("row", "slot", "length"))
        episode = int(np.searchsorted(bases, pieces.token[number], side="right")) - 1
        start = int(pieces.token[number] - bases[episode])
        check_piece(batch, row, slot, wholes[episode], start, start + length)
        assert (batch.segment[row, slot : slot + length] == pieces.segment[number]).all()
        assert batch.loss_mask[row, slot] == 0
        untrained = int(pieces.untrained[number])
        seen[pieces.token[number] + untrained : pieces.token[number] + length] += 1
    assert seen.max() == 1
    assert np.flatnonzero(seen == 0).tolist() == bases[:-1].tolist()


def test_without_packing_there_are_no_segments(library: Path, mix: Mix) -> None:
    with open_mixture(mix(library / "pages"), settings=plain()) as reader:
        assert reader.batch(range(3)).segment is None
        assert isinstance(reader, MixtureReader)
