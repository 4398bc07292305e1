"""The masked loss: a sum over supervised tokens, divided by their number in the whole global batch.

Every token counts the same wherever it lies, so the gradient does not depend on micro-batches or
processes (paper equation 2 is the sum; the division makes the step size independent of the
mixture).
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gato_trainer.data.inputs import TARGET_MODALITIES, Targets

_ACTIONS = ("accuracy", "repeated", "changed_accuracy")
"""Of action tokens: how many were right; how many would be if the action before was repeated; how
many were right of those where it would not.
"""


@dataclass(slots=True)
class LossTotals:
    """Running sums on the device since the last log line; nothing here waits for the device.

    Attributes:
        loss, count, correct: float64 (groups,), one group per dataset and one per target modality, of all
            tokens, then the same for each of `_ACTIONS`.
    """

    datasets: tuple[str, ...]
    loss: Tensor
    count: Tensor
    correct: Tensor

    @classmethod
    def zeros(cls, datasets: tuple[str, ...], device: torch.device) -> "LossTotals":
        """Empty sums."""
        groups = (1 + len(_ACTIONS)) * (len(datasets) + len(TARGET_MODALITIES))
        return cls(datasets, *(torch.zeros(groups, dtype=torch.float64, device=device) for _ in range(3)))

    @torch.no_grad()
    def add(self, targets: Targets, row_loss: Tensor, correct: Tensor, weight: Tensor | None = None) -> None:
        """Add what the model made of the targets of a micro-batch, each as much as its weight, or 1.

        Rows that fill it up count nothing.
        """
        n = len(self.datasets)
        values = torch.stack([row_loss.double(), (targets.ids >= 0).double(), correct.double()])
        if weight is not None:
            values *= weight
        known, same = targets.before >= 0, targets.before == targets.ids
        repeated = torch.stack([values[0], values[1], values[1] * same])
        counted = (values, values * targets.is_action, repeated * known, values * (known & ~same))
        sums = torch.stack([self.loss, self.count, self.correct])
        for number, added in enumerate(counted):
            first = number * (n + len(TARGET_MODALITIES))
            sums.index_add_(1, targets.dataset + first, added)
            sums.index_add_(1, targets.modality + (first + n), added)
        self.loss, self.count, self.correct = sums.unbind(0)

    def stacked(self) -> Tensor:
        """float64 (3, groups), for a sum over processes."""
        return torch.stack([self.loss, self.count, self.correct])

    def report(self, stacked: Tensor) -> dict[str, Any]:
        """Means of the sums in `stacked` (on the CPU), as the log line's keys; groups without tokens are left out."""
        n = len(self.datasets)
        every, *actions = stacked.view(len(stacked), 1 + len(_ACTIONS), -1).unbind(1)
        loss, count, correct = every[:, :n].sum(dim=1).tolist()
        accuracy, repeated, changed = (_share(*sums[1:, :n].sum(dim=1).tolist()) for sums in actions)
        return {
            "loss": _share(count, loss),
            "accuracy": _share(count, correct),
            "action_accuracy": accuracy,
            "repeated_actions": repeated,
            "changed_action_accuracy": changed,
            "supervised_tokens": int(count),
            "dataset_loss": _named(self.datasets, every[:, :n]),
            "modality_loss": _named(TARGET_MODALITIES, every[:, n:]),
            "dataset_actions": _actions(self.datasets, [sums[1:, :n] for sums in actions]),
            "modality_actions": _actions(TARGET_MODALITIES, [sums[1:, n:] for sums in actions]),
        }


def _share(count: float, total: float) -> float | None:
    return total / count if count else None


def _named(names: tuple[str, ...], sums: Tensor) -> dict[str, float]:
    """The mean loss of each group that has tokens."""
    pairs = zip(names, *sums[:2].tolist(), strict=True)
    return {name: loss / count for name, loss, count in pairs if count}


def _actions(names: tuple[str, ...], counted: list[Tensor]) -> dict[str, dict[str, float | None]]:
    """The shares `_ACTIONS` of each group that has actions, of count and correct ones (2, groups) of each."""
    return {
        name: dict(zip(_ACTIONS, (_share(*sums) for sums in of_group), strict=True))
        for name, of_group in zip(names, torch.stack(counted).permute(2, 0, 1).tolist(), strict=True)
        if of_group[0][0]
    }
