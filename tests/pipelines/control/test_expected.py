"""What --dry-run tells of clipped actions and short episodes: the numbers that the ingest then finds."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from gato_pipelines.ingest.run import IngestSettings, plan_only
from gato_schemas.account import Note
from gato_schemas.dataset import read_manifest
from tests.cli.command import run
from tests.pipelines.sources.made import episode, tensor, write
from tests.rlds_inputs import ingest

LEAVES = (tensor("steps/observation/state", shape=(2,)), tensor("steps/action", shape=(2,)), tensor("steps/reward"))


def arm(folder: Path, *actions: np.ndarray, shards: int = 1) -> Path:
    made = [
        episode(
            {
                "observation/state": np.zeros((len(a), 2), np.float32),
                "action": a.astype(np.float32),
                "reward": a[:, 0].astype(np.float32),
            }
        )
        for a in actions
    ]
    return write(folder, LEAVES, made, shards=shards)


def expected(folder: Path, kind: str, **settings: object) -> list[Note]:
    plan = plan_only("rlds", settings, folder, Path("absent"), IngestSettings()).plan
    return [note for note in plan.expected if note.kind == kind]


def found(folder: Path, out: Path, kind: str, **settings: object) -> list[Note]:
    ingest(folder, out, source="rlds", settings=settings)
    return [note for note in read_manifest(out).account if note.kind == kind]


class TestClipped:
    @pytest.mark.parametrize("shards", [1, 2])
    @pytest.mark.parametrize("last", [3.0, 0.0])
    def test_the_share_is_that_of_the_ingest(self, shards: int, last: float, tmp_path: Path) -> None:
        """Where all episodes end with zeros, their last timestep is dropped and does not count."""
        moves = np.array([[2.0, 0.5], [-40, 1.0], [1.5, -1.0], [last, last]])
        folder = arm(tmp_path / "in", moves, moves * 2, shards=shards)
        wanted = found(folder, tmp_path / "out", "clipped")
        assert [note.count for note in expected(folder, "clipped")] == [note.count for note in wanted]
        assert [note.count for note in wanted] == [12 if last else 8]

    def test_it_is_said_with_the_way_out(self, tmp_path: Path) -> None:
        folder = arm(tmp_path / "in", np.array([[2.0, 0.5], [-40, 8.0], [1.5, -1.5], [9, 9]]))
        shown = run("ingest", "rlds", folder, "--out", tmp_path / "out", "--dry-run").stdout
        line = (
            "clipped: 87.5% of the values of action 'action' of task 'arm' lie outside its range (they reach from -40 "
            "to 9): --action-range minmax or LOW:HIGH maps a wider one (7)"
        )
        assert line in shown.splitlines()

    @pytest.mark.parametrize(("asked", "count"), [("minmax", 0), ("quantile", 0), ((-40.0, 9.0), 0), ((-2.0, 9.0), 1)])
    def test_of_other_ranges(self, asked: object, count: int, tmp_path: Path) -> None:
        folder = arm(tmp_path / "in", np.array([[2.0, 0.5], [-40, 8.0], [1.5, -1.5], [9, 9]]))
        assert sum(note.count for note in expected(folder, "clipped", action_range=asked)) == count

    def test_actions_within_their_range_are_no_news(self, tmp_path: Path) -> None:
        assert expected(arm(tmp_path / "in", np.array([[1.0, -1.0], [0.5, 0.5]])), "clipped") == []


class TestShort:
    @pytest.mark.parametrize(
        ("lengths", "last", "final_step"),
        [
            ((1, 1, 5, 6), 0.5, "auto"),
            ((2, 2, 5, 6), 0.0, "auto"),
            ((1, 2, 2, 6), 0.5, "drop"),
            ((1, 2, 5, 6), 0.0, "keep"),
        ],
    )
    def test_as_many_as_the_ingest_finds(
        self, lengths: tuple[int, ...], last: float, final_step: str, tmp_path: Path
    ) -> None:
        folder = arm(tmp_path / "in", *(np.array([[0.5, 0.5]] * (n - 1) + [[last, last]]) for n in lengths))
        out = tmp_path / "out"
        ingest(folder, out, source="rlds", settings={"final_step": final_step}, max_bad=1)
        wanted = [note.count for note in read_manifest(out).account if note.kind == "short"]
        assert [note.count for note in expected(folder, "short", final_step=final_step)] == wanted
        assert wanted

    def test_antmaze(self, tmp_path: Path) -> None:
        """Its terminals stay set while the ant stands at its goal, so that every timestep there is an episode."""
        rng = np.random.default_rng(0)
        path = tmp_path / "antmaze.hdf5"
        with h5py.File(path, "w") as file:
            file["observations"] = rng.normal(size=(200, 3)).astype(np.float32)
            file["actions"] = rng.uniform(-1, 1, (200, 2)).astype(np.float32)
            file["rewards"] = np.zeros(200, np.float32)
            file["terminals"] = (np.arange(200) % 100) >= 90
            file["timeouts"] = np.zeros(200, bool)
        shown = run("ingest", "modular-rl", path, "--out", tmp_path / "out", "--dry-run").stdout
        hint = "90.0% of them: does the input say where episodes end? (18)"
        assert f"one timestep: episodes of task antmaze are one timestep long, {hint}" in shown.splitlines()
        result = run("ingest", "modular-rl", path, "--out", tmp_path / "out")
        assert "90.0% of the episodes are one timestep long" in result.stderr
        shown = run("inspect", "dataset", tmp_path / "out").stdout
        assert "one_step" in shown


def test_a_tenth_is_warned_about(tmp_path: Path) -> None:
    moves = [np.full((1 if number == 0 else 4, 2), 0.5) for number in range(10)]
    result = run("ingest", "rlds", arm(tmp_path / "in", *moves), "--out", tmp_path / "out")
    assert "Warning: 10.0% of the episodes are one timestep long" in result.stderr
