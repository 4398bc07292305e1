"""What a run does where its settings leave it open: precision, compilation, windows at once, recomputation."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gato_trainer.config import ActivationCheckpointing, ModelConfig, TrainSettings
from gato_trainer.run.machine import Machine
from gato_trainer.run.memory import memory

if TYPE_CHECKING:
    from gato_trainer.run.plan import Work

_FILLED = 0.9
"""Share of a GPU's memory that an estimate may fill: the rest is for what it misses, and for gaps."""

_FEW = 4096
"""Tokens at once below which activations are rather computed twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Definite settings, and what they are estimated to take.

    Attributes:
        settings: nothing of them is left open but `kernels`.
        memory: bytes on each device, as `memory` gives them, for a micro-batch like the first ones.
        fits: whether a micro-batch in which every token is supervised fits; true on a CPU.
    """

    settings: TrainSettings
    machine: Machine
    memory: dict[str, int]
    fits: bool

    @property
    def memory_bytes(self) -> int:
        """All of `memory`."""
        return sum(self.memory.values())

    def line(self, kernels: str) -> str:
        """What is chosen, in one line; `kernels` is the summary of the operations."""
        settings = self.settings
        micro = settings.micro_batch_size or settings.batch_size
        again = settings.activation_checkpointing == "on"
        room = "" if self.machine.memory is None else f" of {self.machine.memory / 2**30:.1f}"
        parts = [
            f"{settings.precision} on {self.machine.words}",
            "compiled" if settings.compile else "not compiled",
            f"{micro} window{'s' if micro > 1 else ''} at once",
            "activations " + ("computed twice" if again else "kept"),
            f"about {self.memory_bytes / 2**30:.2f}{room} GiB" + ("" if self.fits else ", which may not fit"),
        ]
        return f"{', '.join(parts)}; {kernels}"


def definite(settings: TrainSettings, machine: Machine) -> TrainSettings:
    """The settings with a precision, and with or without compilation."""
    compiled = settings.compiled_on(machine.device.type)
    precision = settings.precision or ("bf16" if machine.has_bf16 else "fp32")
    return dataclasses.replace(settings, precision=precision, compile=compiled)


def choose(
    settings: TrainSettings,
    config: ModelConfig,
    parameters: tuple[int, int],
    machine: Machine,
    fused: Set[str],
    work_of: Callable[[int], "Work"],
) -> Choice:
    """Decide how many windows are computed at once, and whether activations are computed twice.

    As many windows as fit, of a process's share of the batch or of its half, its quarter and so on,
    which differ by one at most; a few only if recomputation makes room for no more. On a CPU
    everything is computed at once. No choice changes a result beyond rounding.

    Args:
        settings: made definite before by `definite`.
        config: of the model.
        parameters: all of them, and how many of them are not trained.
        machine: that it runs on.
        fused: operations with a fused implementation.
        work_of: the work of a micro-batch of so many windows.
    """
    work_of = functools.cache(work_of)

    def tried(micro: int, again: bool) -> Choice:
        checkpointing: ActivationCheckpointing = "on" if again else "off"
        wanted = dataclasses.replace(settings, micro_batch_size=micro, activation_checkpointing=checkpointing)
        work = work_of(micro)
        crowded = dataclasses.replace(work, rows=work.windows * work.length)  # a micro-batch of texts
        needed, most = (memory(config, parameters, each, wanted, machine.processes, fused) for each in (work, crowded))
        fits = machine.memory is None or sum(most.values()) <= _FILLED * machine.memory
        return Choice(settings=wanted, machine=machine, memory=needed, fits=fits)

    share = -(-settings.batch_size // machine.processes)

    def largest(again: bool) -> Choice:
        return _first_fitting(tried(micro, again) for micro in _micro_batches(settings, machine, share))

    if settings.activation_checkpointing != "auto":
        return largest(settings.activation_checkpointing == "on")
    kept = largest(False)
    enough = min(-(-_FEW // settings.context_length), share)
    if kept.fits and (_windows(kept) >= enough or settings.micro_batch_size is not None):
        return kept
    twice = largest(True)
    return twice if not kept.fits or _windows(twice) > _windows(kept) else kept


def _windows(choice: Choice) -> int:
    return choice.settings.micro_batch_size or 0


def _micro_batches(settings: TrainSettings, machine: Machine, share: int) -> Iterator[int]:
    """Numbers of windows to try, the largest first."""
    if settings.micro_batch_size is not None or machine.memory is None:
        yield min(settings.micro_batch_size or share, share)
        return
    pieces = 1
    while pieces < 2 * share:
        yield -(-share // pieces)
        pieces *= 2


def _first_fitting(candidates: Iterator[Choice]) -> Choice:
    """The first that fits, or the last."""
    for choice in candidates:
        if choice.fits:
            break
    return choice
