"""Records of an RLDS dataset to `RldsEpisode`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from gato_data.errors import EpisodeError, InputError
from gato_pipelines.rlds.episode import EpisodeValue, RldsEpisode
from gato_pipelines.rlds.features import Kind, Leaf
from gato_pipelines.rlds.values import FLAT_VALUES, ROW_LENGTHS, read_array, read_bytes, read_ragged, read_texts
from gato_schemas.errors import FormatError
from gato_schemas.wire import Value, decode_example, read_feature

NUMERIC_DTYPES = frozenset(
    ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64"]
)
STRING_DTYPES = frozenset(["string", "str", "object"])

T = TypeVar("T")


def check_readable(leaf: Leaf) -> None:
    """Check that a leaf can be decoded.

    Raises:
        InputError: its type, shape or nesting cannot be.
    """
    what = ""
    if leaf.kind == Kind.OTHER:
        what = "is of a type that cannot be read (audio, video, translations and the like)"
    elif len(leaf.sequences) > 1 or (leaf.sequences and leaf.kind == Kind.IMAGE):
        what = "is a sequence of sequences or of images"
    elif leaf.kind in (Kind.IMAGE, Kind.VIDEO):
        return
    elif leaf.dtype in STRING_DTYPES:
        if leaf.shape or _is_ragged(leaf):
            what = "holds several texts at a time"
    elif leaf.dtype not in NUMERIC_DTYPES:
        what = f"has dtype {leaf.dtype}"
    elif None in leaf.shape or 0 in leaf.shape:
        what = f"has the shape {leaf.shape}"
    elif leaf.sequences and leaf.encoding != "none":
        what = "is a sequence of encoded tensors"
    if what:
        raise InputError(f"feature {leaf.path} {what}, which is not supported: leave it out")


def is_decodable(leaf: Leaf) -> bool:
    """Whether a leaf can be read without TFDS."""
    try:
        check_readable(leaf)
    except InputError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class EpisodeDecoder:
    """Decodes the chosen leaves of records, and steps over all others.

    Raises:
        InputError: a leaf is of a type that cannot be decoded.
    """

    leaves: tuple[Leaf, ...]
    _keys: frozenset[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        keys: set[str] = set()
        for leaf in self.leaves:
            check_readable(leaf)
            keys |= {leaf.path + FLAT_VALUES, leaf.path + ROW_LENGTHS} if _is_ragged(leaf) else {leaf.path}
        object.__setattr__(self, "_keys", frozenset(keys))

    def decode(self, record: bytes | memoryview) -> RldsEpisode:
        """Decode one record; images stay encoded, also those of a video, and arrays may be views of it.

        Raises:
            EpisodeError: the record is not what the features say.
        """
        try:
            found = {
                key: value
                for key, feature in decode_example(record).items()
                if key in self._keys and (value := read_feature(feature)) is not None
            }
        except FormatError as error:
            raise EpisodeError(f"the record is not a tf.train.Example: {error}", stage="read") from error
        steps = [leaf for leaf in self.leaves if leaf.in_steps]
        images = {leaf.path: read_bytes(leaf, found) for leaf in steps if leaf.kind == Kind.IMAGE}
        videos = {leaf.path: read_bytes(leaf, found) for leaf in self.leaves if leaf.kind == Kind.VIDEO}
        texts = {leaf.path: read_texts(leaf, found) for leaf in steps if _is_text(leaf)}
        tensors = {
            leaf.path: read_ragged(leaf, found) if _is_ragged(leaf) else read_array(leaf, found)
            for leaf in steps
            if leaf.path not in images and leaf.path not in texts
        }
        others = [leaf for leaf in self.leaves if not leaf.in_steps and leaf.path not in videos]
        counts = {path: len(values) for group in (tensors, texts, images) for path, values in group.items()}
        return RldsEpisode(
            num_timesteps=_agreed(counts),
            tensors=tensors,
            images=images | videos,
            texts=texts,
            episode={leaf.path: _episode_value(leaf, found) for leaf in others},
        )


def _is_ragged(leaf: Leaf) -> bool:
    return leaf.in_steps and bool(leaf.sequences)


def _is_text(leaf: Leaf) -> bool:
    return leaf.dtype in STRING_DTYPES and leaf.kind != Kind.IMAGE


def _agreed(counts: Mapping[str, int]) -> int:
    """The number of timesteps that all features agree on."""
    first, expected = next(iter(counts.items()), ("", 0))
    for path, count in counts.items():
        if count != expected:
            raise EpisodeError(f"feature {path} has {count} timesteps, {first} has {expected}", stage="read")
    return expected


def _episode_value(leaf: Leaf, found: Mapping[str, Value]) -> EpisodeValue:
    if leaf.kind == Kind.IMAGE:
        return _only(leaf, read_bytes(leaf, found))
    if _is_text(leaf):
        texts = read_texts(leaf, found)
        return texts if leaf.sequences else _only(leaf, texts)
    array = read_array(leaf, found)
    return array if leaf.sequences else np.asarray(_only(leaf, list(array)), dtype=array.dtype)


def _only(leaf: Leaf, values: list[T]) -> T:
    if len(values) != 1:
        raise EpisodeError(f"feature {leaf.path} has {len(values)} values, 1 was expected", stage="read")
    return values[0]
