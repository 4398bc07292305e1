"""Histograms for the page: lengths, returns and actions."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gato_data.printable import printable, real
from gato_data.report.actions import ActionSample
from gato_data.report.episodes import EpisodeList
from gato_data.report.fields import elements
from gato_data.tokenizers import continuous
from gato_schemas.dataset import Manifest

TASKS = 20
"""Tasks shown one by one."""
BARS = 32
ELEMENTS = 12
"""Action elements whose balance is shown."""


def distributions(episodes: EpisodeList) -> list[dict[str, Any]]:
    """Histograms of lengths and returns by task."""
    found = []
    for number, task in enumerate(episodes.tasks[:TASKS]):
        mine = episodes.task == number
        if not mine.any():
            continue
        unit = "timesteps" if episodes.timesteps[mine].any() else "tokens"
        lengths = histogram(getattr(episodes, unit)[mine].astype(np.float64))
        returns = episodes.episode_return[mine].astype(np.float64)
        returns = returns[np.isfinite(returns)]
        found.append(
            {
                "task": printable(task),
                "unit": unit,
                "lengths": lengths,
                "returns": histogram(returns) if len(returns) else None,
            }
        )
    return found


def histogram(values: NDArray[np.float64]) -> dict[str, Any]:
    """Counts of at most `BARS` equal intervals; whole numbers get intervals of whole width."""
    low, high = float(values.min()), float(values.max())
    bars = BARS
    if (values == np.round(values)).all() and high - low < 2**40:
        width = max(int(np.ceil((high - low + 1) / BARS)), 1)
        bars = int((high - low) // width) + 1
        edges = low + width * np.arange(bars + 1)
    else:
        edges = np.linspace(low, high if high > low else low + 1, bars + 1)
    counts, _ = np.histogram(values, edges)
    quartiles = np.quantile(values, [0, 0.25, 0.5, 0.75, 1])
    return {
        "edges": [real(float(edge)) for edge in edges],
        "counts": counts.tolist(),
        "marks": [real(q) for q in quartiles],
    }


def action_balance(manifest: Manifest, task: str, sample: ActionSample) -> dict[str, Any]:
    """How often each action value occurs, for the first elements."""
    found: list[dict[str, Any]] = []
    for slot, counts in zip(
        elements("action", manifest.tasks[task].actions, is_action=True), sample.counts, strict=False
    ):
        if len(found) == ELEMENTS or slot.field is None:
            break
        if slot.field.modality == "discrete":
            last = int(np.flatnonzero(counts)[-1]) if counts.any() else 0
            shown = counts[: min(last + 1, 2 * BARS)]
            labels = [str(value) for value in range(len(shown))]
        else:
            number, rule = continuous.num_bins(slot.field.binning), slot.field.binning
            shown = counts[:number].reshape(2 * BARS, -1).sum(axis=1)
            bins = np.arange(0, number, number // (2 * BARS))
            edges = continuous.decode(bins, compand=False, low=slot.field.low, high=slot.field.high, bins=rule)
            labels = [real(float(edge), 3) for edge in edges]
        found.append({"name": printable(slot.name), "labels": labels, "counts": shown.tolist()})
    return {"task": printable(task), "timesteps": sample.timesteps, "elements": found}
