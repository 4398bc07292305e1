"""RLDS datasets with features that only TensorFlow Datasets decodes, such as sound.

Records are read as elsewhere, and whatever can be decoded without TFDS is: a feature has the same
values whether or not another one needs it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gato_data.errors import EpisodeError, InputError
from gato_pipelines.containers.rlds import RecordDecoder, RldsContainer, described
from gato_pipelines.containers.tfds_library import import_tfds
from gato_pipelines.rlds.decode import EpisodeDecoder, is_decodable
from gato_pipelines.rlds.directory import Directory
from gato_pipelines.rlds.episode import EpisodeValue, RldsEpisode
from gato_pipelines.rlds.features import STEPS, Features, Kind, Leaf


@dataclass(frozen=True, kw_only=True)
class TfdsContainer(RldsContainer):
    """A folder that TFDS opens; the leaves that are not decoded without it have the form in which TFDS decodes them."""

    format: ClassVar[str] = "RLDS, through TensorFlow Datasets"

    def decoder(self, leaves: tuple[Leaf, ...]) -> RecordDecoder:
        """TFDS decodes what nothing else does."""
        foreign = {leaf.path for leaf in self.directory.features.leaves if not is_decodable(leaf)}
        theirs = tuple(leaf for leaf in leaves if leaf.path in foreign)
        ours = EpisodeDecoder(tuple(leaf for leaf in leaves if leaf not in theirs))
        return _TfdsDecoder(ours, self._features, theirs) if theirs else ours

    @cached_property
    def _features(self) -> Any:
        return import_tfds().builder_from_directory(self.path).info.features


def tfds_container(directory: Directory, why: str) -> TfdsContainer:
    """The container of a folder that TFDS has to read, and why.

    Raises:
        MissingPackageError: TensorFlow Datasets is not installed.
        InputError: it cannot open the folder.
    """
    tfds = import_tfds()
    try:
        features = tfds.builder_from_directory(directory.path).info.features
    except (ValueError, ImportError, OSError) as error:
        raise InputError(f"TFDS cannot open {directory.path} ({error})") from error
    theirs = dict(_leaves(features, ""))
    leaves = [leaf if is_decodable(leaf) else theirs.get(leaf.path, leaf) for leaf in directory.features.leaves]
    return TfdsContainer(features=Features(tuple(leaves)), **described(directory, why))


def _leaves(feature: Any, path: str) -> Iterator[tuple[str, Leaf]]:
    """The numeric leaves of TFDS's feature tree by path, in the form in which it decodes them."""
    children = feature.feature if type(feature).__name__ == "Dataset" else feature
    if hasattr(children, "items"):
        for name, child in children.items():
            yield from _leaves(child, f"{path}/{name}" if path else name)
        return
    spec = feature.get_tensor_info()
    if isinstance(spec, dict) or np.dtype(spec.np_dtype).kind in "OSU":
        return  # several tensors in one feature, such as a translation; or several texts
    shape = tuple(None if side is None else int(side) for side in spec.shape)
    yield path, Leaf(path=path, kind=Kind.TENSOR, dtype=np.dtype(spec.np_dtype).name, shape=shape)


@dataclass(frozen=True)
class _TfdsDecoder:
    """Decodes some leaves of a record here, and the others with TFDS."""

    ours: EpisodeDecoder
    features: Any
    theirs: tuple[Leaf, ...]

    def decode(self, record: bytes) -> RldsEpisode:
        """Decode one record.

        Raises:
            EpisodeError: it is not what the features say.
        """
        import tensorflow as tf

        episode = self.ours.decode(record)
        try:
            tree = self._parse(record)
            steps = [leaf for leaf in self.theirs if leaf.in_steps]
            columns = _columns(tree[STEPS], steps) if steps else {}
            once = {leaf.path: np.asarray(_inside(tree, leaf.path)) for leaf in self.theirs if not leaf.in_steps}
        except (tf.errors.OpError, NotImplementedError, ValueError, TypeError) as error:
            reason = next(iter(str(error).splitlines()), type(error).__name__)[:200]
            raise EpisodeError(f"TFDS cannot decode the record ({reason})", stage="decode") from error
        return _joined(episode, columns, once, alone=not any(leaf.in_steps for leaf in self.ours.leaves))

    @cached_property
    def _parse(self) -> Any:
        """TFDS's decoder of these leaves alone, traced once."""
        import tensorflow as tf

        paths = {leaf.path for leaf in self.theirs}
        wanted = _subset(import_tfds(), self.features, "", paths)
        return tf.function(wanted.deserialize_example, input_signature=[tf.TensorSpec((), tf.string)])


def _subset(tfds: Any, feature: Any, path: str, wanted: set[str]) -> Any:
    """TFDS's feature tree with some leaves alone; None where none of them is in it."""
    if type(feature).__name__ == "Dataset":
        inner = _subset(tfds, feature.feature, path, wanted)
        return None if inner is None else tfds.features.Dataset(inner)
    if not hasattr(feature, "items"):
        return feature if path in wanted else None
    kept = {name: _subset(tfds, child, f"{path}/{name}" if path else name, wanted) for name, child in feature.items()}
    kept = {name: child for name, child in kept.items() if child is not None}
    return tfds.features.FeaturesDict(kept) if kept else None


def _columns(steps: Any, leaves: list[Leaf]) -> dict[str, NDArray[Any]]:
    """The values of all timesteps, decoded one by one so that no more than an episode is held."""
    rows: dict[str, list[NDArray[Any]]] = {leaf.path: [] for leaf in leaves}
    for step in steps.as_numpy_iterator():
        for path, values in rows.items():
            values.append(_inside(step, path.removeprefix(STEPS + "/")))
    for path, values in rows.items():
        if len({np.shape(value) for value in values}) > 1:
            raise EpisodeError(f"feature {path} varies in length between timesteps", stage="read")
    return {leaf.path: np.stack(rows[leaf.path]) if rows[leaf.path] else _no_values(leaf) for leaf in leaves}


def _no_values(leaf: Leaf) -> NDArray[Any]:
    return np.zeros((0, *(side or 0 for side in leaf.shape)), leaf.dtype)


def _inside(tree: Mapping[str, Any], path: str) -> Any:
    for name in path.split("/"):
        tree = tree[name]
    return tree


def _joined(
    episode: RldsEpisode, columns: Mapping[str, NDArray[Any]], once: Mapping[str, EpisodeValue], *, alone: bool
) -> RldsEpisode:
    """An episode with the columns that TFDS decoded."""
    lengths = {len(values) for values in columns.values()} | (set() if alone else {episode.num_timesteps})
    if len(lengths) > 1:
        raise EpisodeError(f"features have different numbers of timesteps: {sorted(lengths)}", stage="read")
    return replace(
        episode,
        num_timesteps=next(iter(lengths), 0),
        tensors={**episode.tensors, **columns},
        episode={**episode.episode, **once},
    )
