from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from gato_data.errors import SettingError
from gato_data.report.actions import sample_actions
from gato_data.report.answers import dataset_answer
from gato_data.report.dataset import summarize_dataset
from gato_data.report.episodes import list_episodes
from gato_data.report.quality import QualityFinding, Thresholds, judge
from gato_data.report.round_trip import round_trip
from gato_data.report.terminal.dataset import print_dataset
from gato_data.statistics import StatisticsBuilder
from gato_data.tokenize import TokenizeSettings, tokenize_episode
from gato_data.tokenizers import continuous
from gato_data.vocabulary import Vocabulary
from gato_schemas.dataset import read_manifest
from gato_schemas.episode import Episode, EpisodeSpec, Field
from tests.gato_data.report.folders import Folder, caption_folder, write_folder

SPEC = EpisodeSpec((Field("state", "continuous", (2,)),), (Field("move", "discrete"),))


def walk(seed: int, timesteps: int = 60, value: float = 1.0) -> Episode:
    random = np.random.default_rng(seed)
    return Episode(
        task="walk",
        agent="agent",
        observations={"state": random.normal(size=(timesteps, 2))},
        actions={"move": random.integers(0, 4, timesteps)},
        reward=np.full(timesteps, value, np.float32),
        episode_return=value * timesteps + seed / 10,
    )


def findings(tmp_path: Path, *splits: list[Episode], **thresholds: float) -> dict[str, QualityFinding]:
    names = ("train", "validation")[: len(splits)]
    content = Folder(name="walks", specs={"walk": SPEC}, splits={n: [s] for n, s in zip(names, splits, strict=True)})
    quality = judge(summarize_dataset(write_folder(tmp_path / "walks", content)), Thresholds.parse(thresholds))
    assert quality.problems == sum(finding.level == "problem" for finding in quality.findings)
    return {finding.check: finding for finding in quality.findings}


@pytest.fixture
def walks() -> list[Episode]:
    return [walk(seed) for seed in range(24)]


def test_good_data_has_no_findings(tmp_path: Path, walks: list[Episode]) -> None:
    assert findings(tmp_path, walks) == {}


def test_episodes_of_one_timestep(tmp_path: Path, walks: list[Episode]) -> None:
    found = findings(tmp_path / "many", [*walks, *(walk(seed, timesteps=1) for seed in range(30, 33))])["one_step"]
    assert (found.level, found.where, found.measure) == ("problem", "walk", 3 / 27)
    assert found.message == "11.1% of the episodes are one timestep long: are episodes cut apart?"
    few = findings(tmp_path / "few", [*walks, *(walk(seed, timesteps=1) for seed in range(30, 32))])["one_step"]
    assert (few.level, few.measure) == ("notice", 2 / 26)
    assert "one_step" not in findings(tmp_path / "one", [*walks, walk(30, timesteps=1)])


def changed(walks: list[Episode], change: Callable[[np.ndarray], np.ndarray]) -> list[Episode]:
    return [replace(e, observations={"state": change(np.array(e.observations["state"]))}) for e in walks]


def test_constant_fields(tmp_path: Path, walks: list[Episode]) -> None:
    found = findings(tmp_path, changed(walks, lambda state: np.full_like(state, 3.0)))
    assert found["constant"].level == "problem"
    assert found["constant"].message == "none of its 2 elements ever changes"
    assert found["constant"].where == "walk observation/state"


def test_a_constant_element_is_a_notice(tmp_path: Path, walks: list[Episode]) -> None:
    found = findings(tmp_path, changed(walks, lambda state: state * [1, 0]))
    assert found["constant"].level == "notice"
    assert found["constant"].message == "1 of 2 elements never change, at 1"


def test_saturated_fields(tmp_path: Path, walks: list[Episode]) -> None:
    found = findings(tmp_path, changed(walks, lambda state: state * 200))
    assert found["saturated"].level == "problem"
    assert 0.15 < found["saturated"].measure < 0.25  # P(|x| > 256) of a normal deviation of 200 is 0.20
    again = findings(tmp_path / "again", changed(walks, lambda state: state * 200), saturated=0.5)
    assert again["saturated"].level == "notice"


def test_fields_that_the_bins_are_too_coarse_for(tmp_path: Path, walks: list[Episode]) -> None:
    found = findings(tmp_path, changed(walks, lambda state: 100 + state / 10))
    assert found["coarse"].level == "problem"
    # near 100 a bin is log(25601) / 512 of the value: 2 units, 20 deviations
    assert found["coarse"].measure == pytest.approx(10, rel=0.1)
    assert found["few_bins"].level == "problem"


def test_idle_actions(tmp_path: Path, walks: list[Episode]) -> None:
    idle = [replace(e, actions={"move": np.where(np.arange(60) < 58, 0, e.actions["move"])}) for e in walks]
    found = findings(tmp_path, idle)
    assert found["idle"].level == "problem"
    assert found["idle"].measure > 58 / 60


def test_actions_that_repeat_the_one_before(tmp_path: Path, walks: list[Episode]) -> None:
    held = [replace(e, actions={"move": np.repeat(np.arange(20) % 3, 3)}) for e in walks]
    content = Folder(name="walks", specs={"walk": SPEC}, splits={"train": [held]})
    summary = summarize_dataset(write_folder(tmp_path / "walks", content))
    quality = judge(summary, Thresholds())
    assert quality.actions["walk"].repeated_actions == 40 / 59
    assert dataset_answer(summary, quality)["tasks"]["walk"]["repeated_actions"] == 40 / 59
    shown = StringIO()
    print_dataset(Console(file=shown, width=200), summary, quality)
    assert "67.8% of action tokens are those of the timestep before (a sample)" in shown.getvalue()


def test_copies_and_leaks(tmp_path: Path, walks: list[Episode]) -> None:
    copy = replace(walks[3], source_episode_id="another name")
    found = findings(tmp_path, [*walks, copy], [walks[5]])
    assert found["duplicates"].measure == pytest.approx(2 / 26)
    assert found["duplicates"].message.startswith("2 exact copies, ")
    assert "--record 3 " in found["duplicates"].message
    assert (found["leaks"].level, found["leaks"].measure) == ("problem", 1)
    assert found["leaks"].message.endswith("walks-validation.tfrecord-00000-of-00001 --record 0")


def test_length_and_return_outliers(tmp_path: Path, walks: list[Episode]) -> None:
    found = findings(tmp_path, [*walks, walk(100, 2), walk(101, 60, 50.0)])
    assert found["length_outliers"].measure == pytest.approx(1 / 26)
    assert "2 timesteps in walks-train.tfrecord-00000-of-00001 --record 24" in found["length_outliers"].message
    assert "--record 25" in found["return_outliers"].message


def test_captions_have_no_findings(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "captions", caption_folder())
    assert judge(summarize_dataset(folder), Thresholds()).findings == []


def test_thresholds() -> None:
    with pytest.raises(SettingError, match="there is no threshold 'saturation': there are missing, left_out"):
        Thresholds.parse({"saturation": 1})
    for value in (-1.0, float("nan")):
        with pytest.raises(SettingError, match="a number from 0 up is wanted"):
            Thresholds.parse({"idle": value})


def test_episodes_are_whole_whatever_their_chunks(tmp_path: Path) -> None:
    spec = EpisodeSpec((Field("image", "image", (16, 16, 3)),), (Field("move", "discrete"),))
    length = 12_000
    episode = Episode(
        task="walk",
        agent="agent",
        observations={"image": np.zeros((length, 16, 16, 3), np.uint8)},
        actions={"move": np.arange(length) % 5},
        reward=np.zeros(length, np.float32),
        episode_return=7.0,
    )
    short = replace(episode, observations={"image": np.zeros((1, 16, 16, 3), np.uint8)}, actions={"move": np.ones(1)})
    short = replace(short, reward=np.zeros(1, np.float32))
    folder = write_folder(tmp_path / "d", Folder(name="d", specs={"walk": spec}, splits={"train": [[episode, short]]}))
    episodes = list_episodes(folder, read_manifest(folder))
    assert episodes.timesteps.tolist() == [length, 1]
    assert episodes.tokens.tolist() == [3 * length, 3]
    assert episodes.record.tolist() == [0, 9]
    assert episodes.place(1) == "d-train.tfrecord-00000-of-00001 --record 9"
    sample = sample_actions(folder, read_manifest(folder))["walk"]
    assert sample.timesteps == length + 1
    assert sample.counts[0, :5].tolist() == [2400, 2401, 2400, 2400, 2400]


@pytest.mark.parametrize("is_action", [False, True])
@pytest.mark.parametrize("scale", [(None, None), (-5.0, 15.0)])
def test_no_value_loses_more_than_the_round_trip_says(
    is_action: bool, scale: tuple[float | None, float | None]
) -> None:
    random = np.random.default_rng(0)
    values = random.normal(size=(500, 3)) * [0.1, 3, 90]
    field = Field("x", "continuous", (3,), "float64", *scale)
    press = Field("press", "discrete")
    spec = EpisodeSpec(() if is_action else (field,), (field, press) if is_action else (press,))
    pressed = {"press": np.zeros(500, np.int64)}
    episode = Episode(
        task="t",
        observations={} if is_action else {"x": values},
        actions={"x": values, **pressed} if is_action else pressed,
    )
    vocabulary, settings = Vocabulary(), TokenizeSettings()
    sequence = tokenize_episode(episode, spec, vocabulary, settings)
    builder = StatisticsBuilder(vocabulary, settings)
    builder.add(episode, spec, sequence)
    manifest = type("M", (), {"tokenization": {}})()
    (row,) = (row for row in builder.result() if row.field == "x")
    trip = round_trip(field, row, is_action=is_action, manifest=manifest)
    assert trip is not None
    raw = values if scale[0] is None else continuous.rescale(values, *scale)
    decoded = continuous.decode(continuous.encode(raw, compand=not is_action), compand=not is_action)
    back = decoded if scale[0] is None else continuous.unscale(decoded, *scale)
    actual = float(np.abs(back - values).max())
    assert actual <= trip.worst <= 2 * actual + 1e-9
