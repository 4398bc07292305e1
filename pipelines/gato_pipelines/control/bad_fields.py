"""Fields that cost episodes: an id that no discrete token stands for, a camera without images, numbers that are NaN."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gato_data.errors import EpisodeError
from gato_data.image_header import EncodedImage, read_header
from gato_data.tokenizers import continuous, discrete
from gato_pipelines.containers.container import Container
from gato_pipelines.control.announced import checked_episodes
from gato_pipelines.control.selection import Selection
from gato_pipelines.part_scan import Trouble
from gato_pipelines.rlds.episode import RldsEpisode
from gato_pipelines.rlds.features import Kind, Leaf
from gato_schemas.dataset import TaskInfo
from gato_schemas.episode import Field
from gato_schemas.index import DeadLetter, Part

LOOKED_AT = 16
"""Episodes of a part whose fields are looked at before anything is written."""
_ALWAYS_DISCRETE = ("bool", "uint8")


def find_troubles(container: Container, part: Part, chosen: Selection) -> dict[str, Trouble]:
    """The fields of the first episodes of a part that cost episodes; decodes no image.

    Raises:
        OSError: the part cannot be opened.
    """
    fields = [
        (leaf, spec) for leaf, spec in (*chosen.observations, *chosen.actions) if _is_cheap(container, leaf, spec)
    ]
    leaves = tuple({leaf.path: leaf for leaf, _ in fields}.values())
    found: dict[str, Trouble] = {}
    count = min(part.count, LOOKED_AT) if part.count else None
    items = checked_episodes(container, part.file, leaves, part.first, count) if leaves else iter(())
    for item in islice(items, LOOKED_AT):
        if item.rest:
            break
        for name, reason in _reasons(container, item.episode, item.error, fields):
            known = found.get(name)
            found[name] = Trouble(known.reason, known.episodes + 1) if known else Trouble(reason, 1)
    return found


def _is_cheap(container: Container, leaf: Leaf, spec: Field) -> bool:
    """Whether a field can be looked at without decoding images, and can be bad at all."""
    if leaf.kind == Kind.VIDEO:
        return True
    if spec.modality == "text" or (leaf.kind != Kind.IMAGE and spec.modality == "image"):
        return False
    if leaf.kind == Kind.IMAGE:
        return container.has_episodes_apart
    return spec.modality == "continuous" or leaf.dtype not in _ALWAYS_DISCRETE


def _reasons(
    container: Container,
    episode: RldsEpisode | None,
    error: EpisodeError | None,
    fields: Sequence[tuple[Leaf, Field]],
) -> Iterator[tuple[str, str]]:
    """Names of the fields that cost an episode, and why."""
    if episode is None:
        yield from [(spec.name, str(error)) for leaf, spec in fields if leaf.path in str(error)][:1]
        return
    for leaf, spec in fields:
        if leaf.path in episode.frames:
            try:
                episode.frames[leaf.path].check()
            except EpisodeError as problem:
                yield spec.name, f"{spec.name}: {problem}"
            continue
        images = episode.images.get(leaf.path)
        values = images if images is not None else episode.tensors[leaf.path]
        kept = values if container.final_step is not None and container.final_step.policy == "keep" else values[:-1]
        try:
            _check(kept, spec)
        except EpisodeError as problem:
            yield spec.name, str(problem)


def _check(values: NDArray[Any] | Sequence[EncodedImage], spec: Field) -> None:
    if not isinstance(values, np.ndarray):
        for at in (at for at, image in enumerate(values) if at == 0 or not len(image)):
            try:
                read_header(values[at])
            except EpisodeError as error:
                raise EpisodeError(f"{spec.name}: the image of timestep {at} cannot be decoded: {error}") from error
    elif spec.modality == "discrete":
        discrete.encode(values, field=spec.name, start=spec.start)
    elif values.dtype.kind == "f" and not np.isfinite(values).all():
        continuous.encode(values, compand=spec.compand, field=spec.name)


def way_out(task: TaskInfo, name: str) -> str:
    """The option that leaves a field out; empty where nothing would be left."""
    if name in (field.name for field in task.observations) and len(task.observations) > 1:
        return f"--drop-keys {name}"
    others = [field.name for field in task.actions if field.name != name]
    return f"--action-keys {','.join(others)}" if others and len(others) < len(task.actions) else ""


def blamed(dead_letters: Collection[DeadLetter], tasks: Mapping[str, TaskInfo]) -> tuple[str, int]:
    """The option that leaves out the field by which most of the dead letters fail, and how many; or "" and 0."""
    counts: Counter[str] = Counter()
    for letter in dead_letters:
        found = {way_out(task, field.name) for task in tasks.values() for field in _named(task, letter.reason)}
        counts.update({option: letter.count for option in found if option})
    option, times = counts.most_common(1)[0] if counts else ("", 0)
    return (option, times) if 2 * times > sum(letter.count for letter in dead_letters) else ("", 0)


def _named(task: TaskInfo, reason: str) -> Iterator[Field]:
    """The fields that a reason begins with, or whose feature it names."""
    for field in (*task.observations, *task.actions):
        features = (f"steps/observation/{field.name} ", f"steps/action/{field.name} ", f"steps/{field.name} ")
        if reason.startswith((f"{field.name} ", f"{field.name}: ")) or any(path in reason for path in features):
            yield field
