"""RldsEpisode: one episode of an RLDS dataset as whole-episode arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, TypeAlias

from numpy.typing import NDArray

from gato_data.errors import EpisodeError

EncodedImage: TypeAlias = bytes | memoryview
EpisodeValue: TypeAlias = NDArray[Any] | str | list[str] | EncodedImage
"""What an episode has once: an array (of no dimensions for a number), a text, several texts, or an
encoded image."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RldsEpisode:
    """One episode of T timesteps; keys are whole paths such as "steps/observation/image".

    The final timestep is included: whether its action means anything differs between datasets.

    Attributes:
        num_timesteps: T.
        tensors: numbers and truth values, (T, *shape) in the declared dtype; read-only.
        images: T encoded images each (PNG or JPEG); decoding them is up to
            `gato_pipelines.images.episode`.
        texts: T strings each.
        episode: what the episode has once.
    """

    num_timesteps: int
    tensors: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    images: Mapping[str, Sequence[EncodedImage]] = field(default_factory=dict)
    texts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    episode: Mapping[str, EpisodeValue] = field(default_factory=dict)


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
