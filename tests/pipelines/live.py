"""Raw observations of a recording, timestep by timestep, fed to an `Observer` as an environment gives them."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image

from gato_data.shards.chunks import join
from gato_data.timestep import Observer, Timestep
from gato_data.tokenize import TokenizeSettings
from gato_data.tokenizers.text import TextTokenizer
from gato_data.vocabulary import Vocabulary
from gato_pipelines.containers.container import Container
from gato_pipelines.containers.detect import open_container
from gato_pipelines.control.instructions import texts_of
from gato_pipelines.rlds.decode import is_decodable
from gato_pipelines.rlds.episode import RldsEpisode
from gato_pipelines.rlds.features import Leaf
from gato_schemas.dataset import TEXT_MODEL, Manifest, TaskInfo, read_manifest
from gato_schemas.episode import Field
from gato_schemas.index import Part, index_path, read_index
from gato_schemas.record import decode_record
from gato_schemas.sequence import POSITION_ACTION, Modality, TokenSequence
from gato_schemas.tfrecord import read_records

EVERY = 4
"""Of so many images one is given as it is stored, the others as pixels."""


def observer_of(out: Path, manifest: Manifest, task: str) -> Observer:
    """What makes live timesteps of a task the tokens of a dataset, from its folder alone."""
    model = TextTokenizer.load(out / TEXT_MODEL) if (out / TEXT_MODEL).exists() else None
    vocabulary, settings = Vocabulary.from_info(manifest.vocabulary), TokenizeSettings(**manifest.tokenization)
    return Observer(manifest.tasks[task], vocabulary, settings, model, name=task)


def compare(out: Path, inputs: Sequence[Path]) -> int:
    """Compare every timestep that ingest wrote with what an `Observer` makes of the raw one; returns how many."""
    manifest = read_manifest(out)
    folders = dict(zip(manifest.source.inputs, inputs, strict=True))
    compared = 0
    for split in manifest.splits.values():
        for shard in split.shards:
            part = read_index(index_path(out / shard.name)).header.part
            task, observer = manifest.tasks[part.task], observer_of(out, manifest, part.task)
            raw = RawPart(open_container(folders[part.input]), part, task)
            for number, sequence in written(out / shard.name, manifest.patch_encoding.name):
                for timestep in range(sequence.num_timesteps):
                    check_same(observer, observer.observe(raw.values(number, timestep)), sequence, timestep)
                    compared += 1
    assert compared == manifest.totals.timesteps
    return compared


def written(shard: Path, encoding: str) -> Iterator[tuple[int, TokenSequence]]:
    """The episodes of a shard, each with its number in its part's file."""
    records = (decode_record(raw.data, encoding) for raw in read_records(shard))
    for name, chunks in groupby(records, key=lambda record: record.episode_id):
        yield int(name.rpartition("/")[2]), join([chunk.sequence for chunk in chunks])


class RawPart:
    """The raw observations of one part of the input."""

    def __init__(self, container: Container, part: Part, task: TaskInfo) -> None:
        self._task = task
        self._leaves = {field.name: leaf_of(container, field.name) for field in task.observations}
        wanted = tuple({leaf.path: leaf for leaf in self._leaves.values()}.values())
        items = container.episodes(part.file, wanted, part.first, part.count)
        self._episodes = {item.ordinal: with_frames(item.episode) for item in items if item.episode is not None}

    def values(self, number: int, timestep: int) -> dict[str, Any]:
        """The raw values of a timestep of one episode, by field name."""
        episode, fields = self._episodes[number], self._task.observations
        return {each.name: raw_value(episode, self._leaves[each.name], each, timestep, self._task) for each in fields}


def with_frames(episode: RldsEpisode) -> RldsEpisode:
    """An episode whose videos are arrays of frames: an environment has no other."""
    decoded = {path: np.stack(list(frames)) for path, frames in episode.frames.items()}
    return replace(episode, tensors={**episode.tensors, **decoded})


def leaf_of(container: Container, name: str) -> Leaf:
    leaves = {leaf.path: leaf for leaf in container.features.leaves if is_decodable(leaf)}
    return next(leaves[path] for path in (f"steps/observation/{name}", f"steps/{name}", name) if path in leaves)


def raw_value(episode: RldsEpisode, leaf: Leaf, field: Field, timestep: int, task: TaskInfo) -> Any:
    if field.modality == "text":
        return texts_of(episode, leaf)[timestep]
    if leaf.path not in episode.images:
        return episode.tensors[leaf.path][timestep]
    encoded = bytes(episode.images[leaf.path][timestep])
    is_jpeg = encoded[:2] == b"\xff\xd8"  # other decoders give other pixels
    if leaf.bgr:
        return cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if timestep % EVERY == 0 or is_jpeg:
        return encoded
    pixels = np.asarray(PIL.Image.open(io.BytesIO(encoded)))
    channels = task.images[field.name].shape[2] if field.name in task.images else 0
    return np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 and channels == 3 else pixels


def check_same(observer: Observer, live: Timestep, sequence: TokenSequence, timestep: int) -> None:
    """Compare a live timestep with a stored one, its action's tokens left out and fed back."""
    first, end = sequence.timestep_range(timestep)
    stored = slice(first, first + len(live.tokens))
    for column in ("tokens", "position", "modality"):
        ours, theirs = getattr(live, column), getattr(sequence, column)[stored]
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs, err_msg=f"{column} of timestep {timestep}")
    before = int(np.count_nonzero(sequence.modality[:first] == Modality.PATCH))
    here = slice(before, before + len(live.patches))
    np.testing.assert_array_equal(live.patches, sequence.patches[here])
    np.testing.assert_array_equal(live.patch_position, sequence.patch_position[here])
    action = sequence.tokens[stored.stop : end]
    assert (sequence.position[stored.stop : end] == POSITION_ACTION).all()
    again = observer.encode(observer.decode(action))
    assert again.dtype == action.dtype
    np.testing.assert_array_equal(again, action, err_msg=f"action of timestep {timestep}")
