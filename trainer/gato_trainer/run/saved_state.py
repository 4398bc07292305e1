"""What a run saves and goes on from: parameters, optimizer and average, and where it stood."""

from collections.abc import Mapping

import msgspec
import torch
from torch import Tensor

from gato_trainer.checkpoints.header import CheckpointHeader, RunHeader
from gato_trainer.checkpoints.saving import Checkpoints
from gato_trainer.checkpoints.storage import all_finite, load, prepare_optimizer, state_tensors
from gato_trainer.data.batches import BatchSource, check_contents, check_identity, identity
from gato_trainer.model.transformer import Gato
from gato_trainer.run.folder import check_same_run
from gato_trainer.run.progress import Log


class SavedState:
    """The state of a run and its checkpoints.

    Args:
        model: of the run.
        optimizer: of its parameters. average: of them, empty if none is kept.
        source: of the training windows.
        header: of the run.
        checkpoints: where its state is saved.
    """

    def __init__(
        self,
        model: Gato,
        optimizer: torch.optim.Optimizer,
        average: list[Tensor],
        source: BatchSource,
        header: RunHeader,
        checkpoints: Checkpoints,
    ) -> None:
        self._model, self._optimizer, self._average = model, optimizer, average
        self._source, self._header, self._checkpoints = source, header, checkpoints

    def begin(self) -> None:
        """Before the first step, unless a checkpoint is restored."""
        prepare_optimizer(self._model, self._optimizer, 0)

    def restore(self, log: Log) -> CheckpointHeader | None:
        """Load the newest whole checkpoint, and say what is left out and from where the run goes on; None without one.

        Raises:
            MixtureError, TrainError: there are only damaged ones, or it is of another run.
        """
        found = self._checkpoints.newest_whole()
        if found is None:
            log.say("no checkpoint yet: starting at step 0")
            log.trim(0)
            return None
        header, path = found.header, found.path
        for damaged, problem in found.damaged.items():
            log.say(f"{problem}; it is kept as damaged-{damaged.name}, and the run goes on from the one before")
        check_same_run(header, self._header, path)
        check_contents(header.datasets, self._source, path)
        if header.stream:
            check_identity(header.stream, self._source, header.next_sample)
        prepare_optimizer(self._model, self._optimizer, header.step)
        load(path, self._tensors(), self._checkpoints.world)
        self._checkpoints.set_aside(found.damaged)
        log.trim(header.step)
        log.say(f"continuing at step {header.step} from {path}")
        return header

    def is_finite(self) -> bool:
        """Whether this process's part of all of it is finite; waits for the device."""
        return all_finite(self._tensors())

    def save(self, step: int, sample: int, usual_loss: Mapping[str, tuple[float, float, float]]) -> None:
        """Begin to save it.

        Args:
            step: steps done.
            sample: the first one that was not trained on.
            usual_loss: of `Spikes.state`.

        Raises:
            TrainError: it cannot be written.
        """
        header = CheckpointHeader(
            **msgspec.structs.asdict(self._header),
            step=step,
            next_sample=sample,
            stream=identity(self._source, sample),
            usual_loss=dict(usual_loss),
        )
        self._checkpoints.save(self._tensors(), header)

    def _tensors(self) -> dict[str, Tensor]:
        return state_tensors(self._model, self._optimizer, self._average)
