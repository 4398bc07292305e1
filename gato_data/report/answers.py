"""What `inspect dataset --json` and `inspect shard --record --json` say."""

from typing import Any

from gato_data.report.dataset import DatasetSummary
from gato_data.report.quality import Quality
from gato_data.report.timeline import Excerpt


def excerpt_answer(excerpt: Excerpt) -> dict[str, Any]:
    """A record and some of its tokens."""
    opened = excerpt.opened
    record, sequence = opened.record, opened.record.sequence
    return {
        "record": opened.number,
        "episode_id": record.episode_id,
        "source_episode_id": record.source_episode_id,
        "task": record.task,
        "agent": record.agent,
        "chunk": record.chunk,
        "num_chunks": record.num_chunks,
        "first_timestep": opened.first_timestep,
        "timesteps": sequence.num_timesteps,
        "num_tokens": sequence.num_tokens,
        "return": record.episode_return,
        "is_terminal": record.is_terminal,
        "tokens": list(excerpt.tokens),
    }


def dataset_answer(summary: DatasetSummary, quality: Quality) -> dict[str, Any]:
    """A dataset and what is wrong with it."""
    manifest = summary.manifest
    tasks = {
        name: {
            "counts": task.counts,
            "final_step": task.final_step,
            "filter": task.filter,
            "left_out": task.left_out,
            "repeated_actions": quality.actions[name].repeated_actions if name in quality.actions else None,
            "fields": summary.fields[name],
        }
        for name, task in sorted(manifest.tasks.items())
    }
    splits = {
        name: {
            "shards": [{"name": shard.name, "bytes": shard.size} for shard in split.shards],
            "totals": split.totals,
        }
        for name, split in sorted(manifest.splits.items())
    }
    return {
        "dataset": manifest.name,
        "family": manifest.family,
        "format_version": manifest.version,
        "fingerprint": manifest.fingerprint,
        "content_id": manifest.content_id,
        "source": manifest.source,
        "origin": manifest.origin,
        "tokenization": manifest.tokenization,
        "vocabulary": manifest.vocabulary,
        "patch_encoding": manifest.patch_encoding,
        "dead_letters": manifest.dead_letters,
        "account": manifest.account,
        "left_out": summary.left_out,
        "totals": manifest.totals,
        "splits": splits,
        "tasks": tasks,
        "missing": summary.missing,
        "quality": {"problems": quality.problems, "findings": quality.findings},
    }
