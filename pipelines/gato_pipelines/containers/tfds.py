"""RLDS datasets read by TensorFlow Datasets itself: file formats and features that are not read without it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from gato_data.errors import EpisodeError, InputError, MissingPackageError
from gato_pipelines.containers.container import Container, File, RawItem
from gato_pipelines.containers.rlds import described
from gato_pipelines.rlds.directory import Directory
from gato_pipelines.rlds.episode import RldsEpisode
from gato_pipelines.rlds.features import Features, Kind, Leaf
from gato_pipelines.tfds_input import quiet_stderr
from gato_schemas.account import Note
from gato_schemas.errors import FormatError

MAX_TIMESTEPS = 1 << 22


@dataclass(frozen=True, kw_only=True)
class TfdsContainer(Container):
    """A folder that TFDS opens; features are decoded by TensorFlow, images too."""

    format: ClassVar[str] = "RLDS, through TensorFlow Datasets"

    directory: Directory

    @cached_property
    def _builder(self) -> Any:
        return _import_tfds().builder_from_directory(self.path)

    def files(self, split: str) -> list[File]:
        """One file per shard that holds an episode."""
        self.directory.open_split(split)
        return [File(name, size, count) for name, _, count, size in self._shards(split) if count]

    def _shards(self, split: str) -> Iterator[tuple[str, int, int, int]]:
        """Name, number of the first episode, number of episodes, and bytes of every shard."""
        first = 0
        for shard in self.directory.splits[split].shards:
            if shard.num_episodes is None:
                raise InputError(f"{self.path} does not say how many episodes a shard has: TFDS cannot read it")
            yield shard.path.name, first, shard.num_episodes, shard.path.stat().st_size
            first += shard.num_episodes

    def episodes(
        self, file: str, leaves: tuple[Leaf, ...], first: int = 0, count: int | None = None
    ) -> Iterator[RawItem]:
        """The episodes of a shard; a damaged one ends it."""
        import tensorflow as tf

        split, before, total = self._place(file)
        stop = total if count is None else min(first + count, total)
        config = _import_tfds().ReadConfig(interleave_cycle_length=1, try_autocache=False)
        ordinal = first
        try:
            wanted = f"{split}[{before + first}:{before + stop}]"
            for ordinal, record in enumerate(self._builder.as_dataset(wanted, read_config=config), first):
                yield _item(ordinal, record, leaves)
            ordinal += 1
        except ImportError as error:
            raise MissingPackageError(
                f"{file} is stored as {self.directory.file_format}, for which TFDS needs {error.name}: install it, or "
                "convert the dataset with `tfds convert_format`"
            ) from error
        except (tf.errors.OpError, NotImplementedError, ValueError, TypeError) as error:
            reason = next(iter(str(error).splitlines()), type(error).__name__)[:200]
            problem = EpisodeError(f"TFDS cannot read {file} ({reason})", stage="read")
            yield RawItem(ordinal, error=problem, count=max(1, stop - ordinal), rest=True)

    def _place(self, file: str) -> tuple[str, int, int]:
        """Split of a file, number of its first episode in it, and its number of episodes."""
        for split in self.directory.splits:
            for name, first, count, _ in self._shards(split):
                if name == file:
                    return split, first, count
        raise InputError(f"{self.path} has no shard {file}")


def tfds_container(directory: Directory, why: str) -> TfdsContainer:
    """The container of a folder that TFDS has to read, and why.

    Raises:
        MissingPackageError: TensorFlow Datasets is not installed.
        InputError: it cannot open the folder.
    """
    tfds = _import_tfds()
    try:
        features = tfds.builder_from_directory(directory.path).info.features
    except (ValueError, ImportError, OSError) as error:
        raise InputError(f"TFDS cannot open {directory.path} ({error})") from error
    leaves = tuple(sorted(_leaves(features, ""), key=lambda leaf: leaf.path))
    note = Note("read", f"{directory.name} is read by TensorFlow Datasets, several times slower than otherwise: {why}")
    return TfdsContainer(features=Features(leaves), notes=(note,), **described(directory))


def _import_tfds() -> Any:
    try:
        with quiet_stderr():
            import tensorflow  # noqa: F401  (TFDS imports it late, and then says less)
            import tensorflow_datasets as tfds
    except ImportError as error:
        raise MissingPackageError(f"this input needs {error.name}: pip install 'gato-data[ingest]'") from error
    return tfds


def _leaves(feature: Any, path: str) -> Iterator[Leaf]:
    """The leaves of TFDS's feature tree, in the form in which TensorFlow decodes them."""
    children = feature.feature if type(feature).__name__ == "Dataset" else feature
    if hasattr(children, "items"):
        for name, child in children.items():
            yield from _leaves(child, f"{path}/{name}" if path else name)
        return
    spec = feature.get_tensor_info()
    if isinstance(spec, dict):  # several tensors in one feature, such as a translation
        yield Leaf(path=path, kind=Kind.OTHER, dtype="")
        return
    dtype = np.dtype(spec.np_dtype)
    if dtype.kind in "OSU":
        yield Leaf(path=path, kind=Kind.TEXT if spec.shape == () else Kind.OTHER, dtype="string")
        return
    shape = tuple(None if side is None else int(side) for side in spec.shape)
    yield Leaf(path=path, kind=Kind.TENSOR, dtype=dtype.name, shape=shape)


def _item(ordinal: int, record: Mapping[str, Any], leaves: tuple[Leaf, ...]) -> RawItem:
    try:
        steps = next(iter(record["steps"].batch(MAX_TIMESTEPS)), None)
        found = {leaf: _value(steps if leaf.in_steps else record, leaf) for leaf in leaves}
        texts = {leaf.path: _texts(leaf, value) for leaf, value in found.items() if leaf.in_steps and _is_text(leaf)}
        tensors = {leaf.path: value for leaf, value in found.items() if leaf.in_steps and not _is_text(leaf)}
        lengths = {len(value) for group in (texts, tensors) for value in group.values()}
        if len(lengths) > 1:
            raise EpisodeError(f"features have different numbers of timesteps: {sorted(lengths)}", stage="read")
        return RawItem(
            ordinal,
            RldsEpisode(
                num_timesteps=next(iter(lengths), 0),
                tensors=tensors,
                texts=texts,
                episode={leaf.path: _once(leaf, value) for leaf, value in found.items() if not leaf.in_steps},
            ),
        )
    except (EpisodeError, FormatError) as error:
        reason = error if isinstance(error, EpisodeError) else EpisodeError(str(error), stage="read")
        return RawItem(ordinal, error=reason)


def _is_text(leaf: Leaf) -> bool:
    return leaf.kind == Kind.TEXT


def _value(tree: Any, leaf: Leaf) -> Any:
    """The numpy value of a leaf in a tree of tensors."""
    if tree is None:
        return np.zeros((0, *(side or 0 for side in leaf.shape)), None if _is_text(leaf) else leaf.dtype)
    for name in leaf.path.removeprefix("steps/").split("/"):
        tree = tree[name]
    if not hasattr(tree, "numpy") or type(tree).__name__ == "RaggedTensor":
        raise EpisodeError(f"feature {leaf.path} varies in length between timesteps", stage="read")
    return tree.numpy()


def _texts(leaf: Leaf, values: Any) -> list[str]:
    try:
        return [bytes(value).decode() for value in values]
    except (UnicodeDecodeError, TypeError) as error:
        raise EpisodeError(f"feature {leaf.path} holds text that is not UTF-8", stage="decode") from error


def _once(leaf: Leaf, value: Any) -> Any:
    return _texts(leaf, [value])[0] if _is_text(leaf) else np.asarray(value)
