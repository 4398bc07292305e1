"""What is in a dataset folder: its manifest, whether its shards are there, and its fields in one line each."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gato_data.report.dead_letters import Reason, reasons
from gato_data.report.files import check_shards, open_manifest
from gato_data.report.round_trip import round_trip
from gato_data.tokenize import ordered
from gato_data.tokenizers.continuous import num_bins
from gato_schemas import index
from gato_schemas.dataset import Manifest, TaskInfo
from gato_schemas.episode import Field
from gato_schemas.statistics import FieldStatistics


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldSummary:
    """One field of a task; the statistics are of the raw values, over all elements.

    Attributes:
        role: "observation" or "action".
        tokens: a timestep has of it; None for text, whose number varies.
        values: counted, all elements together, NaN not among them.
        low, high, mean, std: None where nothing was counted.
        saturated: share of values outside the range that the tokenizer can tell apart.
        bins_used, bins: ids used of those there are; None for text.
        error: the most that a value can lose on its way into an id and back, in its own units; continuous fields only.
    """

    role: str
    name: str
    modality: str
    shape: tuple[int, ...]
    tokens: int | None
    values: int
    nan: int
    low: float | None
    high: float | None
    mean: float | None
    std: float | None
    saturated: float | None
    bins_used: int | None
    bins: int | None
    error: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSummary:
    """A dataset as its manifest has it.

    Attributes:
        fields: of every task, in token order.
        missing: shards and indexes that the manifest names and the folder lacks, or that have another size.
        left_out: why episodes were left out, the most frequent reason first.
    """

    folder: Path
    manifest: Manifest
    fields: Mapping[str, Sequence[FieldSummary]]
    missing: Sequence[str]
    left_out: Sequence[Reason] = ()


def summarize_dataset(folder: Path) -> DatasetSummary:
    """What is in a dataset, from its manifest; of shards only checksums are looked at.

    Raises:
        InputError: there is no such folder.
        FormatError: it is no dataset, its manifest is damaged or of another version, or a shard is another one.
    """
    manifest = open_manifest(folder)
    check_shards(folder, manifest)
    fields = {name: list(_fields(manifest, name, task)) for name, task in sorted(manifest.tasks.items())}
    missing, left_out = list(_missing(folder, manifest)), reasons(folder) if manifest.dead_letters else ()
    return DatasetSummary(folder=folder, manifest=manifest, fields=fields, missing=missing, left_out=left_out)


def _missing(folder: Path, manifest: Manifest) -> Iterator[str]:
    for split in manifest.splits.values():
        for shard in split.shards:
            path = folder / shard.name
            if not path.is_file():
                yield f"{shard.name} is missing"
            elif (size := path.stat().st_size) != shard.size:
                yield f"{shard.name} has {size} bytes, {shard.size} were written"
            if not path.with_name(shard.name + index.SUFFIX).is_file():
                yield f"{shard.name}{index.SUFFIX} is missing"


def _fields(manifest: Manifest, name: str, task: TaskInfo) -> Iterator[FieldSummary]:
    rows = {(row.role, row.field): row for row in manifest.statistics if row.task == name}
    for role, fields in (("observation", ordered(task.observations)), ("action", task.actions)):
        for field in fields:
            yield _field(manifest, role, field, rows.get((role, field.name)))


def _field(manifest: Manifest, role: str, field: Field, row: FieldStatistics | None) -> FieldSummary:
    counted = row is not None and row.count > 0 and len(row.mean) > 0
    elements = len(row.saturated) if row else 0
    values = row.count * elements if row else 0
    saturated = sum(row.saturated) / values if row and values and field.modality == "continuous" else None
    trip = round_trip(field, row, is_action=role == "action", manifest=manifest) if row else None
    bins = {"continuous": num_bins(field.binning), "discrete": 1024, "image": 256}.get(field.modality)
    return FieldSummary(
        role=role,
        name=field.name,
        modality=field.modality,
        shape=field.shape,
        tokens=None if field.modality == "text" else field.num_tokens,
        values=values,
        nan=row.nan if row else 0,
        low=min(row.low) if counted and row else None,
        high=max(row.high) if counted and row else None,
        mean=sum(row.mean) / elements if counted and row else None,
        std=_pooled_std(row) if counted and row else None,
        saturated=saturated,
        bins_used=bitmap(row).bit_count() if row and bins else None,
        bins=bins,
        error=trip.worst if trip else None,
    )


def bitmap(row: FieldStatistics) -> int:
    """The ids used as bits, bit 0 the first id."""
    return int(row.bins or "0", 16)


def _pooled_std(row: FieldStatistics) -> float:
    """Of all elements together: variance within them plus variance of their means."""
    elements = len(row.mean)
    centre = sum(row.mean) / elements
    within = sum(row.m2) / (row.count * elements)
    return math.sqrt(max(within + sum((mean - centre) ** 2 for mean in row.mean) / elements, 0.0))
