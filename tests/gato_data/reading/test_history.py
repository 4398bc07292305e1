"""Windows whose timesteps see a limited number of earlier ones."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gato_data.errors import SettingError
from gato_data.reading.history import ANY, limits, parse_history
from gato_data.reading.reader import ReadSettings, open_mixture
from gato_schemas.sequence import POSITION_ACTION
from tests.gato_data.reading.folders import episodes, write_dataset

Mix = Callable[..., Path]


def settings(history: str | None, **changes: object) -> ReadSettings:
    return ReadSettings(**{"context_length": 64, "history": history, **changes})  # type: ignore[arg-type]


def timesteps(position: np.ndarray) -> list[int]:
    """The timestep of every token of a window that begins with one, counted the slow way."""
    found, number = [], 0
    for at, code in enumerate(position.tolist()):
        if at and position[at - 1] == POSITION_ACTION and code != POSITION_ACTION:
            number += 1
        found.append(number)
    return found


@pytest.mark.parametrize("history", [0, 1, 2])
@pytest.mark.parametrize("kind", ["walker", "told", "pong"])
def test_so_many_timesteps_stand_together_and_no_more(library: Path, mix: Mix, kind: str, history: int) -> None:
    mixture = mix(library / kind)
    with open_mixture(mixture, settings=settings(None, prompt_share=0.0)) as reader:
        samples = range(reader.num_windows)
        free = reader.batch(samples)
    with open_mixture(mixture, settings=settings(str(history))) as reader:
        limited = reader.batch(samples)
    assert limited.segment is not None
    for name in ("tokens", "modality", "position", "length"):
        assert np.array_equal(getattr(free, name), getattr(limited, name)), name
    alone = 0
    for row, length in enumerate(limited.length.tolist()):
        segment = limited.segment[row, :length]
        assert segment.tolist() == [number // (history + 1) for number in timesteps(limited.position[row, :length])]
        first = np.flatnonzero(np.diff(segment, prepend=-1))
        assert not limited.loss_mask[row, first].any()
        rest = np.setdiff1d(np.arange(length), first)
        assert np.array_equal(limited.loss_mask[row, rest], free.loss_mask[row, rest])
        alone += len(first)
    assert alone > len(samples)
    assert np.array_equal(limited.supervised_slot, np.flatnonzero(limited.loss_mask[:, 1:]))


def test_a_limit_of_one_dataset_leaves_the_others_and_their_prompts(library: Path, mix: Mix) -> None:
    mixture = mix(library / "walker", library / "pong")
    prompts = {}
    for history in (None, "walker=0"):
        with open_mixture(mixture, settings=settings(history, prompt_share=1.0)) as reader:
            windows = reader.explain(range(80))
            batch = reader.batch(range(80))
        prompts[history] = {
            name: sum(len(w.pieces) > 1 for w in windows if w.dataset == name) for name in ("walker", "pong")
        }
    assert prompts[None]["walker"] > 0
    assert prompts["walker=0"] == {"walker": 0, "pong": prompts[None]["pong"]}
    assert batch.segment is not None
    is_pong = batch.dataset == reader.dataset_names.index("pong")
    assert not batch.segment[is_pong].any()
    assert np.median(batch.segment[~is_pong].max(axis=1)) == 8


def test_packed_episodes_are_limited_too(tmp_path: Path, mix: Mix) -> None:
    folder = write_dataset(tmp_path / "short", {"train": [episodes("walker", [2, 3, 4, 5] * 3)]})
    with open_mixture(mix(folder), settings=settings("0", pack=True)) as reader:
        batch = reader.batch(range(reader.num_windows))
        plan = reader.planner.plan([range(reader.num_windows)])[0]
    assert batch.segment is not None
    for row, slot in zip(plan.pieces.row.tolist(), plan.pieces.slot.tolist(), strict=True):
        if slot:
            assert batch.segment[row, slot] == batch.segment[row, slot - 1] + 1
    for row, length in enumerate(batch.length.tolist()):
        actions = np.count_nonzero(np.diff((batch.position[row, :length] == POSITION_ACTION).astype(int)) == 1)
        assert batch.segment[row, length - 1] + 1 == actions
        assert (batch.segment[row, length:] == batch.segment[row, length - 1]).all()


def test_a_run_goes_on_as_it_began_where_there_is_no_limit(library: Path, mix: Mix) -> None:
    assert "history" not in ReadSettings().stream()
    assert settings("walker=0").stream()["history"] == "walker=0"
    with open_mixture(mix(library / "walker"), settings=settings("0")) as reader:
        assert reader.planner.identity()["history"] == '"0"'


def test_histories_as_they_are_written() -> None:
    assert parse_history("3") == {"": 3}
    assert parse_history("a=0, b[task=x,return>=2]=12") == {"a": 0, "b[task=x,return>=2]": 12}
    found = limits("b=2", ["a", "b"])
    assert found is not None
    assert found.tolist() == [ANY, 2]
    assert limits(None, ["a"]) is None


@pytest.mark.parametrize("text", ["", "-1", "a=", "=2", "a=b", "a=-1", "1,2", "a=1,", "a=1.5", "٣"])
def test_what_is_no_history_is_one_sentence(text: str) -> None:
    with pytest.raises(SettingError, match="is no history: a number of timesteps, or NAME=N,NAME=N, is wanted"):
        settings(text)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (3, "3"),
        ("03", "3"),
        ("b=1, a=0", "a=0,b=1"),
        ("b[ task = x , return >= 2.0 ]=1,a=2", "a=2,b[task=x,return>=2]=1"),
        ('a[task="x],y"]=4,b=0', 'a[task="x],y"]=4,b=0'),
    ],
)
def test_equal_histories_are_one_setting(given: object, kept: str) -> None:
    assert settings(given).history == kept  # type: ignore[arg-type]
    assert settings(kept) == settings(given)  # type: ignore[arg-type]


@pytest.mark.parametrize("given", [1.0, True, ["a=1"], {"a": 1}])
def test_what_is_neither_number_nor_text_is_one_sentence(given: object) -> None:
    with pytest.raises(SettingError, match="is none: a number of timesteps, or a text NAME=N,NAME=N, is wanted"):
        settings(given)  # type: ignore[arg-type]


def test_a_long_text_is_read_at_once() -> None:
    with pytest.raises(SettingError, match="is no history"):
        parse_history("," * 10**6 + "[" * 10**6)


def test_a_view_by_name_has_a_history_of_its_own(library: Path, mix: Mix) -> None:
    mixture = mix(library / "walker", weights="walker[length>=2,share=0:1]=1")
    with open_mixture(mixture, settings=settings("walker[ length>=2, share=0:1.0 ]=0")) as reader:
        segment = reader.batch(range(2)).segment
    assert segment is not None
    assert segment.max() > 1
    with pytest.raises(SettingError, match=r"'walker', which is not in the mixture.* It has walker\[length>=2"):
        open_mixture(mixture, settings=settings("walker=0"))


def test_names_that_cannot_be(library: Path, mix: Mix) -> None:
    with pytest.raises(SettingError, match="has two numbers for dataset a: give it one"):
        settings("a=1,a=2")
    with pytest.raises(SettingError, match="names dataset 'walk', which is not in the mixture"):
        open_mixture(mix(library / "walker"), settings=settings("walk=1"))
