"""RldsEpisode: one episode of an RLDS dataset as whole-episode arrays."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gato_data.errors import EpisodeError
from gato_schemas.account import Note

EncodedImage: TypeAlias = bytes | memoryview
EpisodeValue: TypeAlias = NDArray[Any] | str | list[str] | EncodedImage
"""What an episode has once: an array (of no dimensions for a number), a text, several texts, or an
encoded image."""


class Frames(ABC):
    """The frames of an episode in a video, which are decoded while they are asked for."""

    @abstractmethod
    def __len__(self) -> int:
        """How many timesteps there are."""

    @abstractmethod
    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        """Every frame in turn, uint8 (H, W) if gray, else (H, W, 3).

        Raises:
            EpisodeError: a frame cannot be decoded, or there are more or fewer than timesteps.
        """

    @abstractmethod
    def check(self) -> None:
        """Check that the video can be opened; decodes nothing.

        Raises:
            EpisodeError: it cannot.
        """


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RldsEpisode:
    """One episode of T timesteps; keys are whole paths such as "steps/observation/image".

    The final timestep is included: whether its action means anything differs between datasets.

    Attributes:
        num_timesteps: T.
        tensors: numbers and truth values, (T, *shape) in the declared dtype; read-only.
        images: T encoded images each (PNG or JPEG); decoding them is up to
            `gato_data.image_decoding`.
        frames: T frames of a video each, in the order of the file: every one is asked for once.
        texts: T strings each.
        episode: what the episode has once.
        notes: what a user should know of how it was read.
    """

    num_timesteps: int
    tensors: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    images: Mapping[str, Sequence[EncodedImage]] = field(default_factory=dict)
    frames: Mapping[str, Frames] = field(default_factory=dict)
    texts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    episode: Mapping[str, EpisodeValue] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()


def per_timestep(episode: RldsEpisode, path: str) -> NDArray[Any] | None:
    """One number per timestep, (T,), None where there is none; some datasets store it as (T, 1).

    Raises:
        EpisodeError: there are several numbers per timestep.
    """
    values = episode.tensors.get(path)
    if values is None:
        return None
    if prod(values.shape[1:]) != 1:
        raise EpisodeError(f"feature {path} has shape {values.shape[1:]}: one number per timestep is wanted")
    squeezed: NDArray[Any] = values.reshape(len(values))
    return squeezed
