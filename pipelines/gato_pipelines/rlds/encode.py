"""`RldsEpisode` to the record that TFDS stores for it; the inverse of `gato_pipelines.rlds.decode`."""

from collections.abc import Iterable, Sequence
from typing import Any

import deflate
import numpy as np
from numpy.typing import NDArray

from gato_data.errors import EpisodeError, InputError
from gato_pipelines.rlds.decode import STRING_DTYPES, check_readable
from gato_pipelines.rlds.episode import EpisodeValue, RldsEpisode
from gato_pipelines.rlds.features import Kind, Leaf
from gato_schemas.varints import encode_varints
from gato_schemas.wire import Feature, binary, encode_example

_ZLIB_LEVEL = 6


def check_writable(leaf: Leaf) -> None:
    """Check that a leaf can be written.

    Raises:
        InputError: its type, shape or nesting cannot be.
    """
    check_readable(leaf)
    if leaf.sequences or leaf.kind not in (Kind.TENSOR, Kind.SCALAR, Kind.IMAGE, Kind.TEXT):
        raise InputError(f"feature {leaf.path} is a sequence or a {leaf.kind}, which cannot be written")


def encode_episode(episode: RldsEpisode, leaves: Iterable[Leaf]) -> bytes:
    """Serialize one episode; the same episode gives the same bytes.

    Raises:
        EpisodeError: a leaf has no values, another number of timesteps, or another dtype or shape
            than declared.
    """
    features = {leaf.path: _feature(leaf, episode) for leaf in leaves}
    return encode_example(features)[0]


def _feature(leaf: Leaf, episode: RldsEpisode) -> Feature:
    values = _values(leaf, episode)
    if leaf.kind == Kind.IMAGE:
        return binary([bytes(value) for value in values])
    if leaf.dtype in STRING_DTYPES:
        return binary([value.encode() for value in values])
    array = _checked(leaf, values)
    if leaf.encoding == "none":
        if array.dtype.kind == "f":
            return Feature("float", [array.astype("<f4").tobytes()])
        return Feature("int64", [encode_varints(array.reshape(-1).astype(np.int64))])
    raw = [row.tobytes() for row in array.astype(array.dtype.newbyteorder("<"), copy=False)]
    return binary(raw if leaf.encoding == "bytes" else [bytes(deflate.zlib_compress(row, _ZLIB_LEVEL)) for row in raw])


def _values(leaf: Leaf, episode: RldsEpisode) -> Sequence[Any] | NDArray[Any]:
    """The values of a leaf, one per timestep, or one if the episode has it once."""
    if not leaf.in_steps:
        value: EpisodeValue | None = episode.episode.get(leaf.path)
        if value is None:
            raise EpisodeError(f"the episode has no {leaf.path}", stage="read")
        return np.asarray(value)[None] if isinstance(value, np.ndarray | np.generic) else [value]
    for group in (episode.tensors, episode.images, episode.texts):
        if (values := group.get(leaf.path)) is not None:
            if len(values) != episode.num_timesteps:
                raise EpisodeError(
                    f"feature {leaf.path} has {len(values)} timesteps, the episode has {episode.num_timesteps}",
                    stage="read",
                )
            return values
    raise EpisodeError(f"the episode has no {leaf.path}", stage="read")


def _checked(leaf: Leaf, values: Sequence[Any] | NDArray[Any]) -> NDArray[Any]:
    array = np.asarray(values)
    if array.dtype != np.dtype(leaf.dtype) or array.shape[1:] != leaf.shape:
        raise EpisodeError(
            f"feature {leaf.path} is {array.dtype} of shape {array.shape[1:]}, {leaf.dtype} of shape {leaf.shape} "
            "was declared",
            stage="read",
        )
    return array
