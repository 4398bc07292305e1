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


@dataclass(slots=True)
class LossTotals:
    """Running sums on the device since the last log line; nothing here waits for the device.

    Attributes:
        loss, count, correct: float64 (groups,), one group per dataset, then one per target
            modality, then actions.
    """

    datasets: tuple[str, ...]
    loss: Tensor
    count: Tensor
    correct: Tensor

    @classmethod
    def zeros(cls, datasets: tuple[str, ...], device: torch.device) -> "LossTotals":
        """Empty sums."""
        groups = len(datasets) + len(TARGET_MODALITIES) + 1
        return cls(datasets, *(torch.zeros(groups, dtype=torch.float64, device=device) for _ in range(3)))

    @torch.no_grad()
    def add(self, targets: Targets, row_loss: Tensor, correct: Tensor) -> None:
        """Add what the model made of the targets of a micro-batch."""
        first = len(self.datasets)
        action = first + len(TARGET_MODALITIES)
        values = torch.stack([row_loss.double(), torch.ones_like(row_loss, dtype=torch.float64), correct.double()])
        sums = torch.stack([self.loss, self.count, self.correct])
        sums.index_add_(1, targets.dataset, values)
        sums.index_add_(1, targets.modality + first, values)
        sums[:, action] += (values * targets.is_action).sum(dim=1)
        self.loss, self.count, self.correct = sums.unbind(0)

    def stacked(self) -> Tensor:
        """float64 (3, groups), for a sum over processes."""
        return torch.stack([self.loss, self.count, self.correct])

    def report(self, stacked: Tensor) -> dict[str, Any]:
        """Means of the sums in `stacked` (on the CPU), as the log line's keys; groups without tokens are left out."""
        loss, count, correct = stacked.tolist()
        n = len(self.datasets)
        total = sum(count[:n])
        means = [loss[i] / count[i] if count[i] else None for i in range(len(count))]
        dataset_loss = dict(zip(self.datasets, means, strict=False))
        modality_loss = dict(zip(TARGET_MODALITIES, means[n:], strict=False))
        return {
            "loss": sum(loss[:n]) / total if total else None,
            "accuracy": sum(correct[:n]) / total if total else None,
            "action_accuracy": correct[-1] / count[-1] if count[-1] else None,
            "supervised_tokens": int(total),
            "dataset_loss": {name: mean for name, mean in dataset_loss.items() if mean is not None},
            "modality_loss": {name: mean for name, mean in modality_loss.items() if mean is not None},
        }
