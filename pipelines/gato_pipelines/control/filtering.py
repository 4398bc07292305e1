"""Which episodes of a task are kept: by their return, as in the paper, or by a success flag."""

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from gato_data.errors import InputError, SettingError
from gato_data.returns import expert_return, threshold, window
from gato_pipelines.part_scan import PartScan
from gato_schemas.selection import EpisodeFilter

FAILED, SUCCEEDED, DROPPED = 0, 1, 2
"""What became of an episode: whether it succeeded, or that it was not kept."""


def check_fraction(fraction: float | None) -> None:
    """Check `--min-return-fraction`.

    Raises:
        SettingError: it is outside [0, 1].
    """
    if fraction is not None and not 0 <= fraction <= 1:
        raise SettingError(f"min-return-fraction is {fraction}: a share in [0, 1] is wanted, 0.8 in the paper")


def make_filter(
    task: str, scans: Sequence[PartScan], counts: Sequence[int], fraction: float | None, success: str
) -> EpisodeFilter | None:
    """The filter of one task; None where none is asked for.

    Args:
        task: its name.
        scans: of its parts.
        counts: the episodes that are read of each part, the first ones.
        fraction: see `gato_data.returns`.
        success: name of the success flag; empty where it does not matter.

    Raises:
        InputError: no episode is kept, or no return can be told.
    """
    if fraction is None and not success:
        return None
    pairs = list(zip(scans, counts, strict=True))
    totals = np.concatenate([_totals(scan, count) for scan, count in pairs])
    kept = np.concatenate([_succeeded(scan, count, success) for scan, count in pairs])
    found = EpisodeFilter(require_success=success)
    if fraction is not None:
        collected = totals[_collection_order(pairs)]
        returns = collected[np.isfinite(collected)]
        if not len(returns):
            raise InputError(
                f"task {task!r} has no episode with a finite return, which --min-return-fraction needs: leave that out"
            )
        expert = expert_return(returns)
        found = EpisodeFilter(
            min_return_fraction=fraction,
            window=window(len(returns)),
            expert_return=expert,
            min_return=threshold(expert, fraction),
            require_success=success,
        )
        kept &= totals >= found.min_return
    if not kept.any():
        what = f"has {success!r} set" if fraction is None else "passes the filter"
        raise InputError(
            f"none of the {len(kept)} episodes of task {task!r} {what}: leave its input out, or ask for less"
        )
    number = int(np.count_nonzero(kept))
    return msgspec.structs.replace(found, kept=number, dropped=len(kept) - number)


def passes(chosen: EpisodeFilter, total: float) -> bool:
    """Whether an episode of this return is kept; one without a finite return is not."""
    return chosen.min_return is None or bool(np.isfinite(total) and total >= chosen.min_return)


def outcomes(scan: PartScan, count: int, chosen: EpisodeFilter | None) -> bytes:
    """A byte for each of the first `count` episodes of a part; empty where it does not say what became of them."""
    found = [SUCCEEDED if success else FAILED for success in scan.successes[:count]]
    if chosen is None or not found:
        return bytes(found)
    totals = [float("nan") if total is None else total for total in scan.returns[:count]] or [float("nan")] * len(found)
    drops = (bool(chosen.require_success) and outcome == FAILED for outcome in found)
    kept = (passes(chosen, total) and not drop for total, drop in zip(totals, drops, strict=True))
    return bytes(outcome if keep else DROPPED for outcome, keep in zip(found, kept, strict=True))


def _totals(scan: PartScan, count: int) -> NDArray[np.float64]:
    """The first `count` returns, NaN where one cannot be told."""
    found = [np.nan if total is None else total for total in scan.returns[:count]]
    return np.array(found + [np.nan] * (count - len(found)), np.float64)


def _succeeded(scan: PartScan, count: int, success: str) -> NDArray[np.bool_]:
    if not success:
        return np.ones(count, bool)
    found = scan.successes[:count]
    return np.array(found + [False] * (count - len(found)), bool)


def _collection_order(pairs: Sequence[tuple[PartScan, int]]) -> NDArray[np.int64]:
    """Places of all episodes in the order of collection: by agent and the dataset's own numbers, else as stored."""
    numbers = [numbers for scan, count in pairs for numbers in scan.order[:count]]
    total = sum(count for _, count in pairs)
    if len(numbers) != total or len({len(entry) for entry in numbers}) != 1 or not numbers[0]:
        return np.arange(total)
    agents = sorted({agent for scan, _ in pairs for agent in scan.agents})
    agent = np.concatenate([np.full(count, agents.index(scan.agents[0])) for scan, count in pairs])
    keys = np.array(numbers, np.int64)
    return np.lexsort((*keys.T[::-1], agent)).astype(np.int64)
