"""Fewer timesteps than were recorded: --every and --drop-idle, at the command line."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import gato_data
from gato_pipelines.control.resampling import Resampler
from gato_pipelines.rlds.episode import RldsEpisode
from gato_schemas.dataset import read_manifest
from gato_schemas.selection import Resampling
from tests.cli.command import run
from tests.pipelines.sources.made import episode, png, tensor, text, write
from tests.pipelines.sources.made import picture as image

LEAVES = (
    tensor("steps/observation/state", shape=(1,)),
    image("steps/observation/camera", (16, 16, 3)),
    text("steps/language_instruction"),
    tensor("steps/success", "bool"),
    tensor("steps/action", shape=(2,)),
    tensor("steps/reward"),
)


def recording(folder: Path, *lengths: int, dtype: str = "float32", moves: Any = None, leaves: Any = LEAVES) -> Path:
    """Episodes whose state and image are the number of the timestep, which move by 0.01 and hold -1, then 1."""
    made = []
    for length in lengths:
        at = np.arange(length)
        action = np.stack([np.full(length, 0.01), np.where(at < 4, -1, 1)], axis=1) if moves is None else moves
        success = at == 1
        columns = {
            "observation/state": at[:, None].astype(np.float32) / 100,
            "observation/camera": [png((16, 16, 3), int(value)) for value in at],
            "language_instruction": [f"step {value}" for value in at],
            "success": success,
            "action": action.astype(dtype),
            "reward": np.full(length, 0.5, np.float32),
        }
        made.append(episode(columns))
    return write(folder, leaves, made)


def done(*arguments: Any) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, result.stderr
    return str(result.stdout)


def decoded(out: Path, number: int = 0) -> Any:
    dataset = gato_data.open(out)
    return gato_data.decode(dataset.episodes[number].sequence, dataset.tasks["arm"])


@pytest.mark.parametrize(
    ("actions", "moved", "held"),
    [("last", [0.01, 0.01, 0.01, 0.01], [-1, 1, 1, 1]), ("sum", [0.03, 0.03, 0.02, 0.01], [-1, 1, 1, 1])],
)
def test_one_timestep_for_every_three(actions: str, moved: list[float], held: list[int], tmp_path: Path) -> None:
    folder, out = recording(tmp_path / "in", 9, 1), tmp_path / "out"
    options = ("--every", 3, "--every-actions", actions, "--require-success", "success", "--max-episodes", 1)
    dry = done("ingest", "rlds", folder, "--out", out, *options, "--dry-run")
    line = f"one for every 3 recorded, the action is their {actions}"
    assert f"timesteps: {line}" in dry
    done("ingest", "rlds", folder, "--out", out, *options)
    found, sequence = decoded(out), gato_data.open(out).episodes[0].sequence
    np.testing.assert_allclose(found["observations"]["state"][:, 0], [0, 0.03, 0.06, 0.08], atol=3e-3)
    assert [int(frame[0, 0, 0]) for frame in found["observations"]["camera"]] == [0, 3, 6, 8]
    assert found["observations"]["language_instruction"] == ["step 0", "step 3", "step 6", "step 8"]
    np.testing.assert_allclose(found["actions"]["action"][:, 0], moved, atol=1 / 1024)
    np.testing.assert_allclose(found["actions"]["action"][:, 1], held, atol=1 / 1024)
    assert sequence.reward.tolist() == [1.5, 1.5, 1.0, 0.5]
    task = read_manifest(out).tasks["arm"]
    assert task.resampling == Resampling(every=3, actions=actions)  # type: ignore[arg-type]
    assert task.counts.timesteps == 4
    assert gato_data.open(out).episodes[0].episode_return == 4.5
    assert line in done("inspect", "dataset", out)
    done("verify", out)


def test_ranges_are_those_of_what_is_written(tmp_path: Path) -> None:
    """Sums are larger than what they are of; with the final step dropped as well."""
    folder = recording(tmp_path / "in", 10)
    for final_step, moved in (("keep", (0.01, 0.03)), ("drop", (0.03, 0.03))):
        out = tmp_path / final_step
        options = ("--every", 3, "--every-actions", "sum", "--action-range", "minmax", "--final-step", final_step)
        done("ingest", "rlds", folder, "--out", out, *options)
        (action,) = read_manifest(out).tasks["arm"].actions
        assert isinstance(action.low, tuple)
        assert isinstance(action.high, tuple)
        if final_step == "keep":
            assert (action.low[0], action.high[0]) == pytest.approx(moved)
        else:
            assert (action.low[0], action.high[0]) == pytest.approx((0.03 - 1, 0.03 + 1))
        assert not any(note.kind == "clipped" for note in read_manifest(out).account)


#                  moves, held    idle by OpenVLA's rule: the norm of all but the last below 1e-4, the last as before
IDLE = np.array([[0, -1], [0, 1], [0.5, 1], [0, 1], [5e-5, 1], [0, -1], [0, -1], [0.2, -1], [2e-4, -1], [0, -1]])


def test_idle_timesteps_are_left_out_and_counted(tmp_path: Path) -> None:
    folder, out = recording(tmp_path / "in", 10, moves=IDLE), tmp_path / "out"
    line = "timesteps of task arm are idle (they move less than 0.0001)"
    assert f"{line} (5)" in done(
        "ingest", "rlds", folder, "--out", out, "--drop-idle", "--dry-run", "--final-step", "keep"
    )
    done("ingest", "rlds", folder, "--out", out, "--drop-idle", "--final-step", "keep")
    found = decoded(out)
    assert found["observations"]["language_instruction"] == [f"step {at}" for at in (2, 5, 7, 8, 9)]
    assert [(n.text, n.count) for n in read_manifest(out).account if "idle" in n.text] == [(line, 5)]
    assert gato_data.open(out).episodes[0].sequence.reward.tolist() == [2.5, 1, 0.5, 0.5, 0.5]
    assert read_manifest(out).tasks["arm"].resampling == Resampling(idle_below=1e-4)
    both = tmp_path / "both"
    done("ingest", "rlds", folder, "--out", both, "--drop-idle=0.001", "--every", 2, "--final-step", "keep")
    assert decoded(both)["observations"]["language_instruction"] == ["step 2", "step 7", "step 9"]


def openvla_keeps(actions: NDArray[np.float64]) -> list[int]:
    """What OpenVLA's filter keeps of a demonstration, step by step."""
    kept: list[int] = []
    for at, action in enumerate(actions):
        still = np.linalg.norm(action[:-1]) < 1e-4
        if still and (not kept or action[-1] == actions[kept[-1]][-1]):
            continue
        kept.append(at)
    return kept


ROW = st.tuples(st.sampled_from([0.0, 5e-5, 1e-4, 0.3]), st.sampled_from([0.0, 9e-5]), st.sampled_from([-1.0, 1.0]))


@settings(max_examples=200, deadline=None)
@given(st.lists(ROW, min_size=2, max_size=12), st.integers(1, 4), st.sampled_from(["last", "sum"]))
def test_any_episode(rows: list[tuple[float, float, float]], every: int, actions: Any) -> None:
    """Rewards add up, the last timestep stays, and what is kept is what OpenVLA's filter keeps, and the last one."""
    values, last = np.array(rows), len(rows) - 1
    raw = RldsEpisode(
        num_timesteps=len(rows),
        tensors={"steps/action": values, "steps/reward": np.arange(len(rows)) + 1.0, "seen": np.arange(len(rows))},
    )
    asked = Resampling(every=every, actions=actions, idle_below=1e-4)
    found, idle = Resampler(asked, frozenset(["seen"]), ("steps/action",)).resampled(raw)
    kept = [at for at in openvla_keeps(values) if at != last]
    assert found.tensors["seen"].tolist() == [*kept[::every], last]
    assert idle == last - len(kept)
    assert found.tensors["steps/reward"].sum() == raw.tensors["steps/reward"].sum()
    groups = [kept[at : at + every] for at in range(0, len(kept), every)]
    moves = [values[group, :-1].sum(axis=0) if actions == "sum" else values[group[-1], :-1] for group in groups]
    np.testing.assert_allclose(found.tensors["steps/action"][:-1, :-1], np.array(moves).reshape(-1, 2))
    assert found.tensors["steps/action"][:, -1].tolist() == [*(values[group[-1], -1] for group in groups), rows[-1][-1]]


def test_a_video_keeps_the_frames_of_its_timesteps(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="needs PyAV, of the extra [video]")
    folder, out = Path(__file__).parents[1] / "data" / "lerobot" / "arm-v30", tmp_path / "out"
    done("ingest", "lerobot", folder, "--out", tmp_path / "all", "--episodes", "0:1")
    done("ingest", "lerobot", folder, "--out", out, "--episodes", "0:1", "--every", 4)
    whole, some = (gato_data.open(path).episodes[0].sequence for path in (tmp_path / "all", out))
    places = [*range(0, whole.num_timesteps - 1, 4), whole.num_timesteps - 1]
    patches = whole.patches.reshape(whole.num_timesteps, -1, 16, 16, 3)
    np.testing.assert_array_equal(some.patches.reshape(len(places), -1, 16, 16, 3), patches[places])


def test_without_them_nothing_changes(tmp_path: Path) -> None:
    folder = recording(tmp_path / "in", 5)
    done("ingest", "rlds", folder, "--out", tmp_path / "a", "--name", "arm")
    done("ingest", "rlds", folder, "--out", tmp_path / "b", "--name", "arm", "--every", 1, "--held", 1)
    assert read_manifest(tmp_path / "a") == read_manifest(tmp_path / "b")
    assert "resampling" not in json.loads((tmp_path / "a" / "dataset.json").read_text())["tasks"]["arm"]


def test_other_timesteps_are_not_merged(tmp_path: Path) -> None:
    folder = recording(tmp_path / "in", 5)
    for name, every in (("a", 1), ("b", 2)):
        done("ingest", "rlds", folder, "--out", tmp_path / name, "--every", every)
    refused = run("merge", tmp_path / "a", tmp_path / "b", "--out", tmp_path / "both")
    assert refused.exit_code == 1
    assert "ingest one of them again with the other's --every, --every-actions" in refused.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--every", 0), "every 0 cannot be: 1 is the least"),
        (("--every", 2, "--held", -1), "held -1 cannot be: 0 is the least"),
        (("--drop-idle=0",), "drop-idle is 0.0: a number above 0 is wanted"),
        (("--drop-idle=nan",), "drop-idle is nan: a number above 0 is wanted"),
        (("--drop-idle=-1",), "drop-idle is -1.0: a number above 0 is wanted, 0.0001 in OpenVLA's filter"),
        (("--drop-idle", "-.5"), "drop-idle is -0.5: a number above 0 is wanted, 0.0001 in OpenVLA's filter"),
        (("--drop-idle=x",), "Invalid value for '--drop-idle': 'x' is not a valid float."),
        (("--drop-idle", "-x"), "No such option '-x'."),
        (("--every-actions", "sum"), "adds up the actions of several timesteps: give --every as well"),
        (("--every", 2, "--every-actions", "mean"), "'mean' is not one of 'last', 'sum'"),
        (("--drop-idle", "--held", 2), "an action has 2 numbers, of which --held 2 leaves none that moves"),
    ],
)
def test_what_cannot_be(options: tuple[Any, ...], message: str, tmp_path: Path) -> None:
    folder = recording(tmp_path / "in", 5)
    result = run("ingest", "rlds", folder, "--out", tmp_path / "out", *options)
    assert result.exit_code in (1, 2)
    assert message in result.stderr


def test_discrete_actions_are_not_added_up(tmp_path: Path) -> None:
    leaves = [tensor("steps/action", "int64", (2,)) if leaf.path == "steps/action" else leaf for leaf in LEAVES]
    folder = recording(tmp_path / "in", 5, dtype="int64", moves=np.ones((5, 2)), leaves=leaves)
    for options, name in (
        (("--every", 2, "--every-actions", "sum"), "--every-actions sum"),
        (("--drop-idle",), "--drop-idle"),
    ):
        result = run("ingest", "rlds", folder, "--out", tmp_path / "out", *options)
        assert result.exit_code == 1
        assert f"action 'action' is discrete (int64): {name} wants floats" in result.stderr
    done("ingest", "rlds", folder, "--out", tmp_path / "out", "--every", 2)
    assert read_manifest(tmp_path / "out").totals.timesteps == 3


def test_a_rollout_says_it(tmp_path: Path) -> None:
    pytest.importorskip("gymnasium", reason="needs gymnasium, of the extra [simulators]")
    pytest.importorskip("torch", reason="needs torch, of the extra [train]")
    done("record", "gymnasium", "--env", "CartPole-v1", "--episodes", 3, "--out", tmp_path / "rlds")
    done("ingest", "rlds", tmp_path / "rlds", "--out", tmp_path / "poles", "--every", 3)
    done("mix", "--weights", "uniform", "--out", tmp_path / "mixture.json", tmp_path / "poles")
    small = ("--width", 32, "--blocks", 1, "--heads", 2, "--feed-forward", 32, "--device", "cpu")
    numbers = ("--steps", 1, "--batch-size", 2, "--context-length", 32)
    done(
        "train", "--mixture", tmp_path / "mixture.json", "--model", "tiny", *small, *numbers, "--out", tmp_path / "run"
    )
    learned = "was learned from one timestep for every 3 that were recorded, with the last of their actions: "
    held = "the policy decides in one of 3 timesteps, and each action is done as often"
    own = "the environment takes each action for one timestep of its own"
    for asked, wanted in (((), held), (("--env", "CartPole-v1"), held), (("--no-hold",), own)):
        shown = done("rollout", tmp_path / "run", "--episodes", 1, "--no-baselines", *asked)
        assert learned + wanted in " ".join(shown.split())
    (dataset,) = json.loads((tmp_path / "run" / "policy.json").read_text())["datasets"]
    (task,) = dataset["tasks"].values()
    assert task["resampling"]["every"] == 3
