"""Everything that the page of one dataset shows, as plain values."""

from pathlib import Path
from typing import Any

from gato_data.errors import InputError
from gato_data.printable import count, printable, real, share, size
from gato_data.report.account import account_facts
from gato_data.report.dataset import DatasetSummary, FieldSummary, bitmap
from gato_data.report.decoder import load_decoder
from gato_data.report.episodes import list_episodes_of
from gato_data.report.facts import dataset_facts, patches_line, split_columns, task_facts, totals
from gato_data.report.fields import full_name
from gato_data.report.files import check_shard
from gato_data.report.html.distributions import TASKS, action_balance, distributions
from gato_data.report.html.shown import episodes_content
from gato_data.report.quality import Quality, QualityFinding
from gato_data.report.table import cells
from gato_data.shards.index import check_fits, index_of
from gato_schemas.statistics import FieldStatistics

COVERAGE = 128


def dataset_content(
    summary: DatasetSummary, quality: Quality, limit: int, share_of_page: float = 1.0
) -> dict[str, Any]:
    """What the page shows of a dataset; `limit` episodes of it in detail, within a share of the page's budget.

    Raises:
        FormatError: a shard or an index is damaged.
    """
    manifest, folder = summary.manifest, summary.folder
    decoder, notes = load_decoder(folder, None)
    names = sorted(manifest.tasks)[:TASKS]
    rows = {(row.task, row.role, row.field): row for row in manifest.statistics}
    return {
        "name": printable(manifest.name),
        "facts": dataset_facts(manifest),
        "totals": totals(manifest.totals),
        "account": account_facts(manifest),
        "splits": cells(split_columns("0"), sorted(manifest.splits.items())),
        "tasks": [
            {
                "name": printable(name),
                "facts": task_facts(manifest.tasks[name]),
                "fields": [_field(field, rows.get((name, field.role, field.name))) for field in summary.fields[name]],
            }
            for name in names
        ],
        "hidden_tasks": len(manifest.tasks) - len(names),
        "quality": [_finding(finding) for finding in quality.findings],
        "distributions": distributions(quality.episodes),
        "actions": [action_balance(manifest, name, quality.actions[name]) for name in names if name in quality.actions],
        "notes": notes + [printable(line, 200) for line in summary.missing],
        **episodes_content(folder, quality.episodes, decoder, limit, share_of_page),
    }


def shard_content(path: Path, limit: int) -> dict[str, Any]:
    """What the page shows of a single shard; `limit` episodes of it in detail.

    Raises:
        InputError: there is no shard, or no index beside it.
        FormatError: the shard is damaged.
    """
    check_shard(path)
    found = index_of(path)
    if found is None:
        raise InputError(f"no index beside {path.name}: a page wants one, the terminal shows a shard without")
    check_fits(path, found)
    decoder, notes = load_decoder(path.parent, found)
    episodes = list_episodes_of(path.name, found)
    return {
        "name": printable(path.name, 200),
        "facts": [
            ("split", printable(found.header.split)),
            ("size", size(found.header.shard_size)),
            ("patches", patches_line(found.header.totals, found.header.patch_encoding)),
            ("fingerprint", printable(found.header.fingerprint)),
        ],
        "totals": totals(found.header.totals),
        "distributions": distributions(episodes),
        "notes": notes,
        **episodes_content(path.parent, episodes, decoder, limit, 1.0),
    }


def _field(field: FieldSummary, row: FieldStatistics | None) -> dict[str, Any]:
    return {
        "name": printable(full_name(field.role, field.name)),
        "modality": "patch" if field.modality == "image" else field.modality,
        "shape": "x".join(map(str, field.shape)),
        "tokens": "some" if field.tokens is None else count(field.tokens),
        "numbers": [real(value) for value in (field.low, field.high, field.mean, field.std)],
        "saturated": "" if field.saturated is None else share(field.saturated, 1),
        "nan": count(field.nan) if field.modality == "continuous" else "",
        "bins": f"{field.bins_used} of {count(field.bins or 0)}" if field.bins_used else "",
        "error": "" if field.error is None else real(field.error, 2),
        "coverage": _coverage(bitmap(row), field.bins) if row is not None and field.bins_used and field.bins else "",
    }


def _coverage(bits: int, bins: int) -> str:
    """How many of the ids are used, as `COVERAGE` digits from 0 to 8, lowest ids first."""
    width = bins // COVERAGE
    groups = [(bits >> (start * width) & ((1 << width) - 1)).bit_count() for start in range(COVERAGE)]
    return "".join(str(-(-group * 8 // width)) for group in groups)


def _finding(finding: QualityFinding) -> dict[str, Any]:
    return {
        "check": finding.check,
        "level": finding.level,
        "where": "" if finding.where == "all" else printable(finding.where),
        "message": printable(finding.message, 400),
        "measure": real(finding.measure, 3),
        "threshold": real(finding.threshold, 3),
    }
