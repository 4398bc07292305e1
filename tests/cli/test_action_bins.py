"""OpenVLA's bins of actions at the command line: the ids of its published rule, and what acts with them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import gato_data
from gato_data.errors import EpisodeError
from gato_data.tokenizers import continuous
from gato_schemas.dataset import read_manifest
from tests.cli.command import run
from tests.pipelines.live import compare, observer_of
from tests.pipelines.sources.made import episode, tensor, write

LEAVES = (tensor("steps/observation/state", shape=(2,)), tensor("steps/action", shape=(3,)), tensor("steps/reward"))


def robot(folder: Path, actions: NDArray[Any]) -> Path:
    columns = {
        "observation/state": np.zeros((len(actions), 2), np.float32),
        "action": actions.astype(np.float32),
        "reward": np.ones(len(actions), np.float32),
    }
    return write(folder, LEAVES, [episode(columns)])


def done(*arguments: Any) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, result.stderr
    return str(result.stdout)


def openvla(actions: NDArray[np.floating[Any]]) -> tuple[NDArray[Any], NDArray[Any]]:
    """What its `ActionTokenizer` makes of actions: how far behind the vocabulary's end, and the actions of that."""
    edges = np.linspace(-1, 1, 256)
    centres = (edges[:-1] + edges[1:]) / 2.0
    found = np.digitize(np.clip(actions, -1.0, 1.0), edges)
    return found, centres[np.clip(found - 1, 0, centres.shape[0] - 1)]


def test_golden_values() -> None:
    values = np.array([-7, -1, -0.9922, -0.992, -0.5, -0.004, -0.0039, 0, 0.0039, 0.004, 0.5, 0.9921, 0.9999, 1, 3])
    bins = continuous.encode(values, compand=False, bins="openvla-256")
    assert bins.tolist() == [0, 0, 0, 1, 63, 126, 127, 127, 127, 128, 191, 253, 254, 255, 255]
    back = continuous.decode(np.array([0, 1, 127, 254, 255]), compand=False, bins="openvla-256")
    assert back == pytest.approx([-254 / 255, -252 / 255, 0, 254 / 255, 254 / 255], abs=1e-15)


@settings(max_examples=300, deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
@example(1.0)
@example(float(np.nextafter(1.0, 0)))
def test_any_action_is_openvlas(value: float) -> None:
    bins = continuous.encode(np.array([value]), compand=False, bins="openvla-256")
    found, back = openvla(np.array([value]))
    assert bins.tolist() == (found - 1).tolist()
    assert continuous.decode(bins, compand=False, bins="openvla-256").tolist() == back.tolist()
    assert abs(back[0] - np.clip(value, -1, 1)) <= 1 / 255 + 1e-12


def test_every_edge_is_openvlas() -> None:
    edges = np.linspace(-1, 1, 256)
    near = np.concatenate([edges, np.nextafter(edges, -9), np.nextafter(edges, 9)])
    assert (continuous.encode(near, compand=False, bins="openvla-256") == openvla(near)[0] - 1).all()


def test_a_dataset_has_its_ids(tmp_path: Path) -> None:
    """Mapped by quantiles but for the gripper, clipped; decoded, shown and acted with by the same bins."""
    generator = np.random.default_rng(0)
    moves = np.concatenate([generator.normal(size=(500, 2)) * [3, 0.1], generator.integers(0, 2, (500, 1))], axis=1)
    folder, out = robot(tmp_path / "in", moves), tmp_path / "out"
    command = ("ingest", "rlds", folder, "--out", out, "--action-bins", "openvla-256", "--action-range", "quantile")
    done(*command, "--final-step", "keep")
    (action,) = read_manifest(out).tasks["arm"].actions
    assert action.binning == "openvla-256"
    assert isinstance(action.low, tuple)
    assert isinstance(action.high, tuple)
    assert (action.low[2], action.high[2]) == (-1.0, 1.0)
    raw = moves.astype(np.float32).astype(np.float64)
    low, high = np.array(action.low), np.array(action.high)
    assert low[:2] == pytest.approx(np.quantile(raw[:, :2], 0.01, axis=0), rel=0.05)
    wanted, back = openvla((raw - low) * (2 / (high - low)) - 1)
    sequence = gato_data.open(out).episodes[0].sequence
    tokens = sequence.tokens.reshape(500, 6)[:, 3:].astype(np.int64) - 32_000
    assert tokens.tolist() == (wanted - 1).tolist()
    assert set(tokens[:, 2].tolist()) == {127, 255}
    decoded = gato_data.decode(sequence, gato_data.open(out).tasks["arm"])["actions"]["action"]
    np.testing.assert_allclose(decoded, (back + 1) * (high - low) / 2 + low)
    observer = observer_of(out, read_manifest(out), "arm")
    assert observer.allowed.tolist() == [[32_000, 32_256]] * 3
    with pytest.raises(EpisodeError, match=r"is id 32256: one in \[32000, 32256\) is wanted"):
        observer.decode(np.array([32_256, 32_000, 32_000]))
    assert observer.encode(observer.decode(np.array([32_000, 32_100, 32_254]))).tolist() == [32_000, 32_100, 32_254]
    found = json.loads(done("inspect", "dataset", out, "--json"))
    assert '"bins": 256' in json.dumps(found)
    assert "0.9961" in done("inspect", "shard", out / "out-train.tfrecord-00000-of-00001", "--record", 0)
    done("inspect", "dataset", out, "--html", tmp_path / "page.html")
    done("verify", out)


def test_live_observations(tmp_path: Path) -> None:
    folder, out = robot(tmp_path / "in", np.random.default_rng(1).uniform(-0.9, 0.9, (30, 3))), tmp_path / "out"
    done("ingest", "rlds", folder, "--out", out, "--action-bins", "openvla-256")
    assert compare(out, [folder]) == 30


def test_the_paper_s_bins_write_what_they_did(tmp_path: Path) -> None:
    folder = robot(tmp_path / "in", np.zeros((5, 3)))
    done("ingest", "rlds", folder, "--out", tmp_path / "a", "--name", "arm", "--final-step", "keep")
    options = ("--action-bins", "1024", "--final-step", "keep")
    done("ingest", "rlds", folder, "--out", tmp_path / "b", "--name", "arm", *options)
    assert (tmp_path / "a" / "dataset.json").read_bytes() == (tmp_path / "b" / "dataset.json").read_bytes()
    task = json.loads((tmp_path / "a" / "dataset.json").read_text())["tasks"]["arm"]
    assert all("bins" not in field for field in (*task["observations"], *task["actions"]))


def test_other_bins_are_not_merged(tmp_path: Path) -> None:
    folder = robot(tmp_path / "in", np.zeros((5, 3)))
    for name, bins in (("a", "1024"), ("b", "openvla-256")):
        done("ingest", "rlds", folder, "--out", tmp_path / name, "--action-bins", bins, "--final-step", "keep")
    refused = run("merge", tmp_path / "a", tmp_path / "b", "--out", tmp_path / "both")
    assert refused.exit_code == 1
    assert "is cut into bins of 1024 in" in refused.stderr
    assert "ingest one of them again with the other's --action-bins" in refused.stderr


def test_what_cannot_be(recording: Path, tmp_path: Path) -> None:
    refused = run("ingest", "atari", recording, "--out", tmp_path / "out", "--action-bins", "openvla-256")
    assert refused.exit_code == 1
    assert "--action-bins is about continuous actions, and there are none: leave it out" in refused.stderr
    refused = run("ingest", "atari", recording, "--out", tmp_path / "out", "--action-bins", "256")
    assert refused.exit_code == 2
    assert "'256' is not one of '1024', 'openvla-256'" in refused.stderr
