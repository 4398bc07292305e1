"""What an environment is: one task that is reset and stepped, and who can play in it besides a policy."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gato_data.errors import EpisodeError
from gato_pipelines.environments.chance import Chance
from gato_pipelines.rlds.features import Kind, Leaf

Observation: TypeAlias = Mapping[str, Any]
"""What is seen at one moment, by the paths of features: numbers, a text, or an image as it is:
uint8 (H, W, 3) in RGB or gray (H, W)."""
Player: TypeAlias = Callable[[Observation], Any]
"""Sees what there is to see, and returns what to do; made for an episode that has just begun."""
Frame: TypeAlias = NDArray[np.uint8]
ACTION = "steps/action"
RANDOM = "a random player"


class GaveUpError(Exception):
    """A player cannot go on with an episode."""


@dataclass(frozen=True, slots=True)
class Step:
    """One action and what came of it.

    Attributes:
        action: as the environment applied it.
        observation: what is seen then.
        reward: of the action.
        is_over: whether the episode is, in a terminal state or cut by the environment.
        is_terminal: whether it is in a terminal state.
        success: whether the task is solved; None where the environment does not tell now.
    """

    action: Any
    observation: Observation
    reward: float
    is_over: bool
    is_terminal: bool
    success: bool | None = None


class Environment(ABC):
    """One task.

    An action is a value where there is one feature of actions, else a mapping by their paths.

    Attributes:
        name: of the task, for people.
        actions: the features of an action.
        observations: the features of an observation.
        max_actions: after which an episode is cut; None where the environment cuts it.
        shows_end: whether what `step` shows at the end of an episode is the end, not another episode.
        knows_success: whether every step says if the task is solved; some say it at the end of an episode alone.
        expert_policy: who the expert is, in a few words; empty where none is known.
        random_policy: who plays at random.
        gives_up: what the expert raises where it cannot go on.
    """

    name: str
    actions: Sequence[Leaf]
    observations: Sequence[Leaf]
    max_actions: int | None = None
    shows_end: ClassVar[bool] = True
    knows_success: bool = False
    expert_policy: str = ""
    random_policy: str = RANDOM
    gives_up: tuple[type[Exception], ...] = (GaveUpError,)

    @property
    def title(self) -> str:
        """What is to be done in the episode that is played, or else what is played."""
        return self.name

    @abstractmethod
    def reset(self, chance: Chance) -> Observation:
        """Begin an episode; returns what is seen first."""

    @abstractmethod
    def step(self, action: Any) -> Step:
        """Act once."""

    def applied(self, action: Any) -> Any:
        """An action as `step` applies it."""
        return action

    @abstractmethod
    def random(self, rng: np.random.Generator) -> Player:
        """Who plays the episode that has just begun at random."""

    def expert(self, rng: np.random.Generator) -> Player:
        """Who plays the episode that has just begun well; there is one where `expert_policy` names it.

        Raises:
            GaveUpError, or another of `gives_up`: it cannot begin.
        """
        raise NotImplementedError(f"{self.name} has no expert")

    @abstractmethod
    def frame(self) -> Frame:
        """A picture of this moment, uint8 (H, W, 3); some have to be made with `draws` for it."""

    def close(self) -> None:  # noqa: B027 - most environments hold nothing
        """Give back what it holds."""


def image_leaf(path: str, height: int, width: int, channels: int = 3) -> Leaf:
    """An image, stored as PNG."""
    return Leaf(path=path, kind=Kind.IMAGE, dtype="uint8", shape=(height, width, channels), image_format="png")


def discrete_action(count: int, dtype: str = "int64") -> Leaf:
    """One of `count` actions."""
    return Leaf(path=ACTION, kind=Kind.TENSOR, dtype=dtype, value_range=f"[0, {count - 1}]")


def one_of(count: int, rng: np.random.Generator) -> Player:
    """Any of `count` actions, all alike."""
    return lambda seen: int(rng.integers(count))


def chosen(action: Any, count: int, what: str) -> int:
    """An action that is one of `count`.

    Raises:
        EpisodeError: it is none of them.
    """
    if np.size(action) != 1 or not 0 <= (number := int(np.asarray(action).item())) < count:
        raise EpisodeError(f"{what} takes one action from 0 to {count - 1}; {action} came: was this learned elsewhere?")
    return number
