"""Several inputs in one dataset, and one dataset per task."""

from pathlib import Path

import numpy as np
import pytest

from gato_data.errors import InputError
from gato_pipelines.ingest.inputs import find_inputs
from gato_pipelines.ingest.per_task import by_task
from gato_pipelines.registry.find import make_source
from gato_schemas.dataset import read_manifest
from gato_schemas.index import SUFFIX, read_index
from tests.pipelines.sources.made import ACTION, REWARD, STATE, episode, picture, png, rewarded, tensor, write
from tests.pipelines.sources.records import read_dataset
from tests.rlds_inputs import digests, ingest

MODULAR = Path(__file__).parents[2] / "data" / "rlds" / "modular_rl"
LEAVES = (STATE, ACTION, REWARD)


def test_a_pattern_is_a_task_per_directory_of_different_widths(tmp_path: Path) -> None:
    ingest(MODULAR / "*", tmp_path / "out", source="modular-rl")
    manifest = read_manifest(tmp_path / "out")
    assert manifest.source.inputs == [f"modular_rl/{path.name}/1.0.0" for path in sorted(MODULAR.iterdir())]
    assert {name: (t.observations[0].shape, t.actions[0].shape) for name, t in manifest.tasks.items()} == {
        "hopper_4_full": ((11,), (3,)),
        "walker2d_4_one_leg": ((11,), (3,)),
        "walker2d_5_no_feet": ((13,), (4,)),
        "walker2d_7_full": ((17,), (6,)),
    }
    each = []
    for path in sorted(MODULAR.iterdir()):
        ingest(path, tmp_path / path.name, source="modular-rl")
        each += read_dataset(tmp_path / path.name)
    together = read_dataset(tmp_path / "out")
    assert len(together) == 16
    for one, other in zip(together, each, strict=True):
        assert one.task == other.task
        np.testing.assert_array_equal(one.tokens, other.tokens)
    parts = [read_index(path).header.part for path in sorted((tmp_path / "out").glob(f"*{SUFFIX}"))]
    assert [part.input for part in parts] == manifest.source.inputs


def test_inputs_come_in_the_order_given_and_those_of_a_pattern_sorted(tmp_path: Path) -> None:
    source = make_source("modular-rl", {})
    given = find_inputs(source, [MODULAR / "walker2d_7_full", MODULAR / "hopper*", MODULAR / "walker2d_[45]*"])
    assert [path.name for path in given.values()] == [
        "walker2d_7_full",
        "hopper_4_full",
        "walker2d_4_one_leg",
        "walker2d_5_no_feet",
    ]


def test_an_input_given_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is given twice"):
        find_inputs(make_source("modular-rl", {}), [MODULAR / "*", MODULAR / "hopper_4_full"])


def test_a_pattern_that_matches_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing matches .*/pong"):
        find_inputs(make_source("atari", {}), tmp_path / "pong*")


def test_two_inputs_of_one_name_are_told_apart_and_share_their_task(tmp_path: Path) -> None:
    for name in ("first", "second"):
        write(tmp_path / name, LEAVES, [rewarded(1), rewarded(2)])
    ingest([tmp_path / "first", tmp_path / "second"], tmp_path / "out", source="rlds")
    manifest = read_manifest(tmp_path / "out")
    assert manifest.source.inputs == ["arm/1.0.0", "arm/1.0.0 (2)"]
    assert list(manifest.tasks) == ["arm"]
    assert manifest.tasks["arm"].counts.episodes == 4


def test_a_field_of_two_modalities_is_refused_and_named(tmp_path: Path) -> None:
    look = picture("steps/observation/view", (32, 32, 3))
    made = {"action": np.full((3, 1), 0.5, np.float32), "reward": np.zeros(3, np.float32)}
    write(
        tmp_path / "seen",
        (look, ACTION, REWARD),
        [episode({"observation/view": [png((32, 32, 3))] * 3, **made})],
        name="seen",
    )
    vector = tensor("steps/observation/view", shape=(4,))
    write(
        tmp_path / "felt",
        (vector, ACTION, REWARD),
        [episode({"observation/view": np.zeros((3, 4), np.float32), **made})],
        name="felt",
    )
    with pytest.raises(
        InputError, match=r"observation 'view' is continuous in felt/1\.0\.0 and image in seen/1\.0\.0: ingest these"
    ):
        ingest([tmp_path / "felt", tmp_path / "seen"], tmp_path / "out", source="rlds")
    assert not (tmp_path / "out").exists()


def test_one_task_with_different_fields_is_refused(tmp_path: Path) -> None:
    inputs = [MODULAR / "hopper_4_full", MODULAR / "walker2d_7_full"]
    with pytest.raises(
        InputError, match=r"task 'body' has different fields in .*hopper_4_full.* \(observation continuous 11"
    ):
        ingest(inputs, tmp_path / "out", source="modular-rl", settings={"task": "body"})


def test_a_file_and_a_folder_of_different_formats_make_one_dataset(tmp_path: Path) -> None:
    data = MODULAR.parents[1]
    inputs = [data / "minari" / "mujoco" / "hopper" / "sample-v0", MODULAR / "hopper_4_full"]
    ingest(inputs, tmp_path / "out", source="modular-rl")
    manifest = read_manifest(tmp_path / "out")
    assert manifest.source.inputs == ["mujoco/hopper/sample-v0/Hopper-v5", "modular_rl/hopper_4_full/1.0.0"]
    assert manifest.agents == ["modular_rl", "mujoco/hopper/sample-v0"]


class TestPerTask:
    def test_every_task_gets_its_own_folder(self, tmp_path: Path) -> None:
        groups = by_task("modular-rl", {}, MODULAR / "*", tmp_path)
        assert [folder.name for folder in groups] == [path.name for path in sorted(MODULAR.iterdir())]
        assert [[path.name for path in paths] for paths in groups.values()] == [[folder.name] for folder in groups]

    def test_runs_of_one_game_stay_together(self, tmp_path: Path) -> None:
        for name in ("first", "second"):
            write(tmp_path / name, LEAVES, [rewarded(1)])
        groups = by_task("rlds", {}, [tmp_path / "first", tmp_path / "second"], tmp_path / "out")
        assert groups == {tmp_path / "out" / "arm": [tmp_path / "first", tmp_path / "second"]}

    def test_names_that_fall_together_are_refused(self, tmp_path: Path) -> None:
        for name in ("arm-1", "arm_1"):
            write(tmp_path / name, LEAVES, [rewarded(1)], name=name)
        with pytest.raises(InputError, match="tasks 'arm-1' and 'arm_1' would both go to"):
            by_task("rlds", {}, tmp_path / "arm*", tmp_path / "out")

    def test_the_datasets_are_those_of_single_runs(self, tmp_path: Path) -> None:
        for folder, paths in by_task("modular-rl", {}, MODULAR / "walker*", tmp_path / "all").items():
            ingest(paths, folder, source="modular-rl")
            ingest(paths[0], tmp_path / "one" / folder.name, source="modular-rl")
        assert digests(tmp_path / "all") == digests(tmp_path / "one")
