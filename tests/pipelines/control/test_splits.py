"""`--split` takes TFDS's grammar, and TFDS itself is the reference."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gato_data.errors import InputError, SettingError
from gato_pipelines.containers.container import Container, File, RawItem
from gato_pipelines.control.splits import split_files
from gato_pipelines.ingest.run import IngestSettings, plan_only
from gato_pipelines.rlds.features import Features, Leaf
from tests.pipelines.sources.records import read_dataset
from tests.rlds_inputs import ingest, moving, write

LENGTHS = {"train": [3, 0, 5, 7], "val": [2, 1], "test-1": [4]}


@dataclass(frozen=True, kw_only=True)
class Counted(Container):
    """An input that is nothing but numbers of episodes."""

    lengths: dict[str, list[int | None]]

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(self.lengths)

    def files(self, split: str) -> list[File]:
        if split not in self.lengths:
            raise InputError(f"no split {split!r}")
        return [File(f"{split}-{number}", 100, count) for number, count in enumerate(self.lengths[split])]

    def episodes(
        self, file: str, leaves: tuple[Leaf, ...], first: int = 0, count: int | None = None
    ) -> Iterator[RawItem]:
        raise NotImplementedError


INPUT = Counted(path=Path(), name="counted", features=Features(()), lengths=dict(LENGTHS))


def ours(text: str) -> list[tuple[str, int]]:
    """Every episode that is read: its file, and its number in it."""
    files = split_files(INPUT, text)
    return [
        (file.name, number) for file in files for number in range(file.first, file.first + (file.num_episodes or 0))
    ]


def theirs(text: str) -> list[tuple[str, int]]:
    from tensorflow_datasets.core import naming, splits

    template = naming.ShardedFileTemplate(data_dir=Path("/x"), dataset_name="x", filetype_suffix="tfrecord")
    infos = [
        splits.SplitInfo(name=name, shard_lengths=lengths, num_bytes=0, filename_template=template.replace(split=name))
        for name, lengths in LENGTHS.items()
    ]
    found = []
    for made in splits._make_absolute_instructions(infos, text):
        every = [
            (f"{made.splitname}-{n}", at) for n, length in enumerate(LENGTHS[made.splitname]) for at in range(length)
        ]
        found += every[made.from_ : made.to]
    return found


@pytest.mark.parametrize(
    "text",
    [
        "train", "all", "train+val", "train + val", "train[:10%]", "train[10%:]", "train[33%:67%]", "train[-10%:]",
        "train[:-25%]+val[:50%]", "train[2:4]", "train[:1]", "train[-3:]", "train[-7:-2]", "train[3:9]", "train[:0]",
        "train[9:2]", "train[2shard]", "train[:2shard]", "train[-1shard:]", "train[-1shard]", "train[1shard:3shard]",
        "train[2.5%:]", "train[:1_0]", "train[2:40%]", "test-1[1:]", "train[:15]", "train[0:100%]",
    ],
)  # fmt: skip
def test_it_is_read_as_tfds_reads_it(text: str) -> None:
    assert ours(text) == theirs(text)


@given(st.integers(-100, 100) | st.none(), st.integers(-100, 100) | st.none())
@example(10, 50)
def test_percentages_are_rounded_as_tfds_rounds_them(first: int | None, last: int | None) -> None:
    if (first, last) == (None, None):
        return
    sides = ["" if side is None else f"{side}%" for side in (first, last)]
    assert ours(f"train[{':'.join(sides)}]") == theirs(f"train[{':'.join(sides)}]")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train[", "split 'train\\[' is none: one such as train, "),
        ("train[]", "split 'train\\[\\]' is none"),
        ("train[:]", "is none"),
        ("train[5]", "is none"),
        ("train[5%]", "is none"),
        ("train[1:2:3]", "is none"),
        ("train[a:b]", "is none"),
        ("train[10%:2shard]", "is none"),
        ("train[1.5:]", "holds '1.5', which is no number"),
        ("train[:101%]", "holds 101%: at most 100%"),
        ("train[:16]", r"split 'train\[:16\]' reaches beyond the 15 episodes that there are"),
        ("train[-16:]", "reaches beyond"),
        ("", "is none"),
        ("train+", "is none"),
        ("train+train", "split 'train\\+train' names episodes of train-0 twice"),
        ("train[:4]+train[3:]", "names episodes of train-2 twice"),
    ],
)
def test_what_is_no_split(text: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        ours(text)


@pytest.mark.parametrize("text", ["tran", "val+tran", "all[:3]"])
def test_an_unknown_split(text: str) -> None:
    with pytest.raises(InputError, match=r"no split '(tran|all)'"):
        ours(text)


def test_two_parts_of_one_file_are_read_once_each() -> None:
    assert ours("train[:1]+train[2:3]") == [("train-0", 0), ("train-0", 2)]


def test_slices_need_numbers_of_episodes() -> None:
    unknown = replace(INPUT, lengths={"train": [3, None]})
    assert len(split_files(unknown, "train")) == 2
    message = r"^counted does not say how many episodes its files hold, so that 'train\[:1\]' cannot be told: give the "
    with pytest.raises(InputError, match=message):
        split_files(unknown, "train[:1]")


def test_a_slice_gives_the_tokens_of_its_episodes(tmp_path: Path) -> None:
    folder = write(tmp_path / "rlds", [moving(number) for number in range(7)], shards=3)
    ingest(folder, tmp_path / "whole" / "arm", source="rlds")
    ingest(folder, tmp_path / "piece" / "arm", source="rlds", settings={"split": "train[30%:90%]"})
    whole = [episode.tokens.tolist() for episode in read_dataset(tmp_path / "whole" / "arm")]
    assert [episode.tokens.tolist() for episode in read_dataset(tmp_path / "piece" / "arm")] == whole[2:6]
    parts = plan_only("rlds", {"split": "train[30%:90%]"}, folder, tmp_path / "x", IngestSettings()).plan.parts
    assert [(part.file[-14:], part.first, part.count) for part in parts] == [
        ("00001-of-00003", 0, 2),
        ("00002-of-00003", 0, 2),
    ]


@pytest.mark.parametrize("name", ["jat/atari-breakout", "minari/mujoco/hopper/sample-v0"])
def test_other_formats_take_it_too(name: str, tmp_path: Path) -> None:
    folder = Path(__file__).parents[2] / "data" / name
    for split, count in (("train[:1]", 1), ("all", None), ("train[-1:]", 1)):
        plan = plan_only("rlds", {"split": split}, folder, tmp_path / "x", IngestSettings()).plan
        assert count is None or sum(part.count for part in plan.parts) == count


def test_raw_files_do_not_say_how_many_episodes_they_hold(tmp_path: Path) -> None:
    folder = Path(__file__).parents[2] / "data" / "rlu_raw" / "Breakout"
    with pytest.raises(InputError, match=r"does not say how many episodes .* with --max-episodes"):
        plan_only("atari", {"split": "train[:1]"}, folder, tmp_path / "x", IngestSettings())
