"""Real Atari games, recorded with the features of TFDS's `rlu_atari`.

The games are the ROMs inside the ale-py package. A uniform random policy over the game's minimal action set plays
them with sticky actions (Machado et al., 2018): honest episodes of a poor player, not those of the DQN agents of RL
Unplugged. Frames are made as for DQN: the pixel-wise maximum of the last two screens of every skip, in gray, 84x84.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from gato_pipelines.images.fit import import_cv2
from gato_pipelines.recorders.ale import MAX_FRAMES, SIDE, Emulator, Play, find_rom, game_title, import_ale_py
from gato_pipelines.recorders.recording import Recording, Writing, write_recording
from gato_pipelines.rlds.card import DatasetCard
from gato_pipelines.rlds.episode import RldsEpisode
from gato_pipelines.rlds.features import Features, Kind, Leaf

POLICY = "a random player"

_IMAGE = "steps/observation"
FEATURES = Features(
    (
        Leaf(path="checkpoint_id", kind=Kind.TENSOR, dtype="int64"),
        Leaf(path="episode_id", kind=Kind.TENSOR, dtype="int64"),
        Leaf(path="episode_return", kind=Kind.SCALAR, dtype="float32", description="Sum of the clipped rewards."),
        Leaf(path="steps/action", kind=Kind.TENSOR, dtype="int64"),
        Leaf(path="steps/discount", kind=Kind.TENSOR, dtype="float32"),
        Leaf(path="steps/is_first", kind=Kind.TENSOR, dtype="bool"),
        Leaf(path="steps/is_last", kind=Kind.TENSOR, dtype="bool"),
        Leaf(path="steps/is_terminal", kind=Kind.TENSOR, dtype="bool"),
        Leaf(path=_IMAGE, kind=Kind.IMAGE, dtype="uint8", shape=(SIDE, SIDE, 1), image_format="png"),
        Leaf(
            path="steps/reward",
            kind=Kind.SCALAR,
            dtype="float32",
            description="Clipped reward.",
            value_range="[-1, 1]",
        ),
    )
)
"""The features of TFDS's `rlu_atari` 1.3.0."""


def record(
    game: str,
    episodes: int,
    out: Path,
    *,
    seed: int = 0,
    max_frames: int = MAX_FRAMES,
    shards: int = 1,
    frame_skip: int = 4,
    sticky: float = 0.25,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Recording:
    """Play a game and write the episodes as an RLDS dataset; `out` itself becomes its version folder.

    Every episode of T actions has T + 1 timesteps. The last one is the final observation: its action, reward and
    discount are 0, and it is terminal unless the episode was truncated. The same arguments give the same bytes.

    Args:
        game: as ale-py or TFDS writes it, such as "ms_pacman" or "MsPacman".
        episodes: how many.
        out: a new or empty folder, or one that an earlier call left unfinished.
        seed: see `Play`.
        max_frames: see `Play`.
        shards: files to spread the episodes over.
        frame_skip: see `Play`.
        sticky: see `Play`.
        overwrite: replace a finished recording in `out`.
        progress: called after every episode with the episodes and timesteps so far.

    Raises:
        SettingError: there is no such game, or a number is out of range.
        MissingPackageError: ale-py or OpenCV is not installed.
        OutputError: `out` holds something else, or a finished recording.
    """
    play = Play(seed=seed, max_frames=max_frames, frame_skip=frame_skip, sticky=sticky)
    rom = find_rom(game)
    writing = Writing(shards=shards, overwrite=overwrite, progress=progress)
    return write_recording(out, _card(rom, play), _episodes(rom, episodes, play), episodes, **writing)


def _card(rom: str, play: Play) -> DatasetCard:
    ale_py, cv2 = import_ale_py(), import_cv2()
    game = game_title(rom)
    return DatasetCard(
        name="rlu_atari",
        config=f"{game}_run_1",
        version="1.3.0",
        features=FEATURES,
        description=(
            f"{game}, played in ale-py {ale_py.__version__} by a uniform random policy over the minimal action set, "
            f"with sticky actions (probability {play.sticky}) and frame skip {play.frame_skip}. The features are those "
            "of TFDS rlu_atari; the episodes are not those of RL Unplugged. The last timestep of an episode holds the "
            "final observation only."
        ),
        licence=f"Recorded with ale-py (GPL-2.0-only). The frames show {game}, which belongs to its owner.",
        module=__name__,
        metadata={
            "game": game,
            "policy": POLICY,
            "seed": play.seed,
            "max_frames": play.max_frames,
            "frame_skip": play.frame_skip,
            "sticky": play.sticky,
            "ale_py": ale_py.__version__,
            "opencv": cv2.__version__,
        },
    )


def _episodes(rom: str, count: int, play: Play) -> Iterator[RldsEpisode]:
    """Play `count` episodes; an episode does not depend on how many follow it."""
    emulator = Emulator(rom, play)
    rng = np.random.default_rng(play.seed)
    for episode_id in range(count):
        images = [emulator.reset()]
        actions: list[int] = []
        rewards: list[float] = []
        while not emulator.is_over and len(actions) * play.frame_skip < play.max_frames:
            actions.append(int(rng.integers(emulator.num_actions)))
            reward, image = emulator.act(actions[-1])
            rewards.append(reward)
            images.append(image)
        yield _as_rlds(episode_id, images, actions, rewards, is_terminal=emulator.is_over)


def _as_rlds(
    episode_id: int, images: list[bytes], actions: list[int], rewards: list[float], *, is_terminal: bool
) -> RldsEpisode:
    length = len(images)
    clipped = np.clip(np.array([*rewards, 0.0], dtype=np.float32), -1, 1)
    discount = np.ones(length, dtype=np.float32)
    discount[-2:] = (0.0 if is_terminal else 1.0, 0.0)
    at = np.arange(length)
    return RldsEpisode(
        num_timesteps=length,
        tensors={
            "steps/action": np.array([*actions, 0], dtype=np.int64),
            "steps/reward": clipped,
            "steps/discount": discount,
            "steps/is_first": at == 0,
            "steps/is_last": at == length - 1,
            "steps/is_terminal": (at == length - 1) & is_terminal,
        },
        images={_IMAGE: images},
        episode={
            "checkpoint_id": np.array(0, dtype=np.int64),
            "episode_id": np.array(episode_id, dtype=np.int64),
            "episode_return": np.array(clipped.sum(), dtype=np.float32),
        },
    )
