"""Live timesteps: what is taken, cast and refused; that they equal ingest's is tested in `tests/pipelines`."""

import io
from typing import Any

import numpy as np
import PIL.Image
import pytest

from gato_data.errors import EpisodeError, SettingError
from gato_data.image_decoding import fit_images
from gato_data.image_fit import ImageFit
from gato_data.timestep import Observer
from gato_data.tokenize import TokenizeSettings, tokenize_episode
from gato_data.tokenizers.text import TextTokenizer
from gato_data.vocabulary import Vocabulary
from gato_schemas.dataset import ImageInfo, TaskInfo
from gato_schemas.episode import Episode, EpisodeSpec, Field

RNG = np.random.default_rng(0)
FRAME = RNG.integers(0, 256, (84, 84), dtype=np.uint8)
STATE = np.array([0.1, -2, 300, 0.5], np.float32)
SEEN = {"image": FRAME, "state": STATE, "facing": 3, "mission": "go to the red ball", "unknown": object()}
TASK = TaskInfo(
    observations=[
        Field("image", "image", (64, 80, 3), "uint8"),
        Field("state", "continuous", (4,), "float32"),
        Field("facing", "discrete", (), "uint8"),
        Field("mission", "text", (), "string"),
    ],
    actions=[
        Field("move", "discrete", (), "int64", start=-1),
        Field("force", "continuous", (2,), "float32", low=-3.0, high=(5.0, 7.0)),
    ],
    images={"image": ImageInfo(shape=(84, 84, 1), mode="resize", scales=True, size=(64, 80))},
    action_values={"move": 3},
)
MOVED = {"move": 1, "force": np.array([-3, 7], np.float32)}


def observer(task: TaskInfo = TASK, **settings: Any) -> Observer:
    return Observer(task, Vocabulary(), TokenizeSettings(**settings), TextTokenizer.default(), name="pong")


def camera(info: ImageInfo | None, field: Field) -> Observer:
    return observer(
        TaskInfo(observations=[field], actions=TASK.actions[:1], images={} if info is None else {field.name: info})
    )


def png(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    PIL.Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def test_a_timestep_is_that_of_an_episode_of_one() -> None:
    live = observer().observe(SEEN)
    pixels = fit_images(FRAME[None, ..., None], ImageFit(64, 80))
    observations = {"image": pixels, "state": STATE[None], "facing": np.array([3]), "mission": [SEEN["mission"]]}
    actions = {name: np.asarray(value)[None] for name, value in MOVED.items()}
    spec = EpisodeSpec(tuple(TASK.observations), tuple(TASK.actions))
    episode = Episode(task="pong", observations=observations, actions=actions)
    whole = tokenize_episode(episode, spec, Vocabulary(), TokenizeSettings(), TextTokenizer.default())
    assert len(live.tokens) == whole.num_tokens - 3
    for name in ("tokens", "position", "modality"):
        np.testing.assert_array_equal(getattr(live, name), getattr(whole, name)[:-3])
    np.testing.assert_array_equal(live.patches, whole.patches)
    np.testing.assert_array_equal(live.patch_position, whole.patch_position)
    np.testing.assert_array_equal(observer().encode(MOVED), whole.tokens[-3:])


def test_actions_keep_dtype_shape_and_range() -> None:
    found = observer()
    assert found.allowed.tolist() == [[0, 3], [32000, 33024], [32000, 33024]]
    assert found.widths == (1, 2)
    for ids in found.allowed.T - np.array([[0], [1]]):  # the first and the last of each
        action = found.decode(ids)
        assert (action["move"].dtype, action["move"].shape) == (np.int64, ())
        assert (action["force"].dtype, action["force"].shape) == (np.float32, (2,))
        assert -1 <= action["move"] <= 1
        assert (action["force"] >= -3).all()
        assert (action["force"] <= [5, 7]).all()
        np.testing.assert_array_equal(found.encode(action), ids)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int64"])
def test_numbers_are_cast_as_the_dataset_has_them(dtype: str) -> None:
    value = np.array([1, 2, 3, 4]).astype(dtype)
    seen = {**SEEN, "state": value, "facing": np.array(3, np.int32)}
    ours = observer().observe(seen).tokens
    np.testing.assert_array_equal(ours, observer().observe({**SEEN, "state": value.astype(np.float32)}).tokens)


def test_what_lies_between_two_floats_falls_where_the_dataset_put_it() -> None:
    edge = np.float32(0.25)  # of an action: a bin begins here
    below = float(np.nextafter(np.float64(edge), 0))  # the nearest float32 is the edge
    task = TaskInfo(observations=[Field("state", "continuous", (), "float32", compand=False)], actions=TASK.actions)
    plain = TokenizeSettings(compand_observations=False)
    found = Observer(task, Vocabulary(), plain)
    assert found.observe({"state": below}).tokens[0] == found.observe({"state": edge}).tokens[0]
    wide = TaskInfo(observations=[Field("state", "continuous", (), "float64", compand=False)], actions=TASK.actions)
    assert (
        Observer(wide, Vocabulary(), plain).observe({"state": below}).tokens[0]
        != found.observe({"state": edge}).tokens[0]
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"state": ...}, r"observation state of task pong is missing: there is 'image', .*"),
        ({"state": ..., "states": STATE}, r"observation state .* is missing: there is .* \(is 'states' meant\?\)"),
        ({"state": STATE[:3]}, r"observation state of task pong has the shape \(3,\): \(4,\) is wanted"),
        ({"state": [[1.0, 2], [3]]}, r"state .* has rows of different lengths: the shape \(4,\) is wanted"),
        ({"state": [1, 2, np.nan, 4]}, r"state .* is nan in element \[2\]: a finite number of float32 is wanted"),
        ({"state": [1e300, 2, 3, 4]}, r"state .* is 1e\+300 in element \[0\]: a finite number of float32 is wanted"),
        ({"state": ["a", "b", "c", "d"]}, r"state .* is of type <U1: float32 is wanted"),
        ({"state": STATE + 1j}, r"state .* is of type complex64: float32 is wanted"),
        ({"state": b"abcd"}, r"state .* is of type bytes: numbers of shape \(4,\) are wanted"),
        ({"facing": 256}, r"facing .* is 256: an integer in \[0, 256\) is wanted"),
        ({"facing": -1}, r"facing .* is -1: an integer in \[0, 256\) is wanted"),
        ({"facing": 3.0}, r"facing .* is of type float64: uint8 is wanted"),
        ({"mission": 7}, r"mission .* is of type int: a text \(str\) is wanted"),
        ({"image": FRAME[:80]}, r"image of task pong has the shape \(80, 84\): \(84, 84, 1\) is wanted"),
        ({"image": np.stack([FRAME] * 3, -1)}, r"image .* has the shape \(84, 84, 3\): \(84, 84, 1\) is wanted"),
        ({"image": FRAME / 255}, r"image .* is of type float64: pixels of type uint8 are wanted"),
        ({"image": png(FRAME[:80])}, r"image of task pong: .* 80x84 pixels, 84x84 was expected"),
        ({"image": b"GIF89a"}, r"image of task pong: .*neither a PNG nor a JPEG"),
    ],
)
def test_what_does_not_fit_is_refused_with_both_sides(change: dict[str, Any], message: str) -> None:
    seen = {name: value for name, value in {**SEEN, **change}.items() if value is not ...}
    with pytest.raises(EpisodeError, match=message):
        observer().observe(seen)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"move": 2}, r"action move of task pong is 2: an integer in \[-1, 2\) is wanted"),
        ({"move": [0]}, r"action move of task pong has the shape \(1,\): \(\) is wanted"),
        ({"force": [0, np.inf]}, r"action force .* is inf in element \[1\]"),
        ({"force": ...}, r"action force of task pong is missing: there is 'move'"),
    ],
)
def test_actions_that_cannot_be(change: dict[str, Any], message: str) -> None:
    action = {name: value for name, value in {**MOVED, **change}.items() if value is not ...}
    with pytest.raises(EpisodeError, match=message):
        observer().encode(action)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([3, 32000, 32000], r"action token 0 of task pong is id 3: one in \[0, 3\) is wanted"),
        ([0, 32000, 33024], r"action token 2 of task pong is id 33024: one in \[32000, 33024\) is wanted"),
        ([0, 32000], r"an action of task pong is int64 of shape \(2,\): 3 ids are wanted"),
        ([0.0, 32000, 32000], r"an action of task pong is float64 of shape \(3,\): 3 ids are wanted"),
    ],
)
def test_ids_that_are_no_action(ids: list[Any], message: str) -> None:
    with pytest.raises(EpisodeError, match=message):
        observer().decode(np.array(ids))


def test_more_observation_tokens_than_there_are_positions() -> None:
    with pytest.raises(EpisodeError, match="at most 25 were expected"):
        observer(max_observation_tokens=25).observe(SEEN)
    with pytest.raises(SettingError, match="of task pong has 25 observation tokens, its dataset at most 24"):
        observer(max_observation_tokens=24)


RGB = RNG.integers(0, 256, (32, 48, 3), dtype=np.uint8)
CAMERA = Field("camera", "image", (32, 48, 3), "uint8")
ALPHA = np.concatenate([RGB, np.full((32, 48, 1), 255, np.uint8)], axis=2)
AS_IT_IS = {"mode": "resize", "scales": True, "size": (32, 48)}


def test_an_alpha_channel_is_shown_on_white_as_in_a_recording() -> None:
    found = camera(ImageInfo(shape=(32, 48, 4), **AS_IT_IS), CAMERA)
    half = ALPHA.copy()
    half[:16, :, 3] = 128
    half[16:, :, 3] = 0
    np.testing.assert_array_equal(found.observe({"camera": half}).patches, found.observe({"camera": png(half)}).patches)
    assert (found.observe({"camera": half}).patches[3:] == 255).all()
    with pytest.raises(EpisodeError, match=r"has the shape \(32, 48, 3\): \(32, 48, 4\) is wanted"):
        found.observe({"camera": RGB})
    with pytest.raises(EpisodeError, match=r"has the shape \(32, 48, 4\): \(32, 48, 3\) is wanted"):
        camera(ImageInfo(shape=(32, 48, 3), **AS_IT_IS), CAMERA).observe({"camera": ALPHA})


@pytest.mark.parametrize("first", [True, False])
def test_of_stacked_frames_the_newest_is_taken(first: bool) -> None:
    frames = RNG.integers(0, 256, (4, 32, 48), dtype=np.uint8)
    found = camera(ImageInfo(shape=(32, 48, 1), frames=4, frames_first=first, **AS_IT_IS), CAMERA)
    wanted = found.observe({"camera": frames[-1]}).patches
    stacked = frames if first else np.moveaxis(frames, 0, -1)
    np.testing.assert_array_equal(found.observe({"camera": stacked}).patches, wanted)
    axis = "first" if first else "last"
    with pytest.raises(EpisodeError, match=rf"or 4 such frames along the {axis} axis, is wanted"):
        found.observe({"camera": stacked[:, :-1]})


def test_padding_and_free_sides() -> None:
    padded = Field("camera", "image", (48, 48, 3), "uint8", content=(32, 40))
    found = camera(ImageInfo(shape=(32, 40, 3), mode="pad", scales=False, size=(48, 48)), padded)
    patches = found.observe({"camera": RGB[:, :40]}).patches
    assert not patches[6:].any()
    np.testing.assert_array_equal(patches[0], RGB[:16, :16])
    free = camera(ImageInfo(shape=(None, None, 3), mode="resize", scales=False, size=(32, 48)), CAMERA)
    assert free.observe({"camera": RGB[:7, :5]}).patches.shape == (6, 16, 16, 3)
    with pytest.raises(EpisodeError, match=r"\(any, any, 3\) is wanted"):
        free.observe({"camera": RGB[:0]})


def test_a_dataset_that_does_not_say_how_it_fitted_takes_fitted_images_only() -> None:
    found = camera(None, CAMERA)
    np.testing.assert_array_equal(found.observe({"camera": RGB}).patches[0], RGB[:16, :16])
    with pytest.raises(EpisodeError, match=r"\(32, 48, 3\) is wanted \(its dataset does not say how it was fitted\)"):
        found.observe({"camera": RGB[:30]})


def test_a_view_that_is_turned_over_is_no_other_picture() -> None:
    found = camera(
        ImageInfo(shape=(32, 48, 3), mode="resize", scales=True, size=(16, 16)), Field("c", "image", (16, 16, 3))
    )
    turned = RGB[::-1, ::-1]
    np.testing.assert_array_equal(
        found.observe({"c": turned}).patches, found.observe({"c": np.ascontiguousarray(turned)}).patches
    )


def test_symbols_are_numbers_or_a_png() -> None:
    grid = RNG.integers(0, 11, (7, 7, 3), dtype=np.uint8)
    found = observer(TaskInfo(observations=[Field("grid", "discrete", (7, 7, 3), "uint8")], actions=TASK.actions))
    np.testing.assert_array_equal(found.observe({"grid": grid}).tokens[:-1], grid.reshape(-1))
    np.testing.assert_array_equal(found.observe({"grid": png(grid)}).tokens[:-1], grid.reshape(-1))
    with pytest.raises(EpisodeError, match="no PNG, which symbols need"):
        found.observe({"grid": b"\xff\xd8"})


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (
            TaskInfo(observations=[], actions=[]),
            "nothing to observe or nothing to do of task pong: it has no timesteps",
        ),
        (
            TaskInfo(observations=[CAMERA], actions=[Field("say", "text")]),
            "action say of task pong is text: numbers are wanted",
        ),
        (
            TaskInfo(
                observations=[CAMERA],
                actions=TASK.actions,
                images={"camera": ImageInfo(shape=(32, 48, 3), mode="resize", scales=True, size=(16, 16))},
            ),
            r"is fitted to \(16, 16\), but its patches are cut of \(32, 48\)",
        ),
        (
            TaskInfo(observations=[Field("camera", "image", (32, 48))], actions=TASK.actions),
            r"has the shape \(32, 48\): an image of shape \(H, W, 3\) is wanted",
        ),
    ],
)
def test_tasks_that_cannot_be_played(task: TaskInfo, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        observer(task)


def test_a_text_needs_a_text_model() -> None:
    with pytest.raises(SettingError, match="a text is observed: a text model is wanted"):
        Observer(TASK, Vocabulary(), TokenizeSettings())
