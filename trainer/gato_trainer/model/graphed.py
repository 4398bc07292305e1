"""Forward and backward of a micro-batch as CUDA graphs: launched as one, however many kernels they have."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from gato_data.errors import TrainError
from gato_trainer.config import TrainSettings
from gato_trainer.data.inputs import Inputs
from gato_trainer.model.transformer import Gato
from gato_trainer.world import World

MOST = 8
"""Combinations of sizes that have graphs; batches of others are computed without."""

Capture = Callable[[Callable[[], None]], Callable[[], None]]
"""Of a computation that reads and writes the same memory each time, what computes it again."""


def check_graph(settings: TrainSettings, world: World) -> None:
    """Check that a run can have CUDA graphs, if it wants them.

    Raises:
        TrainError: it cannot.
    """
    if not settings.cuda_graph:
        return
    if world.device.type != "cuda":
        raise TrainError(f"--cuda-graph needs a CUDA GPU, and this run is on {world.device.type}: leave it out")


class Graphed:
    """A model's forward whose kernels, and those of its backward, are recorded and launched again.

    The first batch of a combination of sizes is computed as usual, which compiles what has to be compiled; the second
    one is recorded. What it gives is overwritten by the next call.

    Args:
        model: whose parameters stay where they are.
        capture: how to record; None makes CUDA graphs that share their memory.
    """

    def __init__(self, model: Gato, capture: Capture | None = None) -> None:
        self._model, self._capture = model, _cuda_capture() if capture is None else capture
        self._recorded: dict[tuple[Any, ...], _Recorded | None] = {}

    def __call__(self, inputs: Inputs) -> tuple[Tensor, Tensor]:
        """See `Gato.forward`, for inputs on the device without `gathered`; always in `Gato.cast_once`, or never."""
        sizes = tuple((*tensor.shape, tensor.dtype) for tensor in inputs.tensors())
        if sizes not in self._recorded:
            if len(self._recorded) < MOST:
                self._recorded[sizes] = None
            return self._model(inputs)  # type: ignore[no-any-return]
        recorded = self._recorded[sizes]
        if recorded is None:
            recorded = self._recorded[sizes] = _Recorded(self._model, inputs, self._capture)
        return recorded(inputs)


class _Recorded:
    """A forward and its backward over buffers of their own."""

    def __init__(self, model: Gato, inputs: Inputs, capture: Capture) -> None:
        self._model, self._inputs = model, inputs.copied()
        self._parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.row_loss = self.correct = self.weight = torch.empty(0)
        self.gradients: tuple[Tensor, ...] = ()
        self._forward = capture(self._run_forward)
        self.weight = torch.zeros_like(self.row_loss)
        self._backward = capture(self._run_backward)

    def _run_forward(self) -> None:
        with torch.enable_grad():
            self.row_loss, self.correct = self._model(self._inputs)

    def _run_backward(self) -> None:
        self.gradients = torch.autograd.grad(self.row_loss, self._parameters, self.weight, retain_graph=False)

    def __call__(self, inputs: Inputs) -> tuple[Tensor, Tensor]:
        for ours, theirs in zip(self._inputs.tensors(), inputs.tensors(), strict=True):
            ours.copy_(theirs, non_blocking=True)
        row_loss, correct = _Replay.apply(self, *self._parameters)  # type: ignore[no-untyped-call]
        return row_loss, correct

    def forward(self) -> None:
        """Compute `row_loss` and `correct`."""
        self._forward()

    def backward(self) -> None:
        """Compute `gradients` of the rows' losses times `weight`."""
        self._backward()


class _Replay(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, recorded: _Recorded, *parameters: Tensor) -> tuple[Tensor, Tensor]:
        ctx.recorded = recorded
        recorded.forward()
        ctx.mark_non_differentiable(correct := recorded.correct.detach())
        return recorded.row_loss.detach(), correct

    @staticmethod
    def backward(ctx: Any, *weights: Tensor) -> tuple[Tensor | None, ...]:
        recorded = ctx.recorded
        recorded.weight.copy_(weights[0])
        recorded.backward()
        # Autograd takes what it is given for `.grad`, and the next call writes into the recording's memory.
        return None, *(gradient.clone() for gradient in recorded.gradients)


def _cuda_capture() -> Capture:
    pool = torch.cuda.graph_pool_handle()

    def capture(run: Callable[[], None]) -> Callable[[], None]:
        graph = torch.cuda.CUDAGraph()
        # Another thread may pin memory meanwhile.
        with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
            run()
        return graph.replay

    return capture
