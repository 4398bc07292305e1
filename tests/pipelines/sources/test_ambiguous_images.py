"""Stacked frames, transparency, grids of symbols and maps of labels: each read as what it is, and said so."""

from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import pytest

from gato_data.errors import GatoError, InputError, OutputError
from gato_data.tokenize import TokenizeSettings
from gato_pipelines.ingest.run import IngestSettings, plan_only
from gato_pipelines.rlds.features import Kind, Leaf
from gato_schemas.dataset import TaskInfo, read_manifest
from tests.cli.command import error_of, run
from tests.pipelines.sources.made import episode, picture, png, tensor, text, write
from tests.pipelines.sources.records import Written, read_dataset
from tests.rlds_inputs import ingest

T = 4
MANY_TOKENS = TokenizeSettings(max_observation_tokens=2000)
ACTION = tensor("steps/action", "int64")


def games(*, side: int = 84) -> np.ndarray:
    """Gray frames (2 episodes, T + 3, side, side), each like the one before but for a ball, on black."""
    frames = np.zeros((2, T + 3, side, side), np.uint8)
    frames[:, :, 10:14] = 142
    for at in range(T + 3):
        frames[:, at, 30 + at : 33 + at, 20 + at : 24 + at] = 200
    frames[1] = frames[1][:, :, ::-1]
    return frames


def stacked(frames: np.ndarray, axis: int) -> np.ndarray:
    """The last four frames of every timestep, the newest last."""
    return np.stack([frames[at : at + T] for at in range(4)], axis=axis)


def encoded(values: np.ndarray) -> list[bytes]:
    """PNGs whose channels, as a decoder that knows RGBA sees them, are these."""
    order = [2, 1, 0, 3] if values.shape[-1] == 4 else slice(None)
    return [bytes(cv2.imencode(".png", value[..., order])[1]) for value in values]


def dataset(folder: Path, leaf: Leaf, observations: list[Any], name: str = "Pong") -> Path:
    action = np.array([1, 0, 2, 1])
    key = leaf.path.removeprefix("steps/")
    return write(folder, (leaf, ACTION), [episode({key: seen, "action": action}) for seen in observations], name=name)


def read(folder: Path, out: Path, source: str = "atari", **settings: Any) -> list[Written]:
    ingest(folder, out, source=source, settings=settings)
    return read_dataset(out)


def notes(out: Path) -> list[tuple[str, str]]:
    return [(note.kind, note.text) for note in read_manifest(out).account]


def same(found: list[Written], wanted: list[Written]) -> None:
    assert len(found) == len(wanted) == 2
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one.tokens, other.tokens)
        np.testing.assert_array_equal(one.patches, other.patches)


def plan(folder: Path, source: str = "rlds", tokens: int = 4000, **settings: Any) -> TaskInfo:
    asked = IngestSettings(tokenize=TokenizeSettings(max_observation_tokens=tokens))
    return next(iter(plan_only(source, settings, folder, Path("absent"), asked).plan.tasks.values()))


@pytest.fixture
def single(tmp_path: Path) -> list[Written]:
    """The same games, a single gray frame each timestep."""
    newest = [encoded(frames[3:][..., None]) for frames in games()]
    folder = dataset(tmp_path / "single", picture("steps/observation", (84, 84, 1)), newest)
    return read(folder, tmp_path / "single-out")


class TestStacks:
    def test_four_gray_frames_in_a_png(self, single: list[Written], tmp_path: Path) -> None:
        seen = [encoded(stacked(frames, -1)) for frames in games()]
        folder = dataset(tmp_path / "in", picture("steps/observation", (84, 84, 4)), seen)
        same(read(folder, tmp_path / "out"), single)
        said = "of the 4 stacked frames of observation the newest is taken: see --frame-stack"
        assert ("read", said) in notes(tmp_path / "out")
        same(read(folder, tmp_path / "rlds", "rlds", frame_stack="newest", image_size=(64, 80)), single)

    @pytest.mark.parametrize(("axis", "shape"), [(1, (4, 84, 84)), (-1, (84, 84, 4))])
    def test_bytes(self, axis: int, shape: tuple[int, int, int], single: list[Written], tmp_path: Path) -> None:
        seen = [stacked(frames, axis) for frames in games()]
        same(
            read(dataset(tmp_path / "in", tensor("steps/observation", "uint8", shape), seen), tmp_path / "out"), single
        )

    @pytest.mark.parametrize(("axis", "channel"), [(1, ()), (-1, ()), (1, (1,)), (1, (3,))])
    def test_minari(self, axis: int, channel: tuple[int, ...], single: list[Written], tmp_path: Path) -> None:
        with h5py.File(tmp_path / "main_data.hdf5", "w") as file:
            for number, frames in enumerate(games()):
                seen = stacked(frames, axis)
                seen = np.repeat(seen[..., None], channel[0], axis=-1) if channel else seen
                group = file.create_group(f"episode_{number}")
                group["observations"] = np.concatenate([seen[:-1], seen[-2:]])[:T]
                group["actions"] = np.array([1, 0, 2])
        found = read(tmp_path / "main_data.hdf5", tmp_path / "out")
        for one, other in zip(found, single, strict=True):
            np.testing.assert_array_equal(one.patches, other.patches[: len(one.patches)])
            assert len(one.patches) == 20 * 3

    def test_beside_other_fields_they_are_left_out_with_advice(self, tmp_path: Path) -> None:
        frames = [stacked(frames, 1) for frames in games()]
        leaves = (tensor("steps/observation/planes", "uint8", (4, 84, 84)), tensor("steps/observation/x", shape=(2,)))
        columns = [
            {"observation/planes": f, "observation/x": np.zeros((T, 2), np.float32), "action": np.ones(T, np.int64)}
            for f in frames
        ]
        folder = write(tmp_path / "in", (*leaves, ACTION), [episode(one) for one in columns])
        why = "28224 numbers in each timestep, or 4 stacked frames: --frame-stack newest takes one"
        assert plan(folder).left_out == {"planes": why}
        assert [f.name for f in plan(folder, frame_stack="newest").observations] == ["planes", "x"]

    def test_alone_as_numbers_they_are_too_many_and_it_is_said_what_they_may_be(self, tmp_path: Path) -> None:
        seen = [stacked(frames, 1) for frames in games()]
        folder = dataset(tmp_path / "in", tensor("steps/observation", "uint8", (4, 84, 84)), seen)
        message = error_of(run("ingest", "rlds", folder, "--out", tmp_path / "out"))
        assert "28224 observation tokens" in message
        assert "--frame-stack newest" in message

    def test_a_picture_without_transparency_is_no_stack(self, tmp_path: Path) -> None:
        opaque = [png((84, 84, 4), 255)] * T
        folder = dataset(tmp_path / "in", picture("steps/observation", (84, 84, 4)), [opaque])
        with pytest.raises(OutputError, match=r"observation: the newest of four stacked frames is white all over"):
            read(folder, tmp_path / "out")


class TestTransparency:
    def test_84x84x4_is_asked_about(self, tmp_path: Path) -> None:
        seen = [encoded(stacked(frames, -1)) for frames in games()]
        folder = dataset(tmp_path / "in", picture("steps/observation/image", (84, 84, 4)), seen)
        for more in ((), ("--dry-run",)):
            message = error_of(run("ingest", "rlds", folder, "--out", tmp_path / "out", *more))
            assert message == (
                "image of Pong/1.0.0 is 84x84x4, which is four stacked gray frames or a picture with transparency: "
                "--frame-stack newest takes the newest frame, none shows the picture on white"
            )
        found = read(folder, tmp_path / "out", "rlds", frame_stack="none", image_size=(96, 96), image_fit="pad")
        assert found[0].patches[0].max() == 255  # transparent, so white

    def test_of_another_size_frames_are_never_shown_on_white(self, tmp_path: Path) -> None:
        seen = [encoded(stacked(frames, -1)) for frames in games(side=96)]
        folder = dataset(tmp_path / "in", picture("steps/observation", (96, 96, 4)), seen)
        with pytest.raises(OutputError, match="may be stacked gray frames: --frame-stack newest takes the last"):
            read(folder, tmp_path / "out", "rlds")
        newest = [encoded(frames[3:][..., None]) for frames in games(side=96)]
        gray = dataset(tmp_path / "gray", picture("steps/observation", (96, 96, 1)), newest)
        same(read(folder, tmp_path / "a", "rlds", frame_stack="newest"), read(gray, tmp_path / "b", "rlds"))

    def test_levels_that_differ_from_frame_to_frame(self, tmp_path: Path) -> None:
        frames = np.broadcast_to(np.array([10, 60, 110, 160], np.uint8), (T, 64, 64, 4))
        folder = dataset(tmp_path / "in", picture("steps/observation", (64, 64, 4)), [encoded(frames)] * 2)
        with pytest.raises(OutputError, match="may be stacked gray frames"):
            read(folder, tmp_path / "out", "rlds")

    @pytest.mark.parametrize("soft", [0, 3])
    def test_a_picture_with_a_mask_is_shown_on_white(self, soft: int, tmp_path: Path) -> None:
        rgba = np.zeros((T, 64, 64, 4), np.uint8)
        rgba[:, 16:48, 16:48] = (200, 100, 50, 255)
        rgba[:, 16 : 16 + soft, 16:48, 3] = 128
        folder = dataset(tmp_path / "in", picture("steps/observation", (64, 64, 4)), [encoded(rgba)] * 2)
        alpha = rgba[..., 3:].astype(int)
        shown = ((rgba[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
        plain = [[bytes(cv2.imencode(".png", one[..., ::-1])[1]) for one in shown]] * 2
        white = dataset(tmp_path / "white", picture("steps/observation", (64, 64, 3)), plain)
        same(read(folder, tmp_path / "a", "rlds"), read(white, tmp_path / "b", "rlds"))
        said = "the fourth channel of observation is transparency, shown on white: see --frame-stack"
        assert ("read", said) in notes(tmp_path / "a")


def levels(folder: Path, leaf: Leaf, grids: np.ndarray, *, as_png: bool = False) -> Path:
    columns = {
        "observation/image": encoded(grids) if as_png else grids,
        "observation/mission": ["go to the door"] * T,
        "action": np.array([1, 0, 2, 1]),
    }
    leaves = (leaf, text("steps/observation/mission"), ACTION)
    return write(folder, leaves, [episode(columns)] * 2, name="level")


class TestPlanesFirst:
    @pytest.mark.parametrize("source", ["atari", "rlds", "dm-lab"])
    def test_channels_and_three_frames_are_told_apart_by_nothing(self, source: str, tmp_path: Path) -> None:
        seen = [np.zeros((T, 3, 84, 84), np.uint8)] * 2
        folder = dataset(tmp_path / "in", tensor("steps/observation", "uint8", (3, 84, 84)), seen)
        assert error_of(run("ingest", source, folder, "--out", tmp_path / "out")) == (
            "observation of Pong/1.0.0 is 3x84x84, which is a picture with its channels first or three stacked frames: "
            "store it as 84x84x3, or the newest frame as 84x84x1"
        )

    def test_beside_other_observations_they_are_left_out(self, tmp_path: Path) -> None:
        pixels, state = tensor("steps/observation/pixels", "uint8", (3, 40, 40)), tensor("steps/observation/state")
        columns = {
            "observation/pixels": np.zeros((T, 3, 40, 40), np.uint8),
            "observation/state": np.zeros(T, np.float32),
            "action": np.array([1, 0, 2, 1]),
        }
        task = plan(write(tmp_path / "in", (pixels, state, ACTION), [episode(columns)]))
        assert [field.name for field in task.observations] == ["state"]
        assert "4800 numbers in each timestep" in task.left_out["pixels"]

    def test_a_picture_of_floats_is_refused_with_the_way_out(self, tmp_path: Path) -> None:
        leaf = tensor("steps/observation", "float32", (84, 84, 1))
        folder = dataset(tmp_path / "in", leaf, [np.zeros((T, 84, 84, 1), np.float32)])
        message = error_of(run("ingest", "rlds", folder, "--out", tmp_path / "out"))
        assert "raise --max-observation-tokens, store it as bytes (uint8) if it is a picture, or leave" in message


class TestGrids:
    @pytest.mark.parametrize("side", [13, 19, 25])
    @pytest.mark.parametrize("dtype", ["uint8", "int64"])
    def test_whole_levels_are_symbols_row_by_row(self, side: int, dtype: str, tmp_path: Path) -> None:
        grids = np.random.default_rng(0).integers(0, 11, (T, side, side, 3)).astype(dtype)
        leaf = tensor("steps/observation/image", dtype, (side, side, 3))
        ingest(
            levels(tmp_path / "in", leaf, grids),
            tmp_path / "out",
            source="babyai",
            tokenize=MANY_TOKENS,
        )
        task = read_manifest(tmp_path / "out").tasks["level"]
        assert [(f.name, f.modality) for f in task.observations] == [("mission", "text"), ("image", "discrete")]
        found = read_dataset(tmp_path / "out")[0]
        start = int(found.timestep_starts[1])
        width = side * side * 3
        np.testing.assert_array_equal(found.tokens[start - 2 - width : start - 2], grids[0].reshape(-1))
        assert not len(found.patches)

    @pytest.mark.parametrize("shape", [(16, 16, 3), (22, 22, 1), (22, 22), (39, 20)])
    def test_of_one_layer_or_none_too(self, shape: tuple[int, ...], tmp_path: Path) -> None:
        grids = np.random.default_rng(0).integers(0, 11, (T, *shape)).astype(np.uint8)
        folder = levels(tmp_path / "in", tensor("steps/observation/image", "uint8", shape), grids)
        ingest(folder, tmp_path / "out", source="babyai", tokenize=MANY_TOKENS)
        found = read_dataset(tmp_path / "out")[0]
        end = int(found.timestep_starts[1]) - 2
        np.testing.assert_array_equal(found.tokens[end - grids[0].size : end], grids[0].reshape(-1))

    def test_stored_as_png_too(self, tmp_path: Path) -> None:
        grids = np.random.default_rng(0).integers(0, 11, (T, 19, 19, 3)).astype(np.uint8)
        plain = levels(tmp_path / "a", tensor("steps/observation/image", "uint8", (19, 19, 3)), grids)
        image = picture("steps/observation/image", (19, 19, 3))
        packed = levels(tmp_path / "b", image, grids[..., ::-1], as_png=True)
        for folder, out in ((plain, tmp_path / "c"), (packed, tmp_path / "d")):
            ingest(folder, out, source="babyai", tokenize=MANY_TOKENS)
        same(read_dataset(tmp_path / "c"), read_dataset(tmp_path / "d"))

    def test_a_rendered_level_is_a_picture(self, tmp_path: Path) -> None:
        leaf = tensor("steps/observation/image", "uint8", (56, 56, 3))
        task = plan(levels(tmp_path / "in", leaf, np.zeros((T, 56, 56, 3), np.uint8)), "babyai", family="babyai")
        assert [(f.name, f.modality, f.shape) for f in task.observations][1] == ("image", "image", (64, 64, 3))

    def test_too_many_tokens_are_refused_with_the_way_out(self, tmp_path: Path) -> None:
        leaf = tensor("steps/observation/image", "uint8", (19, 19, 3))
        folder = levels(tmp_path / "in", leaf, np.zeros((T, 19, 19, 3), np.uint8))
        message = error_of(run("ingest", "babyai", folder, "--out", tmp_path / "out"))
        assert message.endswith("raise --max-observation-tokens, or leave fields out with --drop-keys")
        assert "--image-size" not in message

    def test_the_generic_source_says_how_it_reads_them_and_can_be_told(self, tmp_path: Path) -> None:
        leaf = tensor("steps/observation/image", "uint8", (19, 19, 3))
        folder = levels(tmp_path / "in", leaf, np.zeros((T, 19, 19, 3), np.uint8))
        result = run("ingest", "rlds", folder, "--out", tmp_path / "out", "--dry-run")
        assert "read: image is read as a picture: --discrete-keys image reads it as symbols" in result.stdout
        task = plan(folder, discrete_keys=("image",))
        assert [(f.name, f.modality) for f in task.observations] == [("mission", "text"), ("image", "discrete")]

    @pytest.mark.parametrize(("name", "message"), [("mission", "which is text"), ("grid", "lacks: it has")])
    def test_names_that_cannot_be_symbols(self, name: str, message: str, tmp_path: Path) -> None:
        leaf = tensor("steps/observation/image", "uint8", (19, 19, 3))
        folder = levels(tmp_path / "in", leaf, np.zeros((T, 19, 19, 3), np.uint8))
        with pytest.raises(InputError, match=f"--discrete-keys names '?{name}'?.*{message}"):
            plan(folder, discrete_keys=(name,))

    def test_jpeg_keeps_no_symbols(self, tmp_path: Path) -> None:
        image = Leaf(path="steps/observation", kind=Kind.IMAGE, dtype="uint8", shape=(24, 24, 3), image_format="png")
        jpegs = [bytes(cv2.imencode(".jpg", np.zeros((24, 24, 3), np.uint8))[1])] * T
        folder = dataset(tmp_path / "in", image, [jpegs])
        with pytest.raises(GatoError, match="observation: the image of timestep 0 is no PNG, which symbols need"):
            ingest(
                folder,
                tmp_path / "out",
                source="rlds",
                settings={"discrete_keys": ("observation",)},
                tokenize=MANY_TOKENS,
            )


MAP = "a map of labels or distances by its name: name it in --observation-keys to keep it as a picture"


@pytest.mark.parametrize(
    ("leaf", "why"),
    [
        (tensor("steps/observation/front_segmentation", "uint8", (64, 64)), MAP),
        (tensor("steps/observation/segm/front", "uint8", (64, 64, 1)), MAP),
        (tensor("steps/observation/object_mask", "uint8", (64, 64, 1)), MAP),
        (picture("steps/observation/depth_1", (64, 64, 1)), MAP),
        (picture("steps/observation/segmentation", (64, 64, 3)), MAP),
        (
            tensor("steps/observation/labels", "int32", (64, 64)),
            "4096 numbers in each timestep: name it in --observation-keys to keep it",
        ),
        (
            tensor("steps/observation/labels", "int32", (64, 64, 1)),
            "4096 numbers in each timestep: name it in --observation-keys to keep it",
        ),
    ],
)
def test_maps_are_no_pictures(leaf: Leaf, why: str, tmp_path: Path) -> None:
    key = leaf.path.removeprefix("steps/")
    image = leaf.kind == Kind.IMAGE
    values = [png(leaf.shape, 3)] * T if image else np.zeros((T, *leaf.shape), leaf.dtype)  # type: ignore[arg-type]
    columns = {
        key: values,
        "observation/unmasked": [png((64, 64, 3), 9)] * T,
        "action": np.ones(T, np.int64),
    }
    leaves = (leaf, picture("steps/observation/unmasked", (64, 64, 3)), ACTION)
    folder = write(tmp_path / "in", leaves, [episode(columns)])
    task = plan(folder)
    assert [field.name for field in task.observations] == ["unmasked"]
    assert list(task.left_out.values()) == [why]
    named = key.removeprefix("observation/")
    assert named in [field.name for field in plan(folder, tokens=5000, observation_keys=(named,)).observations]
