"""What a simulator is: one task that is reset and stepped, whoever plays in it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gato_data.image_fit import import_cv2
from gato_pipelines.rlds.features import Kind, Leaf

Observation: TypeAlias = Mapping[str, Any]
"""What is seen at one moment, by the paths of features: numbers, a text, or an image as PNG."""
MAX_SEED = 2**31 - 1
_PNG_LEVEL = 6


@dataclass(frozen=True, slots=True)
class Step:
    """One action and what came of it.

    Attributes:
        action: as the simulator applied it.
        observation: what is seen then.
        reward: of the action.
        is_over: whether the episode is, in a terminal state or cut by the simulator.
        is_terminal: whether it is in a terminal state.
        success: whether the task is solved; None where the simulator knows no success.
    """

    action: Any
    observation: Observation
    reward: float
    is_over: bool
    is_terminal: bool
    success: bool | None = None


class Simulator(ABC):
    """One task in a simulator.

    Attributes:
        action: the feature of an action.
        observations: the features of an observation.
        shows_end: whether what `step` shows at the end of an episode is the end, not a new episode.
        knows_success: whether steps say if the task is solved.
    """

    shows_end: ClassVar[bool] = True
    knows_success: ClassVar[bool] = False
    action: Leaf
    observations: Sequence[Leaf]

    @abstractmethod
    def reset(self, rng: np.random.Generator) -> Observation:
        """Begin an episode that is drawn from random numbers; returns what is seen first."""

    @abstractmethod
    def step(self, action: Any) -> Step:
        """Act once."""

    def close(self) -> None:  # noqa: B027 - most simulators hold nothing
        """Give back what it holds."""


def image_leaf(path: str, height: int, width: int) -> Leaf:
    """A colour image, stored as PNG."""
    return Leaf(path=path, kind=Kind.IMAGE, dtype="uint8", shape=(height, width, 3), image_format="png")


def png(pixels: NDArray[np.uint8]) -> bytes:
    """Encode an image, uint8 (H, W, 3) in RGB or gray (H, W)."""
    cv2 = import_cv2()
    stored = pixels[..., ::-1] if pixels.ndim == 3 else pixels
    done, data = cv2.imencode(".png", stored, [cv2.IMWRITE_PNG_COMPRESSION, _PNG_LEVEL])
    assert done, "OpenCV encodes every image of 8 bits as PNG"
    return bytes(data)


def draw_seed(rng: np.random.Generator) -> int:
    """A seed for a simulator."""
    return int(rng.integers(MAX_SEED))
