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
        loss, count, correct: float64 (groups,), one group per dataset, then one per target
            modality, then for each of `_ACTIONS` one per dataset.
    """

    datasets: tuple[str, ...]
    loss: Tensor
    count: Tensor
    correct: Tensor

    @classmethod
    def zeros(cls, datasets: tuple[str, ...], device: torch.device) -> "LossTotals":
        """Empty sums."""
        groups = len(TARGET_MODALITIES) + (1 + len(_ACTIONS)) * len(datasets)
        return cls(datasets, *(torch.zeros(groups, dtype=torch.float64, device=device) for _ in range(3)))

    @torch.no_grad()
    def add(self, targets: Targets, row_loss: Tensor, correct: Tensor) -> None:
        """Add what the model made of the targets of a micro-batch; rows that fill it up count nothing."""
        n = len(self.datasets)
        values = torch.stack([row_loss.double(), (targets.ids >= 0).double(), correct.double()])
        sums = torch.stack([self.loss, self.count, self.correct])
        sums.index_add_(1, targets.dataset, values)
        sums.index_add_(1, targets.modality + n, values)
        known, same = targets.before >= 0, targets.before == targets.ids
        repeated = torch.stack([values[0], values[1], same.double()])
        counted = ((targets.is_action, values), (known, repeated), (known & ~same, values))
        for number, (which, added) in enumerate(counted):
            first = n + len(TARGET_MODALITIES) + n * number
            sums.index_add_(1, targets.dataset + first, added * which)
        self.loss, self.count, self.correct = sums.unbind(0)

    def stacked(self) -> Tensor:
        """float64 (3, groups), for a sum over processes."""
        return torch.stack([self.loss, self.count, self.correct])

    def report(self, stacked: Tensor) -> dict[str, Any]:
        """Means of the sums in `stacked` (on the CPU), as the log line's keys; groups without tokens are left out."""
        n, groups = len(self.datasets), len(TARGET_MODALITIES)
        loss, count, correct = stacked[:, :n].sum(dim=1).tolist()
        actions = stacked[1:, n + groups :].view(2, len(_ACTIONS), n)
        accuracy, repeated, changed = (_share(*sums) for sums in actions.sum(dim=2).T.tolist())
        return {
            "loss": _share(count, loss),
            "accuracy": _share(count, correct),
            "action_accuracy": accuracy,
            "repeated_actions": repeated,
            "changed_action_accuracy": changed,
            "supervised_tokens": int(count),
            "dataset_loss": _named(self.datasets, stacked[:, :n]),
            "modality_loss": _named(TARGET_MODALITIES, stacked[:, n : n + groups]),
            "dataset_actions": {
                name: dict(zip(_ACTIONS, (_share(*sums) for sums in of_dataset), strict=True))
                for name, of_dataset in zip(self.datasets, actions.permute(2, 1, 0).tolist(), strict=True)
                if of_dataset[0][0]
            },
        }


def _share(count: float, total: float) -> float | None:
    return total / count if count else None


def _named(names: tuple[str, ...], sums: Tensor) -> dict[str, float]:
    """The mean loss of each group that has tokens."""
    pairs = zip(names, *sums[:2].tolist(), strict=True)
    return {name: loss / count for name, loss, count in pairs if count}
