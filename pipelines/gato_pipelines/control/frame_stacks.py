"""Stacked frames, as Atari's wrappers keep the last four: which axis they lie along, and the newest of them."""

from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from numpy.typing import NDArray

from gato_pipelines.rlds.features import Kind, Leaf

FrameStack: TypeAlias = Literal["auto", "newest", "none"]
"""What channels of an image or planes of bytes are: frames of which the newest is taken,
or no frames."""

MAX_FRAMES = 16
SMALLEST_SIDE = 32
USUAL = (84, 84, 4)
"""Shape that nothing but four gray frames of Atari has."""
_FRAMES_OF_AN_IMAGE = 4


@dataclass(frozen=True, slots=True)
class Stack:
    """How many frames one value holds, and whether they lie along its first axis or its last."""

    frames: int
    first: bool

    def newest(self, values: NDArray[Any]) -> NDArray[Any]:
        """The newest frames (T, H, W) or (T, H, W, C) of values (T, ...): the last of each stack."""
        return values[:, -1] if self.first else values[..., -1]


def stack_of(leaf: Leaf) -> Stack | None:
    """How a leaf would be a stack, by its shape; None where it cannot be one."""
    if leaf.kind == Kind.IMAGE:
        return Stack(_FRAMES_OF_AN_IMAGE, first=False) if leaf.shape[2:] == (_FRAMES_OF_AN_IMAGE,) else None
    if leaf.dtype != "uint8" or leaf.sequences or len(leaf.shape) not in (3, 4):
        return None
    sides = tuple(side or 0 for side in leaf.shape)
    if min(sides[1:3]) >= SMALLEST_SIDE and 0 < sides[0] <= MAX_FRAMES and (len(sides) == 4 or sides[0] != 3):
        return Stack(sides[0], first=True) if sides[3:] in ((), (1,), (3,)) else None
    if len(sides) == 3 and min(sides[:2]) >= SMALLEST_SIDE and 1 < sides[2] <= MAX_FRAMES and sides[2] != 3:
        return Stack(sides[2], first=False)
    return None


def has_planes_first(leaf: Leaf) -> bool:
    """Whether a leaf is three planes of bytes, of which nothing tells whether they are channels or frames."""
    if leaf.kind == Kind.IMAGE or leaf.dtype != "uint8" or leaf.sequences or len(leaf.shape) != 3:
        return False
    planes, height, width = (side or 0 for side in leaf.shape)
    return planes == 3 and min(height, width) >= SMALLEST_SIDE


def one_frame(leaf: Leaf, stack: Stack) -> Leaf:
    """The leaf that the newest frame of a stack would be."""
    shape = leaf.shape[1:] if stack.first else leaf.shape[:-1]
    return replace(leaf, shape=shape if len(shape) == 3 else (*shape, 1))
