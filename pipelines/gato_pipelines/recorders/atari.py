"""Real Atari games, recorded with the features of TFDS's `rlu_atari`.

A uniform random policy over the game's minimal action set plays them, unless an expert is asked
for: honest episodes of a poor player, not those of the DQN agents of RL Unplugged.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from typing import ClassVar

import numpy as np

from gato_data.errors import SettingError
from gato_data.image_fit import import_cv2
from gato_data.settings import setting
from gato_pipelines.environments.atari import IMAGE, SIDE, Atari, find_rom, import_ale_py
from gato_pipelines.environments.chance import Chance, check_seed
from gato_pipelines.environments.environment import RANDOM
from gato_pipelines.environments.play import PlayedEpisode
from gato_pipelines.recorders.recorder import Actor, EnvironmentRecorder, actor_setting, name_setting, seed_setting
from gato_pipelines.rlds.card import DatasetCard
from gato_pipelines.rlds.episode import RldsEpisode
from gato_pipelines.rlds.features import Features, Kind, Leaf

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
        Leaf(path=IMAGE, kind=Kind.IMAGE, dtype="uint8", shape=(SIDE, SIDE, 1), image_format="png"),
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


@dataclass(frozen=True)
class Recorder(EnvironmentRecorder[Atari]):
    """Play a real Atari game at random.

    The same options give the same bytes. The player is random, with sticky actions: good for trying
    things out, no expert. Of Pong there is one: --actor expert.
    """

    example: ClassVar[str] = "gato-data record atari --game breakout --episodes 8 --out breakout-rlds"
    clips_rewards: ClassVar[bool] = True

    game: str = name_setting("Name of the game, such as breakout or ms_pacman.")
    seed: int = seed_setting()
    max_frames: int = setting(108_000, "Screens after which an episode is cut.", minimum=1)
    frame_skip: int = setting(4, "Screens for which an action is held.", minimum=1)
    sticky: float = setting(0.25, "Probability that an action is repeated.", minimum=0, maximum=1)
    actor: Actor = actor_setting("random")

    def __post_init__(self) -> None:
        check_seed(self.seed)
        if self.frame_skip < 1 or self.max_frames < self.frame_skip:
            raise SettingError(
                f"frame skip {self.frame_skip} with at most {self.max_frames} frames leaves no timestep: "
                "the skip must be 1 or more, and the frames at least as many"
            )
        if not 0 <= self.sticky < 1:
            raise SettingError(f"the probability of sticky actions is {self.sticky}, 0 or more and below 1 was wanted")

    def environment(self, *, draws: bool = False, recorded: bool = False) -> Atari:
        """The game, whatever capitals and separators its name has."""
        return Atari(
            find_rom(self.game),
            seed=self.seed if recorded else None,
            frame_skip=self.frame_skip,
            sticky=self.sticky,
            max_frames=self.max_frames,
        )

    def chances(self) -> Iterator[Chance]:
        """One sequence of random numbers for all episodes, as the emulator has."""
        rng = np.random.default_rng(self.seed)
        return (Chance(self.seed, number, rng=rng) for number in count())

    def features(self, environment: Atari) -> Features:
        """Those of `rlu_atari`."""
        return FEATURES

    def episode(self, features: Features, play: PlayedEpisode, environment: Atari) -> RldsEpisode:
        """An episode of no checkpoint of an agent."""
        made = super().episode(features, play, environment)
        return replace(made, episode={**made.episode, "checkpoint_id": np.array(0, dtype=np.int64)})

    def card(self, environment: Atari, policy: str) -> DatasetCard:
        """What the recording says of itself."""
        ale_py, cv2 = import_ale_py(), import_cv2()
        game = environment.name
        player = "a uniform random policy over the minimal action set" if policy == RANDOM else policy
        return DatasetCard(
            name="rlu_atari",
            config=f"{game}_run_1",
            version="1.3.0",
            features=self.features(environment),
            description=(
                f"{game}, played in ale-py {ale_py.__version__} by {player}, with sticky actions (probability "
                f"{self.sticky}) and frame skip {self.frame_skip}. The features are those of TFDS rlu_atari; the "
                "episodes are not those of RL Unplugged. The last timestep of an episode holds the final observation "
                "only."
            ),
            licence=f"Recorded with ale-py (GPL-2.0-only). The frames show {game}, which belongs to its owner.",
            module=__name__,
            metadata={
                "game": game,
                "policy": policy,
                "seed": self.seed,
                "max_frames": self.max_frames,
                "frame_skip": self.frame_skip,
                "sticky": self.sticky,
                "ale_py": ale_py.__version__,
                "opencv": cv2.__version__,
            },
        )
