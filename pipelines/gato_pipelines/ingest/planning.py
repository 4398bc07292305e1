"""The pass that decides what needs all parts: fields, final timesteps, filters, ranges, tables of tasks and agents.

Every part is scanned once without decoding an image; the plan that comes out is part of the
fingerprint, so no part ever decides for itself.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import prod

import msgspec
import numpy as np

from gato_data.errors import InputError, SettingError
from gato_data.growing.tasks import common_environment
from gato_data.ranges import bounds, merge_ranges
from gato_data.tokenize import ordered
from gato_pipelines.control.borders import border_notes
from gato_pipelines.control.expected import expected_notes
from gato_pipelines.control.filtering import make_filter, outcomes
from gato_pipelines.control.final_step import decide_final_step, kept_groups
from gato_pipelines.control.frame_stacks import stack_of
from gato_pipelines.control.leaf_fields import modality_of
from gato_pipelines.control.sequence_lengths import Role, field_key, settle_lengths
from gato_pipelines.ingest.scan_job import part_key
from gato_pipelines.rlds.features import Kind, Leaf
from gato_pipelines.source import PartScan, Plan, Source
from gato_schemas.account import Note, merge_notes
from gato_schemas.dataset import FinalStep, TaskInfo
from gato_schemas.episode import Field, FieldModality
from gato_schemas.index import Part
from gato_schemas.selection import EpisodeFilter
from gato_schemas.sequence import PATCH_SIZE
from gato_schemas.statistics import Counts

MAX_TEXTS = 6
"""Names of texts in one line of the account."""


def make_plan(scans: Sequence[PartScan], source: Source, max_episodes: int | None, notes: Sequence[Note] = ()) -> Plan:
    """Decide for the whole dataset; `notes` are those of listing the input.

    Raises:
        InputError: there is no episode, records do not hold episodes, a filter leaves none of a
            task, two parts of one task have different fields, or a field is of one modality in one
            task and of another in the next.
    """
    parts = _limit([scan.part for scan in scans], max_episodes)
    if not any(part.count for part in parts):
        raise InputError("the input has no episode: nothing was written")
    read = {part_key(part): part.count for part in parts}
    by_task: dict[str, list[tuple[PartScan, int]]] = defaultdict(list)
    for scan in scans:
        if (count := read.get(part_key(scan.part))) is not None:
            by_task[scan.part.task].append((scan, count))
    # a part of which only the first episodes are wanted has none
    sizes = {scan.part: scan.size for scan in scans}
    kept = [scan for pairs in by_task.values() for scan, _ in pairs]
    _check_modalities(kept)
    found = [note for scan in scans for note in scan.notes]
    # is said once, however many parts there are
    how = dict.fromkeys(note for note in found if note.kind == "read")
    notes = [*notes, *how, *(note for note in found if note.kind != "read")]
    notes += border_notes(kept, ignored=source.ignore_borders)
    notes += [note for name, pairs in sorted(by_task.items()) for note in _unused_texts(name, pairs)]
    notes += [note for name, pairs in sorted(by_task.items()) for note in _unlike_environments(name, pairs)]
    tasks = {name: _task(name, by_task[name], source) for name in sorted(by_task)}
    by_key = {part_key(scan.part): scan for scan in scans}
    scanned = {name: [scan for scan, _ in by_task[name]] for name in tasks}
    return Plan(
        tasks=tasks,
        agents=sorted({agent for pairs in by_task.values() for scan, _ in pairs for agent in scan.agents}),
        parts=parts,
        notes=merge_notes(notes),
        expected=merge_notes(note for name in tasks for note in expected_notes(name, tasks[name], scanned[name])),
        sizes=[sizes.get(part) for part in parts],
        decodes_video=any(scan.decodes_video for scan in kept),
        successes=[outcomes(by_key[part_key(part)], part.count, tasks[part.task].filter) for part in parts],
    )


def check_observation_tokens(plan: Plan, limit: int) -> None:
    """Check before anything is read that no timestep has too many tokens, as far as the fields' shapes tell.

    Raises:
        SettingError: a task has more observation tokens than `limit`, apart from text.
    """
    for name, task in plan.tasks.items():
        fields = [field for field in task.observations if field.modality != "text"]
        if (total := sum(map(_num_tokens, fields))) > limit:
            largest = max(fields, key=_num_tokens)
            raise SettingError(
                f"a timestep of task {name!r} has {total} observation tokens (field {largest.name!r}: "
                f"{_num_tokens(largest)}), at most {limit} were expected: raise --max-observation-tokens, "
                f"{_smaller(largest)}or leave fields out with --drop-keys"
            )


def _smaller(field: Field) -> str:
    """What makes a field smaller, as a part of a sentence; empty where nothing does."""
    if field.modality == "image":
        return "make images smaller with --image-size, "
    leaf = Leaf(path=field.name, kind=Kind.TENSOR, dtype=field.dtype, shape=field.shape)
    if field.dtype.startswith("float") and modality_of(replace(leaf, dtype="uint8")) == "image":
        return "store it as bytes (uint8) if it is a picture, "
    return "take the newest of stacked frames with --frame-stack newest, " if stack_of(leaf) is not None else ""


class DecidingTask(msgspec.Struct, frozen=True, kw_only=True):
    """What of a task decides its bytes, in the order in which fingerprints hold it; see `TaskInfo`."""

    observations: list[Field]
    actions: list[Field]
    final_step: FinalStep | None
    filter: EpisodeFilter | None
    left_out: dict[str, str]
    counts: Counts = Counts()


def deciding(task: TaskInfo) -> DecidingTask:
    """What decides the bytes of a task: not in which words it was decided, which count the episodes of the input."""
    return DecidingTask(
        observations=task.observations,
        actions=task.actions,
        final_step=task.final_step and FinalStep(task.final_step.policy, ""),
        filter=task.filter,
        left_out=task.left_out,
    )


def _num_tokens(field: Field) -> int:
    if field.modality == "image":
        return (field.shape[0] // PATCH_SIZE) * (field.shape[1] // PATCH_SIZE)
    return prod(field.shape)


def _limit(parts: Sequence[Part], max_episodes: int | None) -> list[Part]:
    """Keep the first `max_episodes` episodes, in the order of the parts."""
    if max_episodes is None:
        return list(parts)
    kept, left = [], max_episodes
    for part in parts:
        count = min(part.count, left)
        left -= count
        if count:
            kept.append(msgspec.structs.replace(part, count=count))
    return kept


def _task(name: str, pairs: Sequence[tuple[PartScan, int]], source: Source) -> TaskInfo:
    """One task, from the scans of its parts and the number of episodes that are read of each."""
    scans = settle_lengths([scan for scan, _ in pairs])
    first = scans[0]
    for scan in scans:
        if _shapes(scan) != _shapes(first):
            raise InputError(
                f"task {name!r} has different fields in {_place(first)} ({_fields(first)}) and in {_place(scan)} "
                f"({_fields(scan)}): give the inputs different tasks, or select the fields they share"
            )
    if first.observations is None or first.actions is None:
        return TaskInfo(observations=[], actions=[])
    if not first.observations or not first.actions:
        what = "action" if first.observations else "observation"
        reasons = "; ".join(f"{name}: {why}" for name, why in first.left_out.items())
        raise InputError(f"task {name!r} has no {what} to tokenize ({reasons}): name one with --{what}-keys")
    final_step = decide_final_step(scans, source.final_step)
    fraction, success = source.min_return_fraction, source.require_success
    observations = ordered(first.observations)
    return TaskInfo(
        observations=[_with_range("observations", spec, scans, source, final_step) for spec in observations],
        actions=_with_bins([_with_range("actions", spec, scans, source, final_step) for spec in first.actions], source),
        final_step=final_step,
        filter=make_filter(name, scans, [count for _, count in pairs], fraction, success),
        left_out={name: why for scan in scans for name, why in scan.left_out.items()},
        images=first.images,
        action_values=_most(scan.action_values for scan in scans),
        resampling=source.resampling,
        environment=common_environment([scan.environment for scan in scans]),
    )


def _most(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """The most values that any part declares, by field."""
    found: dict[str, int] = {}
    for count in counts:
        for name, values in count.items():
            found[name] = max(values, found.get(name, 0))
    return found


def _unused_texts(name: str, pairs: Sequence[tuple[PartScan, int]]) -> Iterator[Note]:
    """Texts that are left out although nobody asked for that."""
    counts: dict[tuple[str, ...], int] = defaultdict(int)
    for scan, count in pairs:
        counts[tuple(scan.texts)] += count
    for texts, count in counts.items():
        if texts:
            shown = ", ".join(texts[:MAX_TEXTS]) + (f" and {len(texts) - MAX_TEXTS} more" * (len(texts) > MAX_TEXTS))
            why = f"episodes of task {name} have texts that are no tokens ({shown}): --instruction-key takes one"
            yield Note("left-out", why, count)


def _unlike_environments(name: str, pairs: Sequence[tuple[PartScan, int]]) -> Iterator[Note]:
    """Parts of one task that do not say together where they were played, though some say it."""
    found = [scan.environment for scan, _ in pairs]
    if any(found) and common_environment(found) is None:
        text = f"parts of task {name} were not all recorded in one simulator: none is kept for it"
        yield Note("read", text)


def _with_bins(actions: Sequence[Field], source: Source) -> list[Field]:
    """Actions with the bins that are asked for; OpenVLA's have no range for the last numbers, which are held."""
    if source.action_bins == "1024":
        return list(actions)
    if not any(spec.modality == "continuous" for spec in actions):
        raise InputError("--action-bins is about continuous actions, and there are none: leave it out")
    left, found = source.held, list[Field]()
    for spec in reversed(actions):
        held = min(left, prod(spec.shape))
        left -= held
        if spec.modality != "continuous":
            found.append(spec)
            continue
        if spec.low is not None and spec.high is not None:
            low, high = (np.broadcast_to(end, prod(spec.shape)).tolist() for end in (spec.low, spec.high))
            moved = len(low) - held
            spec = replace(spec, low=(*low[:moved], *[-1.0] * held), high=(*high[:moved], *[1.0] * held))
        found.append(replace(spec, bins="openvla-256"))
    return found[::-1]


def _with_range(role: Role, spec: Field, scans: Sequence[PartScan], source: Source, final_step: FinalStep) -> Field:
    """A field with the range that is mapped to [-1, 1]: the one given, or that of all episodes; it is not companded."""
    wanted = source.action_range if role == "actions" else source.observation_range
    if spec.modality != "continuous" or wanted == "none":
        return spec
    if isinstance(wanted, tuple):
        return replace(spec, low=wanted[0], high=wanted[1], compand=False)
    found = [scan.ranges[field_key(role, spec)] for scan in scans]
    pieces = [
        piece for entry in found for piece in kept_groups(entry.body, entry.terminal, entry.truncated, final_step)
    ]
    low, high = bounds(merge_ranges(pieces), "quantile" if wanted == "quantile" else "minmax")
    return replace(spec, low=low, high=high, compand=False)


def _check_modalities(scans: Sequence[PartScan]) -> None:
    """Check that a field is of one modality in all tasks; its width may differ."""
    seen: dict[tuple[str, str], tuple[FieldModality, PartScan]] = {}
    for scan in scans:
        for role, fields in (("observation", scan.observations), ("action", scan.actions)):
            for spec in fields or ():
                modality, other = seen.setdefault((role, spec.name), (spec.modality, scan))
                if modality != spec.modality:
                    raise InputError(
                        f"{role} {spec.name!r} is {modality} in {_place(other)} and {spec.modality} in {_place(scan)}: "
                        "ingest these inputs into two datasets, or leave the field out"
                    )


def _place(scan: PartScan) -> str:
    return scan.part.input or scan.part.file


def _shapes(scan: PartScan) -> list[list[Field] | None]:
    """The fields of a part; the stored width of a number does not matter."""
    groups = (scan.observations, scan.actions)
    return [fields and [replace(spec, dtype="") for spec in fields] for fields in groups]


def _fields(scan: PartScan) -> str:
    fields = (*(scan.observations or ()), *(scan.actions or ()))
    return ", ".join(f"{spec.name} {spec.modality} {'x'.join(map(str, spec.shape))}".strip() for spec in fields)
