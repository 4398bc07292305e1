"""What a timestep of a family looks like, so that other data is not taken for it."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Literal, TypeAlias

from gato_data.errors import InputError, SettingError
from gato_pipelines.containers.container import Container
from gato_pipelines.control.field_choice import FieldChoice
from gato_pipelines.control.selection import select
from gato_pipelines.rlds.features import Leaf
from gato_schemas.episode import Field

Range: TypeAlias = tuple[int, int]
NONE: Range = (0, 0)
ANY: Range = (0, 1 << 31)
SOME: Range = (1, 1 << 31)
_LEAST = (16, 16)
"""A size for every image: what is asked here is how they are stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """Loose bounds that tell a family from the others.

    Attributes:
        says: what it looks like in words.
        images: how many images are observed.
        floats, symbols: how many continuous and discrete values.
        texts: how many texts.
        action: what actions are; None for both.
        width: how many values an action has.
        takes_image: whether an image stored with this height, width and number of channels may be
            one of the family.
        unlike: sources of narrower forms, whose data is not meant although it fits.
    """

    says: str
    images: Range = NONE
    floats: Range = NONE
    symbols: Range = NONE
    texts: Range = NONE
    action: Literal["discrete", "continuous"] | None
    width: Range = SOME
    takes_image: Callable[[int, int, int], bool] = lambda height, width, channels: True
    unlike: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Timestep:
    """What a timestep of an input consists of, as it is stored."""

    images: tuple[tuple[int, int, int], ...]
    floats: int
    symbols: int
    texts: int
    actions: dict[str, int]

    def fits(self, form: Form) -> bool:
        """Whether it is within the bounds of a form."""
        counts = ((len(self.images), form.images), (self.floats, form.floats), (self.symbols, form.symbols))
        return (
            all(low <= count <= high for count, (low, high) in (*counts, (self.texts, form.texts)))
            and (form.action is None or set(self.actions) == {form.action})
            and form.width[0] <= sum(self.actions.values()) <= form.width[1]
            and all(0 in shape or form.takes_image(*shape) for shape in self.images)
        )

    def __str__(self) -> str:
        """In words: "1 image of 84x84x1 and 1 discrete action"."""
        shapes = Counter("x".join(str(side or "?") for side in shape) for shape in self.images)
        seen = [f"{_counted(count, 'image')} of {shape}" for shape, count in shapes.items()]
        counts = ((self.floats, "continuous value"), (self.symbols, "discrete value"), (self.texts, "text"))
        seen += [_counted(count, noun) for count, noun in counts if count]
        done = [_counted(count, f"{modality} action") for modality, count in self.actions.items()]
        return f"{', '.join(seen)} and {', '.join(done)}"


def timestep(container: Container, choice: FieldChoice) -> Timestep | None:
    """What a timestep consists of where a source chooses its fields; None where nothing can be chosen."""
    try:
        chosen = select(container, replace(choice, images=replace(choice.images, size=_LEAST, fit="resize")))
    except (InputError, SettingError):
        return None
    actions, images = dict[str, int](), chosen.images
    for _, spec in chosen.actions:
        actions[spec.modality] = actions.get(spec.modality, 0) + prod(spec.shape)
    return Timestep(
        images=tuple(_picture(images.frame_of(leaf)) for leaf, spec in chosen.observations if spec.modality == "image"),
        floats=_values(chosen.observations, "continuous"),
        symbols=_values(chosen.observations, "discrete"),
        texts=sum(spec.modality == "text" for _, spec in chosen.observations),
        actions=actions,
    )


def _picture(leaf: Leaf) -> tuple[int, int, int]:
    """Height, width and channels; 0 for a side that varies."""
    height, width, channels = (*(side or 0 for side in leaf.shape), 1)[:3]
    return height, width, channels


def _values(observations: Sequence[tuple[Leaf, Field]], modality: str) -> int:
    return sum(prod(spec.shape) for _, spec in observations if spec.modality == modality)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
