"""The answers of `inspect --json`: plain values under stable keys, NaN and infinity as null."""

import dataclasses
import json
import math
from collections.abc import Iterable
from typing import Any

import msgspec

from gato_data.report.dataset import DatasetSummary
from gato_data.report.quality import Quality
from gato_data.report.record import OpenRecord
from gato_data.report.shard import RecordSummary, ShardSummary
from gato_data.report.timeline import TokenView
from gato_data.statistics import sum_counts
from gato_schemas.sequence import Modality
from gato_schemas.statistics import Counts


def as_json(answer: dict[str, Any]) -> str:
    """One JSON object, indented, in ASCII, so that no character of the data can steer a terminal."""
    return json.dumps(finite(answer), indent=2, ensure_ascii=True, allow_nan=False)


def as_line(answer: dict[str, Any]) -> str:
    """The same in one line, its keys sorted."""
    return json.dumps(finite(answer), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def finite(value: Any) -> Any:
    """The value with every NaN and infinity in it replaced by None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [finite(entry) for entry in value]
    return value


def modalities(values: Iterable[int]) -> dict[str, int]:
    """Tokens by the name of their modality."""
    return {modality.name.lower(): int(n) for modality, n in zip(Modality, values, strict=True)}


def counts_json(counts: Counts) -> dict[str, Any]:
    """Counts as they stand in every JSON answer."""
    return {
        "episodes": counts.episodes,
        "records": counts.records,
        "timesteps": counts.timesteps,
        "images": counts.images,
        "patches": counts.patches,
        "tokens": counts.tokens,
        "tokens_by_modality": modalities(counts.tokens_by_modality),
        "loss_tokens": counts.loss_tokens,
        "loss_share": counts.loss_tokens / counts.tokens if counts.tokens else None,
    }


def shard_json(summary: ShardSummary) -> dict[str, Any]:
    """The JSON answer of `inspect shard`."""
    return {
        "shard": summary.name,
        "bytes": summary.bytes,
        "split": summary.split,
        "patch_encoding": summary.patch_encoding,
        "fingerprint": summary.fingerprint,
        "dead_letters": summary.dead_letters,
        "from_index": summary.from_index,
        "totals": counts_json(summary.totals),
        "records": [record_json(record) for record in summary.records],
    }


def record_json(record: RecordSummary) -> dict[str, Any]:
    """One record in a JSON answer."""
    return {
        "record": record.number,
        "episode_id": record.episode_id,
        "task": record.task,
        "agent": record.agent,
        "chunk": record.chunk,
        "num_chunks": record.num_chunks,
        "timesteps": record.timesteps,
        "images": record.images,
        "tokens": record.tokens,
        "tokens_by_modality": modalities(record.tokens_by_modality),
        "loss_tokens": record.loss_tokens,
        "loss_share": record.loss_tokens / record.tokens if record.tokens else None,
        "return": record.episode_return,
        "is_terminal": record.is_terminal,
    }


def timeline_json(opened: OpenRecord, tokens: Iterable[TokenView]) -> dict[str, Any]:
    """The JSON answer of `inspect shard --record`."""
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
        "tokens": [_token(token) for token in tokens],
    }


def _token(token: TokenView) -> dict[str, Any]:
    return {
        "index": token.index,
        "timestep": token.timestep,
        "position": token.position,
        "id": token.id,
        "modality": token.modality.name.lower(),
        "field": token.name,
        "value": token.value,
        "patch": None if token.patch is None else dataclasses.asdict(token.patch),
        "loss": token.loss,
    }


def dataset_json(summary: DatasetSummary, quality: Quality) -> dict[str, Any]:
    """The JSON answer of `inspect dataset`."""
    manifest = summary.manifest
    fields: dict[str, list[dict[str, Any]]] = {name: [] for name in manifest.tasks}
    for field in summary.fields:
        fields[field.task].append({k: v for k, v in dataclasses.asdict(field).items() if k != "task"})
    tasks = {
        name: {
            "counts": counts_json(task.counts),
            "final_step": None if task.final_step is None else msgspec.to_builtins(task.final_step),
            "filter": None if task.filter is None else msgspec.to_builtins(task.filter),
            "left_out": task.left_out,
            "fields": fields[name],
        }
        for name, task in sorted(manifest.tasks.items())
    }
    splits = {
        name: {
            "shards": [{"name": shard.name, "bytes": shard.size} for shard in split.shards],
            "totals": counts_json(split.totals),
        }
        for name, split in sorted(manifest.splits.items())
    }
    return {
        "dataset": manifest.name,
        "family": manifest.family,
        "format_version": manifest.version,
        "fingerprint": manifest.fingerprint,
        "content_id": manifest.content_id,
        "source": msgspec.to_builtins(manifest.source),
        "tokenization": manifest.tokenization,
        "vocabulary": msgspec.to_builtins(manifest.vocabulary),
        "patch_encoding": msgspec.to_builtins(manifest.patch_encoding),
        "dead_letters": manifest.dead_letters,
        "account": msgspec.to_builtins(manifest.account),
        "left_out": msgspec.to_builtins(summary.left_out),
        "totals": counts_json(sum_counts(split.totals for split in manifest.splits.values())),
        "splits": splits,
        "tasks": tasks,
        "missing": list(summary.missing),
        "quality": {
            "problems": quality.problems,
            "findings": [dataclasses.asdict(finding) for finding in quality.findings],
        },
    }
