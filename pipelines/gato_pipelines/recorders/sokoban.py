"""Sokoban rooms (gym-sokoban), solved by search with the fewest pushes."""

import contextlib
import importlib.metadata
import io
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from gato_data.errors import SettingError
from gato_pipelines.recorders.recording import (
    PlayedEpisode,
    Recording,
    Writing,
    as_rlds,
    draw_seed,
    episode_rng,
    image_leaf,
    png,
    recording_features,
    write_recording,
)
from gato_pipelines.recorders.sokoban_import import import_sokoban
from gato_pipelines.recorders.sokoban_solver import solve
from gato_pipelines.rlds.card import DatasetCard
from gato_pipelines.rlds.episode import RldsEpisode
from gato_pipelines.rlds.features import Kind, Leaf

POLICY = "a search for the fewest pushes"
CELLS = 10
"""Cells on a side of a room, walls included; a cell is drawn with 16x16 pixels."""
MAX_STEPS = 120
MAX_BOXES = 5

_IMAGE = "steps/observation/image"
FEATURES = recording_features(
    Leaf(path="steps/action", kind=Kind.TENSOR, dtype="int64", value_range="[0, 8]"),
    [image_leaf(_IMAGE, CELLS * 16, CELLS * 16)],
    success=True,
)


def record(
    boxes: int, episodes: int, out: Path, *, seed: int = 0, max_steps: int = MAX_STEPS, **writing: Unpack[Writing]
) -> Recording:
    """Solve new rooms and write the episodes as RLDS; the same arguments give the same bytes.

    Rooms for which the search takes too long are left out. A solution of more than `max_steps` actions is cut, and its
    episode no success.

    Args:
        boxes: in a room, 1 to 5; 4 are usual.
        episodes: how many.
        out: a new or empty folder, or one that an earlier call left unfinished.
        seed: of the rooms, 0 to 2**31 - 1.
        max_steps: actions after which an episode is cut.
        writing: see `Writing`.

    Raises:
        SettingError: a number is out of range.
        MissingPackageError: gym-sokoban is not installed.
        OutputError: `out` holds something else, or a finished recording.
    """
    if not 1 <= boxes <= MAX_BOXES or max_steps < 1:
        raise SettingError(
            f"{boxes} boxes and at most {max_steps} actions: 1 to {MAX_BOXES}, and 1 or more were wanted"
        )
    env = import_sokoban()(max_steps=max_steps, num_boxes=boxes, reset=False)
    plays = _plays(env, episodes, seed)
    return write_recording(out, _card(boxes, seed, max_steps), plays, episodes, **writing)


def _card(boxes: int, seed: int, max_steps: int) -> DatasetCard:
    version = importlib.metadata.version("gym-sokoban")
    return DatasetCard(
        name="sokoban",
        config=f"boxes_{boxes}",
        version="1.0.0",
        features=FEATURES,
        description=(
            f"Rooms of {CELLS}x{CELLS} cells with {boxes} boxes in gym-sokoban {version}, solved by {POLICY}. The last "
            "timestep of an episode holds the final observation only."
        ),
        licence="Recorded with gym-sokoban (MIT).",
        module=__name__,
        metadata={"boxes": boxes, "policy": POLICY, "seed": seed, "max_steps": max_steps, "gym_sokoban": version},
    )


def _plays(env: Any, count: int, seed: int) -> Iterator[RldsEpisode]:
    for number in range(count):
        rng = episode_rng(seed, number)
        actions = None
        while actions is None:
            image = _reset(env, draw_seed(rng))
            actions = solve(env.room_fixed, env.room_state)
        yield as_rlds(FEATURES, number, _play(env, image, actions))


def _reset(env: Any, seed: int) -> Any:
    """A new room, (160, 160, 3) uint8; gym-sokoban draws it from the global random numbers of Python and numpy."""
    before = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed)
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # tells of rooms that it discards
            return env.reset()
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])


def _play(env: Any, image: Any, actions: list[int]) -> PlayedEpisode:
    play = PlayedEpisode([_columns(image)], success=False)
    for action in actions:
        image, reward, ended, info = env.step(action)
        play.add(action, float(reward), _columns(image))
        if ended:
            play.success = play.is_terminal = bool(info["all_boxes_on_target"])
            break
    return play


def _columns(image: Any) -> Mapping[str, Any]:
    return {_IMAGE: png(image.astype(np.uint8))}
