"""The fields of a dataset as tables: what is observed and done, and how it becomes tokens."""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from gato_data.card.markdown import NOTHING, code, table
from gato_data.printable import counted, real
from gato_data.ranges import range_text
from gato_data.report.fields import full_name
from gato_data.tokenize import ordered
from gato_data.tokenizers import continuous
from gato_schemas.dataset import Manifest, TaskInfo
from gato_schemas.episode import Field
from gato_schemas.statistics import FieldStatistics

_KINDS, _FIELDS, _NAMES = 5, 40, 6
"""Groups of tasks with the same fields, fields of one, and tasks of one that are shown."""
_HEADINGS = ("field", "modality", "shape", ">tokens", "values seen", "values that have ids")


def field_tables(manifest: Manifest) -> Iterator[str]:
    """A heading and a table for all tasks of the same fields; nothing of documents, which have none."""
    kinds: dict[bytes, list[str]] = {}
    for name, task in manifest.tasks.items():
        if task.observations or task.actions:
            kinds.setdefault(msgspec.json.encode([task.observations, task.actions]), []).append(name)
    for names in list(kinds.values())[:_KINDS]:
        if len(kinds) > 1:
            more = f" and {counted(len(names) - _NAMES, 'more task')}" if len(names) > _NAMES else ""
            yield f"{', '.join(map(code, names[:_NAMES]))}{more}:"
        yield _table(manifest, names)
    if (hidden := len(kinds) - _KINDS) > 0:
        yield f"{counted(hidden, 'more group')} of tasks with other fields: `dataset.json` has them."


def _table(manifest: Manifest, names: Sequence[str]) -> str:
    task, tasks = manifest.tasks[names[0]], set(names)
    seen: dict[tuple[str, str], list[FieldStatistics]] = {}
    for row in manifest.statistics:
        if row.task in tasks:
            seen.setdefault((row.role, row.field), []).append(row)
    fields = [("observation", field) for field in ordered(task.observations)]
    fields += [("action", field) for field in task.actions]
    compands = bool(manifest.tokenization.get("compand_observations", True))
    rows = [
        [*_cells(role, field, seen), _range(role, field, task, compands=compands)] for role, field in fields[:_FIELDS]
    ]
    if (hidden := len(fields) - _FIELDS) > 0:
        rows.append([f"and {hidden} more: `dataset.json` has them", *[""] * 5])
    return table(_HEADINGS, rows)


def _cells(role: str, field: Field, seen: Mapping[tuple[str, str], Sequence[FieldStatistics]]) -> list[str]:
    tokens = "varies" if field.modality == "text" else f"{field.num_tokens:,}"
    shape = " x ".join(map(str, field.shape)) or "one value"
    return [
        code(full_name(role, field.name)),
        field.modality,
        NOTHING if field.modality == "text" else shape,
        tokens,
        _seen(field, seen.get((role, field.name), ())),
    ]


def _range(role: str, field: Field, task: TaskInfo, *, compands: bool) -> str:
    if field.modality == "discrete":
        known = task.action_values.get(field.name) if role == "action" else None
        return f"{field.start} to {field.start + known - 1}" if known else f"from {field.start} on"
    if field.modality != "continuous":
        return NOTHING
    compand = compands and field.compand and role == "observation"
    low, high = continuous.value_range(compand)
    values = f"{low:g} to {high:g}" if field.low is None else code(range_text(field).replace(":", " to "), 60)
    return f"{values}, companded" if compand else values


def _seen(field: Field, rows: Sequence[FieldStatistics]) -> str:
    lows = [low for row in rows for low in row.low]
    highs = [high for row in rows for high in row.high]
    if not lows or not highs:
        return NOTHING
    unit = " characters" if field.modality == "text" else ""
    return f"{real(min(lows), 5)} to {real(max(highs), 5)}{unit}"
