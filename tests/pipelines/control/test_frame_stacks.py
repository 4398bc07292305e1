"""What can be frames on top of each other, told by type and shape."""

import numpy as np
import pytest

from gato_pipelines.control.frame_stacks import Stack, one_frame, stack_of
from gato_pipelines.rlds.features import Kind, Leaf


def leaf(shape: tuple[int | None, ...], dtype: str = "uint8", kind: Kind = Kind.TENSOR) -> Leaf:
    return Leaf(path="steps/observation", kind=kind, dtype=dtype, shape=shape)


@pytest.mark.parametrize(
    ("shape", "stack", "frame"),
    [
        ((84, 84, 4), Stack(4, first=False), (84, 84, 1)),
        ((4, 84, 84), Stack(4, first=True), (84, 84, 1)),
        ((96, 64, 2), Stack(2, first=False), (96, 64, 1)),
        ((1, 84, 84), Stack(1, first=True), (84, 84, 1)),
        ((4, 84, 84, 1), Stack(4, first=True), (84, 84, 1)),
        ((4, 210, 160, 3), Stack(4, first=True), (210, 160, 3)),
    ],
)
def test_bytes_of_a_stack(shape: tuple[int, ...], stack: Stack, frame: tuple[int, ...]) -> None:
    found = stack_of(leaf(shape))
    assert found == stack
    assert one_frame(leaf(shape), stack).shape == frame
    values = np.zeros((5, *shape), np.uint8)
    (values[:, -1] if stack.first else values[..., -1])[:] = 7
    assert (stack.newest(values) == 7).all()


@pytest.mark.parametrize(
    "shape", [(84, 84), (84, 84, 1), (84, 84, 3), (3, 84, 84), (7, 7, 4), (4, 21, 79), (84, 84, 27)]
)
def test_other_bytes(shape: tuple[int | None, ...]) -> None:
    assert stack_of(leaf(shape)) is None


@pytest.mark.parametrize("dtype", ["float32", "int64", "bool"])
def test_other_numbers_are_no_frames(dtype: str) -> None:
    assert stack_of(leaf((84, 84, 4), dtype)) is None


def test_encoded_images_have_four_channels_or_none_to_stack() -> None:
    assert stack_of(leaf((None, None, 4), kind=Kind.IMAGE)) == Stack(4, first=False)
    assert stack_of(leaf((84, 84, 3), kind=Kind.IMAGE)) is None
