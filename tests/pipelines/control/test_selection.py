"""Which features become tokens, what is left out and why, and how a user overrides it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gato_data.errors import InputError, SettingError
from gato_pipelines.containers.detect import open_container
from gato_pipelines.ingest.run import IngestSettings, plan_only
from gato_pipelines.rlds.features import Kind, Leaf
from gato_schemas.dataset import TaskInfo, read_manifest
from tests.pipelines.sources.made import episode, picture, png, tensor, text, write
from tests.pipelines.sources.records import read_dataset
from tests.pipelines.sources.reference import Expected, tokenize
from tests.rlds_inputs import ingest

LEAVES = (
    text("steps/language_instruction"),
    tensor("steps/language_embedding", shape=(512,)),
    picture("steps/observation/camera/front", (40, 60, 3)),
    picture("steps/observation/camera/wrist", (32, 32, 3)),
    Leaf(path="steps/observation/depth", kind=Kind.IMAGE, dtype="uint16", shape=(32, 32, 1), image_format="png"),
    tensor("steps/observation/depth_map", shape=(32, 32)),
    tensor("steps/observation/embedding", shape=(512,)),
    tensor("steps/observation/frame", "uint8", (16, 32, 3)),
    tensor("steps/observation/grid", "uint8", (7, 7, 3)),
    tensor("steps/observation/holding", "bool"),
    tensor("steps/observation/joints", "float64", (2, 3)),
    tensor("steps/action/arm", shape=(3,)),
    tensor("steps/action/gripper", "int64"),
    text("steps/action/name"),
)


@pytest.fixture(scope="module")
def robot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)

    def made() -> Any:
        columns = {
            "language_instruction": ["stack the blocks"] * 3,
            "language_embedding": np.ones((3, 512), np.float32),
            "observation/camera/front": [png((40, 60, 3), value) for value in (10, 20, 30)],
            "observation/camera/wrist": [png((32, 32, 3), value) for value in (40, 50, 60)],
            "observation/depth": [b""] * 3,
            "observation/depth_map": np.zeros((3, 32, 32), np.float32),
            "observation/embedding": np.zeros((3, 512), np.float32),
            "observation/frame": rng.integers(0, 256, (3, 16, 32, 3), dtype=np.uint8),
            "observation/grid": rng.integers(0, 11, (3, 7, 7, 3), dtype=np.uint8),
            "observation/holding": np.array([True, False, True]),
            "observation/joints": rng.normal(size=(3, 2, 3)),
            "action/arm": rng.uniform(-2, 2, (3, 3)).astype(np.float32),
            "action/gripper": np.array([1, 0, 1]),
            "action/name": ["a", "b", "c"],
        }
        return episode(columns)

    return write(tmp_path_factory.mktemp("robot") / "rlds", LEAVES, [made(), made()], name="robot")


def plan(folder: Path, **settings: Any) -> TaskInfo:
    ingest_settings = IngestSettings()
    return plan_only("rlds", settings, folder, Path("absent"), ingest_settings).plan.tasks["robot"]


def test_what_is_found_without_being_told(robot: Path) -> None:
    task = plan(robot)
    assert [(f.name, f.modality, f.shape) for f in task.observations] == [
        ("language_instruction", "text", ()),
        ("camera/front", "image", (32, 64, 3)),
        ("camera/wrist", "image", (32, 32, 3)),
        ("frame", "image", (16, 32, 3)),
        ("grid", "discrete", (7, 7, 3)),
        ("holding", "discrete", ()),
        ("joints", "continuous", (2, 3)),
    ]
    assert [(f.name, f.modality, f.shape, f.compand) for f in task.actions] == [
        ("arm", "continuous", (3,), False),
        ("gripper", "discrete", (), True),
    ]
    assert task.left_out == {
        "depth": "an image of uint16 (a depth map?)",
        "depth_map": "1024 numbers in each timestep: name it in --observation-keys to keep it",
        "embedding": "512 numbers in each timestep: name it in --observation-keys to keep it",
        "action/name": "text: actions are numbers",
        "language_embedding": "not part of the observation",
    }


def test_its_tokens_are_those_of_the_reference(robot: Path, tmp_path: Path) -> None:
    keys = ("camera/wrist", "frame", "grid", "holding", "joints")
    settings = {"observation_keys": keys, "instruction_key": "language_instruction", "action_keys": ("gripper", "arm")}
    ingest(robot, tmp_path / "out", source="rlds", settings={**settings, "final_step": "keep"})
    expected = Expected(
        texts=("language_instruction",),
        images=("observation/camera/wrist", "observation/frame"),
        tensors=("observation/grid", "observation/holding", "observation/joints"),
        actions=("action/gripper", "action/arm"),
        drop_last=False,
    )
    container = open_container(robot)
    leaves = container.features.select(*(f"steps/{key}" for key in (*expected.texts, *expected.images)))
    leaves += container.features.select(*(f"steps/{key}" for key in (*expected.tensors, *expected.actions)))
    items = container.episodes(container.files("train")[0].name, leaves)
    for found, item in zip(read_dataset(tmp_path / "out"), items, strict=True):
        raw = item.episode
        assert raw is not None
        columns = {**raw.tensors, **raw.texts, **{k: [bytes(v) for v in images] for k, images in raw.images.items()}}
        rows = [{path.removeprefix("steps/"): values[at] for path, values in columns.items()} for at in range(3)]
        wanted = tokenize(rows, expected)
        np.testing.assert_array_equal(found.tokens, wanted.ids)
        np.testing.assert_array_equal(found.patches, np.stack(wanted.patches))


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"observation_keys": ("joints",)}, ["joints"]),
        ({"observation_keys": ("camera",)}, ["camera/front", "camera/wrist"]),
        ({"observation_keys": ("*t",)}, ["camera/front", "camera/wrist"]),
        ({"observation_keys": ("*/front", "h?lding")}, ["camera/front", "holding"]),
        ({"observation_keys": ("embedding", "joints"), "max": 600}, ["embedding", "joints"]),
        ({"observation_keys": ("language_embedding", "joints"), "max": 600}, ["joints", "language_embedding"]),
        ({"observation_keys": ("language_instruction", "joints")}, ["language_instruction", "joints"]),
        ({"observation_keys": ("camera/*", "joints"), "drop_keys": ("*/wrist",)}, ["camera/front", "joints"]),
        ({"drop_keys": ("camera", "frame", "grid")}, ["language_instruction", "holding", "joints"]),
        ({"drop_keys": ("camera", "frame", "grid"), "instruction_key": "none"}, ["holding", "joints"]),
        (
            {"observation_keys": ("joints",), "instruction_key": "language_instruction"},
            ["language_instruction", "joints"],
        ),
    ],
)
def test_names_groups_and_patterns(settings: dict[str, Any], names: list[str], robot: Path) -> None:
    limit = settings.get("max", 512)
    from gato_data.tokenize import TokenizeSettings

    asked = {key: value for key, value in settings.items() if key != "max"}
    ingest_settings = IngestSettings(tokenize=TokenizeSettings(max_observation_tokens=limit))
    task = plan_only("rlds", asked, robot, Path("absent"), ingest_settings).plan.tasks["robot"]
    assert [field.name for field in task.observations] == names


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"observation_keys": ("joint",)}, "--observation-keys names 'joint', .*: did you mean 'joints'"),
        ({"drop_keys": ("zzz",)}, "--drop-keys names 'zzz', which robot/1.0.0 lacks: it has camera/front, "),
        ({"action_keys": ("wrist",)}, "--action-keys names 'wrist', .* lacks: it has arm, gripper, name"),
        ({"action_keys": ("name",)}, "--action-keys names name, which is text: actions are numbers"),
        ({"observation_keys": ("reward",)}, "--observation-keys names 'reward', which robot/1.0.0 lacks"),
        ({"observation_keys": ("language_*",)}, r"--observation-keys names 'language_\*', which robot/1.0.0 lacks"),
        ({"observation_keys": ("depth",)}, r"--observation-keys names depth, which is an image of uint16"),
        ({"instruction_key": "words"}, "--instruction-key names 'words', which is no text of .* language_instr"),
        (
            {"observation_keys": ("joints",), "drop_keys": ("joints",)},
            r"has no observation to tokenize \(.*joints: asked",
        ),
    ],
)
def test_wrong_names_are_answered(settings: dict[str, Any], message: str, robot: Path) -> None:
    with pytest.raises(InputError, match=message):
        plan(robot, **settings)


class TestImages:
    def test_sides_go_to_the_nearest_multiple_of_16_or_are_padded_up(self, robot: Path) -> None:
        keys = ("camera/front",)
        near, padded = plan(robot, observation_keys=keys), plan(robot, observation_keys=keys, image_fit="pad")
        assert (near.observations[0].shape, near.observations[0].content) == ((32, 64, 3), None)
        assert (padded.observations[0].shape, padded.observations[0].content) == ((48, 64, 3), (40, 60))
        asked = plan(robot, observation_keys=keys, image_size=(16, 16))
        assert asked.observations[0].shape == (16, 16, 3)

    def test_images_of_any_size_need_one(self, tmp_path: Path) -> None:
        leaf = Leaf(path="steps/observation/view", kind=Kind.IMAGE, dtype="uint8", shape=(None, None, 3))  # type: ignore[arg-type]
        columns = {"observation/view": [png((20, 30, 3)), png((20, 30, 3))], "action": np.array([1, 2])}
        folder = write(tmp_path / "rlds", (leaf, tensor("steps/action", "int64")), [episode(columns)], name="robot")
        with pytest.raises(SettingError, match=r"images of steps/observation/view have no fixed size: .*--image-size"):
            plan(folder)
        assert plan(folder, image_size=(32, 32)).observations[0].shape == (32, 32, 3)

    def test_bytes_of_a_picture_are_a_picture_and_its_histogram_is_counted(self, robot: Path, tmp_path: Path) -> None:
        ingest(robot, tmp_path / "out", source="rlds", settings={"observation_keys": ("frame",)})
        row = next(row for row in read_manifest(tmp_path / "out").statistics if row.field == "frame")
        assert (row.modality, row.count) == ("image", 2 * 3 * 16 * 32 * 3)


class TestActionRange:
    @pytest.mark.parametrize(
        ("asked", "low", "high"),
        [("none", None, None), ((-2.0, 2.0), -2.0, 2.0)],
    )
    def test_one_range_or_none(self, asked: Any, low: float | None, high: float | None, robot: Path) -> None:
        arm, gripper = plan(robot, action_range=asked).actions
        assert (arm.low, arm.high) == (low, high)
        assert (gripper.low, gripper.high) == (None, None)

    def test_minmax_is_of_each_element_and_of_all_parts(self, robot: Path, tmp_path: Path) -> None:
        settings = {"action_range": "minmax", "final_step": "keep", "observation_keys": ("joints",)}
        ingest(robot, tmp_path / "out", source="rlds", settings=settings)
        manifest = read_manifest(tmp_path / "out")
        arm = manifest.tasks["robot"].actions[0]
        row = next(row for row in manifest.statistics if row.field == "arm")
        assert arm.low == tuple(row.low)
        assert arm.high == tuple(row.high)
        assert row.saturated == [0, 0, 0]
        ids = np.concatenate(
            [e.tokens[e.position == 65535].reshape(-1, 4)[:, :3] for e in read_dataset(tmp_path / "out")]
        )
        assert ids.min(axis=0).tolist() == [32000] * 3
        assert ids.max(axis=0).tolist() == [33023] * 3

    def test_a_dropped_final_step_does_not_count(self, tmp_path: Path) -> None:
        columns = {
            "observation/state": np.zeros((4, 2), np.float32),
            "action": np.array([[2.0], [3.0], [4.0], [0.0]], np.float32),
            "reward": np.array([1, 1, 1, 0], np.float32),
        }
        leaves = (
            tensor("steps/observation/state", shape=(2,)),
            tensor("steps/action", shape=(1,)),
            tensor("steps/reward"),
        )
        folder = write(tmp_path / "rlds", leaves, [episode(columns)], name="robot")
        assert plan(folder, action_range="minmax").actions[0].low == (2.0,)
        assert plan(folder, action_range="minmax", final_step="keep").actions[0].low == (0.0,)

    def test_quantiles_leave_outliers_out_without_a_warning(self, tmp_path: Path) -> None:
        actions = np.linspace(-1, 1, 400, dtype=np.float32)[:, None]
        actions[7] = 1000
        columns = {"observation/state": np.zeros((400, 2), np.float32), "action": actions}
        leaves = (tensor("steps/observation/state", shape=(2,)), tensor("steps/action", shape=(1,)))
        folder = write(tmp_path / "rlds", leaves, [episode(columns)], name="robot")
        arm = plan(folder, action_range="quantile").actions[0]
        assert isinstance(arm.high, tuple)
        assert arm.high[0] < 1.1
        assert plan(folder, action_range="minmax").actions[0].high == (1000.0,)
        assert ingest(folder, tmp_path / "q", source="rlds", settings={"action_range": "quantile"}).warnings == ()
        warnings = ingest(folder, tmp_path / "n", source="rlds").warnings
        assert len(warnings) == 1
        assert "of the values of action 'action' of task 'robot' were clipped" in warnings[0]
