"""Everything that the page of one dataset shows, as plain values."""

from pathlib import Path
from typing import Any

import numpy as np

from gato_data.errors import InputError
from gato_data.printable import count, printable, real, share, size
from gato_data.report.account import account_facts
from gato_data.report.dataset import DatasetSummary, FieldSummary, bitmap
from gato_data.report.decoder import IdDecoder, load_decoder
from gato_data.report.episodes import EpisodeList, list_episodes_of
from gato_data.report.facts import dataset_facts, patches_line, split_columns, task_facts, totals
from gato_data.report.fields import full_name
from gato_data.report.files import check_shard
from gato_data.report.html.distributions import TASKS, action_balance, distributions
from gato_data.report.html.episode import Budget, episode_content
from gato_data.report.html.episode_records import EpisodeRecords
from gato_data.report.html.pick import Pick, pick
from gato_data.report.quality import Quality, QualityFinding
from gato_data.report.table import cells
from gato_data.shards.index import check_fits, index_of
from gato_schemas.index import ShardIndex
from gato_schemas.statistics import FieldStatistics

IMAGE_BYTES = 9_000_000
"""Of all images of a page together; base64 makes four bytes of three."""
TOKENS = 120_000
"""Shown one by one on a page."""
TIMESTEPS = 24
"""Shown of one episode at most."""
TIMESTEP_TOKENS = 2048
LEAST_IMAGE_BYTES = 1500
LEAST_BYTES_PER_PIXEL = 0.06
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


def episodes_content(
    folder: Path, episodes: EpisodeList, decoder: IdDecoder, limit: int, share_of_page: float
) -> dict[str, Any]:
    """The episodes that are shown in detail, and how many there are.

    Raises:
        FormatError: a shard is damaged.
    """
    picks = [
        chosen
        for chosen in pick(episodes, limit)
        if (folder / episodes.shards[episodes.shard[chosen.episode]]).is_file()
    ]
    budget = _budget(folder, episodes, picks, share_of_page)
    contents: list[dict[str, Any]] = []
    opened: tuple[str, ShardIndex | None] = ("", None)
    for chosen in picks:
        name = episodes.shards[episodes.shard[chosen.episode]]
        if opened[0] != name:
            opened = (name, index_of(folder / name))
        if opened[1] is None:
            continue
        episode = EpisodeRecords.of(folder / name, opened[1], int(episodes.record[chosen.episode]))
        content = episode_content(episode, decoder, budget)
        split = episodes.splits[episodes.split[chosen.episode]]
        contents.append({**content, "why": chosen.why, "split": printable(split)})
    return {"episodes": contents, "num_episodes": len(episodes)}


def _budget(folder: Path, episodes: EpisodeList, picks: list[Pick], share_of_page: float) -> Budget:
    """How much of each episode fits on the page."""
    chosen = [pick.episode for pick in picks]
    steps = episodes.timesteps[chosen]
    images, patches = episodes.images[chosen].sum(), episodes.patches[chosen].sum()
    each = max(len(picks), 1)
    per_step = float(episodes.tokens[chosen].sum() / max(steps.sum(), 1))
    images_per_step = float(images / max(steps.sum(), len(picks), 1))
    pixels = float(patches / max(images, 1)) * 256
    least = max(LEAST_IMAGE_BYTES, LEAST_BYTES_PER_PIXEL * pixels)
    by_images = share_of_page * IMAGE_BYTES / (each * max(images_per_step, 0.01) * least)
    by_tokens = share_of_page * TOKENS / (each * max(min(per_step, TIMESTEP_TOKENS), 1))
    timesteps = int(np.clip(min(by_images, by_tokens), 2, TIMESTEPS))
    shown = max(each * images_per_step * timesteps, 1)
    return Budget(
        timesteps=timesteps,
        tokens=TIMESTEP_TOKENS,
        image_bytes=int(max(share_of_page * IMAGE_BYTES / shown, LEAST_IMAGE_BYTES)),
    )


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
