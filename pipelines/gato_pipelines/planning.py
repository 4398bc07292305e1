"""The pass that decides what needs all parts: fields, final-step policy, tables of tasks and agents.

Every part is scanned once without decoding an image; the plan that comes out is part of the fingerprint, so no part
ever decides for itself.
"""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec

from gato_data.errors import InputError, SettingError
from gato_data.shard_writer import write_durably
from gato_data.tokenize import ordered
from gato_pipelines.runners import RunnerName, run_over
from gato_pipelines.shards import cannot_read, cannot_write
from gato_pipelines.source import PartScan, Plan, make_source
from gato_schemas.dataset import FinalStep, TaskInfo
from gato_schemas.episode import Field
from gato_schemas.index import Part
from gato_schemas.sequence import PATCH_SIZE

FinalStepSetting: TypeAlias = Literal["auto", "keep", "drop"]
ZERO_END_SHARE = 0.99
"""Share of episodes with an all-zero last action and reward from which their final timestep counts as a placeholder."""


SMALL_SCAN, SMALL_WRITE = 2**28, 2**24
"""Bytes of input below which one process reads it all: starting several takes longer."""


def local_workers(parts: Sequence[Part], small: int, asked: int | None) -> int | None:
    """Processes of the local runner: as asked, else one for a small input, else all cores (None)."""
    return asked or (1 if sum(part.size for part in parts) < small else None)


@dataclass(frozen=True)
class ScanJob:
    """The planning pass over all parts; every scan is a file in `work`, so that a continued run does not repeat it."""

    source: str
    settings: dict[str, Any]
    inputs: dict[str, Path]
    parts: list[Part]
    work: Path

    def run(self, runner: RunnerName, options: Sequence[str] = (), workers: int | None = None) -> list[PartScan]:
        """Scan every part on a runner."""
        todo = [number for number in range(len(self.parts)) if self._stored(number) is None]
        if todo:
            processes = local_workers(self.parts, SMALL_SCAN, workers)
            run_over(todo, self.scan, runner, options, processes, self.work / "workers.log")
        return [scan for number in range(len(self.parts)) if (scan := self._stored(number)) is not None]

    def scan(self, number: int) -> None:
        """Scan one part.

        Raises:
            InputError: the part cannot be read.
            OutputError: the result cannot be written.
        """
        part = self.parts[number]
        try:
            found = make_source(self.source, self.settings).scan(self.inputs[part.input], part)
        except OSError as error:
            raise cannot_read(error, part.file) from error
        try:
            write_durably(self._file(number), msgspec.json.encode((part, found)))
        except OSError as error:
            raise cannot_write(error, self.work.parent) from error

    def _file(self, number: int) -> Path:
        settings = [self.source, asdict(make_source(self.source, self.settings))]  # type: ignore[call-overload]
        key = hashlib.sha256(msgspec.json.encode(settings, order="deterministic")).hexdigest()[:16]
        return self.work / f"scan-{key}-{number:05d}.json"

    def _stored(self, number: int) -> PartScan | None:
        """A finished scan of the same part; None where there is none."""
        try:
            part, scan = msgspec.json.decode(self._file(number).read_bytes(), type=tuple[Part, PartScan])
        except (OSError, msgspec.MsgspecError):
            return None
        return scan if part == self.parts[number] else None


def make_plan(scans: Sequence[PartScan], final_step: FinalStepSetting, max_episodes: int | None) -> Plan:
    """Decide for the whole dataset.

    Raises:
        InputError: there is no episode, or two parts of one task have different fields.
    """
    by_task: dict[str, list[PartScan]] = defaultdict(list)
    for scan in scans:
        by_task[scan.part.task].append(scan)
    parts = _limit([scan.part for scan in scans], max_episodes)
    if not any(part.count for part in parts):
        raise InputError("the input has no episode: nothing was written")
    tasks = {name: _task(name, by_task[name], final_step) for name in sorted(by_task)}
    agents = sorted({agent for scan in scans for agent in scan.agents})
    return Plan(tasks=tasks, agents=agents, parts=parts)


def check_observation_tokens(plan: Plan, limit: int) -> None:
    """Check before anything is read that no timestep has too many tokens, as far as the fields' shapes tell.

    Raises:
        SettingError: a task has more observation tokens than `limit`, apart from text.
    """
    for name, task in plan.tasks.items():
        sizes = {field.name: _num_tokens(field) for field in task.observations if field.modality != "text"}
        if sum(sizes.values()) > limit:
            largest = max(sizes, key=lambda field: sizes[field])
            raise SettingError(
                f"a timestep of task {name!r} has {sum(sizes.values())} observation tokens (field {largest!r}: "
                f"{sizes[largest]}), at most {limit} were expected: raise --max-observation-tokens, make images "
                "smaller with --image-size, or leave fields out with --drop-keys"
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


def _task(name: str, scans: Sequence[PartScan], final_step: FinalStepSetting) -> TaskInfo:
    first = scans[0]
    for scan in scans:
        if (scan.observations, scan.actions) != (first.observations, first.actions):
            raise InputError(
                f"task {name!r} has different fields in {first.part.file} and {scan.part.file}: "
                "give the parts different tasks, or select the fields they share"
            )
    if first.observations is None or first.actions is None:
        return TaskInfo(observations=[], actions=[])
    return TaskInfo(
        observations=ordered(first.observations),
        actions=list(first.actions),
        final_step=_final_step(scans, final_step),
    )


def _final_step(scans: Sequence[PartScan], setting: FinalStepSetting) -> FinalStep:
    if setting != "auto":
        return FinalStep(setting, "asked for")
    zero, ends = sum(scan.ends.zero for scan in scans), sum(scan.ends.episodes for scan in scans)
    found = f"{zero} of {ends} episodes end with an all-zero action and reward"
    return FinalStep("drop" if ends and zero >= ZERO_END_SHARE * ends else "keep", found)
