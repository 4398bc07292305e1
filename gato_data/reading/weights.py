"""Weights of a mixture file -> weights of windows, which is what the sampler draws."""

from collections.abc import Sequence

import numpy as np

from gato_data.errors import MixtureError
from gato_data.permutation import Numbers
from gato_data.reading.sampler import Stage
from gato_data.shards.episodes import EpisodeTable
from gato_schemas.mixture import Measure, Mixture


def normal(weights: Sequence[float]) -> list[float]:
    """Weights that sum to 1."""
    total = sum(weights)
    return [weight / total for weight in weights]


def dataset_totals(table: EpisodeTable, windows: Numbers) -> dict[Measure, Numbers]:
    """Windows, tokens, tokens under the mask and episodes of each dataset in one epoch, int64 (D,) each."""

    def per_dataset(values: Numbers) -> Numbers:
        running = np.concatenate([[0], np.cumsum(values)])
        return np.diff(running[table.dataset_episode])

    return {
        "windows": windows,
        "tokens": np.diff(table.record_token[table.episode_record[table.dataset_episode]]),
        "loss-tokens": per_dataset(table.loss_tokens),
        "episodes": np.diff(table.dataset_episode),
    }


def window_stages(mixture: Mixture, totals: dict[Measure, Numbers], split: str) -> list[Stage]:
    """The stages of a mixture with weights per window, for the windows that a split has.

    Train is read stage by stage. Other splits are read from sample 0 on, again and again, with the last stage's
    weights, by the datasets that have the split.

    Raises:
        MixtureError: a dataset that is drawn has no window in the train split, or none has one in another split.
    """
    names = [dataset.name for dataset in mixture.datasets]
    if not totals["windows"].any():
        advice = " ingest with --holdout to set some episodes apart" if split != "train" else " ingest more episodes"
        if views := [name for name in names if "[" in name]:
            advice = f" no episode meets the conditions of {views[0]}"
        raise MixtureError(f"no dataset of the mixture has a window in split {split!r}:{advice}")
    if split != "train":
        last = mixture.stages[-1]
        return [Stage(0, tuple(_per_window(last.weights, last.measure, totals, names, split)))]
    return [
        Stage(stage.first_sample, tuple(_per_window(stage.weights, stage.measure, totals, names, split)))
        for stage in mixture.stages
    ]


def _per_window(
    weights: Sequence[float], measure: Measure, totals: dict[Measure, Numbers], names: Sequence[str], split: str
) -> list[float]:
    result = []
    for weight, name, amount, windows in zip(weights, names, totals[measure], totals["windows"], strict=True):
        if not weight or (not windows and split != "train"):
            result.append(0.0)
            continue
        if not windows:
            what = "of two tokens or more meets its conditions" if "[" in name else "has two tokens"
            raise MixtureError(f"dataset {name} has no window: no episode of it in {split!r} {what}")
        if not amount:
            raise MixtureError(f"dataset {name} has no {measure} in {split!r}: weigh it by windows or leave it out")
        result.append(weight * float(windows) / float(amount))
    if not any(result):
        raise MixtureError(f"the datasets that are drawn have no window in split {split!r}")
    return result
