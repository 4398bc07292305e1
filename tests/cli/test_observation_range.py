"""Ranges of observations at the command line: found, stored, undone, the same for a live observation."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gato_data
from gato_data.timestep import Observer
from gato_data.tokenize import TokenizeSettings
from gato_data.vocabulary import Vocabulary
from gato_schemas.dataset import TaskInfo, read_manifest
from gato_schemas.episode import Field
from tests.cli.command import run
from tests.pipelines.live import compare
from tests.pipelines.sources.made import episode, tensor, write

LEAVES = (
    tensor("steps/observation/state", shape=(2,)),
    tensor("steps/observation/still", shape=()),
    tensor("steps/action", shape=(2,)),
    tensor("steps/reward"),
)
RAMP = np.stack([np.linspace(-200, 300, 400), np.linspace(3, 4, 400)], axis=1)


def robot(folder: Path, *states: np.ndarray, name: str = "arm") -> Path:
    made = [
        episode(
            {
                "observation/state": values.astype(np.float32),
                "observation/still": np.full(len(values), 7, np.float32),
                "action": np.tile(np.float32([0.5, -0.5]), (len(values), 1)),
                "reward": np.ones(len(values), np.float32),
            }
        )
        for values in states
    ]
    return write(folder, LEAVES, made, name=name)


def done(*arguments: Any) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, result.stderr
    return str(result.stdout)


def ids(out: Path) -> np.ndarray:
    """Bins of the two numbers of the state, over all timesteps."""
    tokens = np.concatenate([each.sequence.tokens for each in gato_data.open(out).episodes])
    return np.asarray(tokens.reshape(-1, 6)[:, :2].astype(np.int64) - 32_000)


def test_each_element_takes_its_own_range(tmp_path: Path) -> None:
    """Cut into 1,024 equal bins, not companded: golden ids of a ramp, and its values back within half a bin."""
    folder, out = robot(tmp_path / "in", RAMP[:200], RAMP[200:]), tmp_path / "out"
    dry = done("ingest", "rlds", folder, "--out", out, "--observation-range", "minmax", "--dry-run")
    assert "-200:300 3:4" in dry
    done("ingest", "rlds", folder, "--out", out, "--observation-range", "minmax")
    task = read_manifest(out).tasks["arm"]
    state, still = task.observations
    assert (state.low, state.high, state.compand) == ((-200.0, 3.0), (300.0, 4.0), False)
    assert (still.low, still.high) == ((6.0,), (8.0,))
    assert (task.actions[0].low, task.actions[0].high) == (None, None)
    scaled = (RAMP.astype(np.float32).astype(np.float64) - [-200, 3]) / [500, 1]
    assert ids(out).tolist() == np.minimum((scaled * 1024).astype(int), 1023).tolist()
    assert read_manifest(out).source.settings["observation_range"] == "minmax"
    found = gato_data.decode(gato_data.open(out).episodes[0].sequence, gato_data.open(out).tasks["arm"])
    np.testing.assert_allclose(found["observations"]["state"], RAMP[:200], atol=250 / 1024 + 1e-4)
    np.testing.assert_allclose(found["observations"]["state"][:, 1], RAMP[:200, 1], atol=0.5 / 1024 + 1e-6)
    assert compare(out, [folder]) == 400
    shown = json.loads(done("inspect", "dataset", out, "--json"))
    assert shown
    done("verify", out)


def test_without_one_they_are_companded_as_before(tmp_path: Path) -> None:
    folder, out = robot(tmp_path / "in", RAMP), tmp_path / "out"
    done("ingest", "rlds", folder, "--out", out)
    assert "observation_range" not in read_manifest(out).source.settings
    assert read_manifest(out).tasks["arm"].observations[0].compand
    asked = tmp_path / "asked"
    done("ingest", "rlds", folder, "--out", asked, "--name", "out", "--observation-range", "none")
    assert read_manifest(asked).fingerprint == read_manifest(out).fingerprint


def test_quantiles_leave_outliers_out(tmp_path: Path) -> None:
    wild = RAMP.copy()
    wild[7] = 1e6
    folder, out = robot(tmp_path / "in", wild), tmp_path / "out"
    result = run("ingest", "rlds", folder, "--out", out, "--observation-range", "quantile")
    assert result.exit_code == 0
    assert "clipped (they" not in result.stderr
    high = read_manifest(out).tasks["arm"].observations[0].high
    assert isinstance(high, tuple)
    assert high[0] < 310
    assert compare(out, [folder]) == 400


def test_one_range_for_all_clips_aloud(tmp_path: Path) -> None:
    folder, out = robot(tmp_path / "in", RAMP), tmp_path / "out"
    options = ("--out", out, "--observation-range=-100:100")
    said = "of the values of observation 'state' of task 'arm'"
    assert said in done("ingest", "rlds", folder, *options, "--dry-run")
    result = run("ingest", "rlds", folder, *options)
    assert f"{said} were clipped (they reach from -200 to 300): --observation-range minmax" in result.stderr
    clipped = [note for note in read_manifest(out).account if note.kind == "clipped"]
    outside = (RAMP.astype(np.float32) < -100) | (RAMP.astype(np.float32) > 100)
    assert [note.count for note in clipped] == [int(outside.sum())]


def test_a_dropped_final_step_and_other_tasks_do_not_count(tmp_path: Path) -> None:
    one, other = robot(tmp_path / "one", RAMP[:9], name="one"), robot(tmp_path / "two", RAMP[100:200], name="other")
    out = tmp_path / "out"
    done("ingest", "rlds", one, other, "--out", out, "--observation-range", "minmax", "--final-step", "drop")
    tasks = read_manifest(out).tasks
    assert tasks["one"].observations[0].high == tuple(RAMP[7].astype(np.float32).astype(float))
    assert tasks["other"].observations[0].low == tuple(RAMP[100].astype(np.float32).astype(float))


def test_more_of_the_same(tmp_path: Path) -> None:
    """What lies within the range is appended, what does not is refused; other ranges are not merged."""
    old, within = robot(tmp_path / "a", RAMP), robot(tmp_path / "b", RAMP[50:60])
    beyond, out = robot(tmp_path / "c", RAMP * 2), tmp_path / "out"
    options = ("--observation-range", "minmax")
    done("ingest", "rlds", old, "--out", out, *options)
    done("ingest", "rlds", within, "--out", out, *options, "--append")
    refused = run("ingest", "rlds", beyond, "--out", out, *options, "--append")
    assert refused.exit_code == 1
    assert "observation 'state' of task 'arm' has the range -200:300 3:4 in" in refused.stderr
    assert "with the other's --observation-range LOW:HIGH" in refused.stderr
    done("ingest", "rlds", old, "--out", tmp_path / "plain")
    refused = run("merge", out, tmp_path / "plain", "--out", tmp_path / "both")
    assert refused.exit_code == 1
    assert "has the range -200:300 3:4 in" in refused.stderr


def test_what_cannot_be_a_range(tmp_path: Path) -> None:
    folder, out = robot(tmp_path / "in", RAMP), tmp_path / "out"
    for value, message in (
        ("wide", "'wide' is neither none, minmax, quantile, stats nor a range such as -1:1"),
        ("3:3", "'3:3' is an empty range"),
        ("stats", "has no statistics for observation 'state' of 2: --observation-range minmax finds the same"),
    ):
        result = run("ingest", "rlds", folder, "--out", out, "--observation-range", value)
        assert result.exit_code in (1, 2)
        assert message in result.stderr


def test_the_statistics_of_a_lerobot_dataset(tmp_path: Path) -> None:
    folder, out = Path(__file__).parents[1] / "data" / "lerobot" / "arm-v30", tmp_path / "out"
    done("ingest", "lerobot", folder, "--out", out, "--observation-range", "stats", "--drop-keys", "images/*")
    (task,) = read_manifest(out).tasks.values()
    said = json.loads((folder / "meta" / "stats.json").read_text())["observation.state"]
    state = next(field for field in task.observations if field.name == "state")
    assert state.low == pytest.approx(said["min"])
    assert state.high == pytest.approx(said["max"])


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=6),
    st.floats(-1e5, 1e5), st.floats(1e-3, 1e5),
)  # fmt: skip
def test_any_observation_comes_back_within_half_a_bin_or_at_the_end(
    values: list[float], low: float, width: float
) -> None:
    field = Field("x", "continuous", (len(values),), "float64", low=low, high=low + width, compand=False)
    task = TaskInfo(observations=[field], actions=[Field("a", "discrete")])
    tokens = Observer(task, Vocabulary(), TokenizeSettings()).observe({"x": values}).tokens[:-1]
    from gato_data.detokenize import decode_ids

    back = decode_ids(tokens[None], field, Vocabulary())[0]
    inside = np.clip(values, low, low + width)
    np.testing.assert_allclose(back, inside, atol=width / 2048 * 1.001 + 1e-9 * max(1, abs(low)))
