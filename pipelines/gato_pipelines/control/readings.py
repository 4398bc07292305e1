"""How fields are read that could be read in another way, a sentence each: the account has them."""

from collections.abc import Iterable, Iterator

from gato_data.errors import InputError
from gato_pipelines.control.frame_stacks import USUAL, FrameStack, has_planes_first, stack_of
from gato_pipelines.control.leaf_fields import LARGEST_GRID, is_grid, modality_of
from gato_pipelines.rlds.features import Kind, Leaf


def readings(observed: Iterable[tuple[str, Leaf]], choice: FrameStack, dataset: str) -> Iterator[str]:
    """How observations, by name, are read that may be stacks of frames or grids of symbols.

    Raises:
        InputError: nothing says whether an image is a stack, or its channels come first.
    """
    for name, leaf in observed:
        if has_planes_first(leaf):
            planes, height, width = leaf.shape
            raise InputError(
                f"{name} of {dataset} is {planes}x{height}x{width}, which is a picture with its channels first or "
                f"three stacked frames: store it as {height}x{width}x3, or the newest frame as {height}x{width}x1"
            )
        if (stack := stack_of(leaf)) is not None:
            yield _of_stack(name, leaf, stack.frames, choice, dataset)
        elif leaf.kind == Kind.TENSOR and modality_of(leaf) == "image" and is_grid(leaf, LARGEST_GRID):
            yield f"{name} is read as a picture: --discrete-keys {name} reads it as symbols"


def _of_stack(name: str, leaf: Leaf, frames: int, choice: FrameStack, dataset: str) -> str:
    if choice == "newest":
        return f"of the {frames} stacked frames of {name} the newest is taken: see --frame-stack"
    if leaf.kind != Kind.IMAGE:
        return f"{name} is read as numbers: --frame-stack newest takes the newest of {frames} stacked frames"
    if choice == "auto" and leaf.shape == USUAL:
        raise InputError(
            f"{name} of {dataset} is {'x'.join(map(str, USUAL))}, which is four stacked gray frames or a picture with "
            "transparency: --frame-stack newest takes the newest frame, none shows the picture on white"
        )
    return f"the fourth channel of {name} is transparency, shown on white: see --frame-stack"
