"""What a model sees of the episodes of E environments: a prompt, then their newest timesteps, all within one window.

As long as everything fits, nothing is computed twice and every output is the training path's. When the window is full

    half-cut    the older half of the timesteps behind the prompt goes and the rest is encoded anew: again exact
    xl          the oldest timesteps go, the prompt first; what others took from them stays (Transformer-XL's memory)

With a `history` the newest so many earlier timesteps are encoded anew for every observation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from gato_data.errors import EpisodeError
from gato_trainer.acting.memory import Memory, Prefix
from gato_trainer.model.transformer import Gato

MemoryKind: TypeAlias = Literal["half-cut", "xl"]
_Steps: TypeAlias = list[list[Tensor]]


@dataclass(frozen=True, slots=True, eq=False)
class Prompt:
    """Timesteps of another episode: the embedded tokens (N, D) of each, and keys and values of all."""

    timesteps: tuple[Tensor, ...]
    prefix: Prefix


def encode_prompt(model: Gato, timesteps: Sequence[Tensor]) -> Prompt:
    """Compute the keys and values of a prompt once for all episodes; at least one timestep."""
    vectors = torch.cat(list(timesteps))
    memory = Memory(model, 1, len(vectors))
    memory.extend(vectors, [len(vectors)])
    return Prompt(tuple(timesteps), memory.prefix(0))


class Context:
    """The timesteps of E environments as far as the model sees them.

    Args:
        model: that sees them.
        environments: their number, E.
        window: most tokens that it sees.
        kind: what goes when the window is full.
        history: most earlier timesteps that it sees; None for as many as there is room for.
    """

    def __init__(
        self, model: Gato, environments: int, window: int, kind: MemoryKind = "half-cut", history: int | None = None
    ) -> None:
        self._window, self._kind, self._history = window, kind, history
        self._memory = Memory(model, environments, window, spare=window // 2 if kind == "xl" else 0)
        self._steps: list[_Steps] = [[] for _ in range(environments)]
        self._fixed = [0] * environments
        self._waiting = [False] * environments

    def seen(self, environment: int) -> int:
        """Timesteps that are seen in an environment, the present one included; the prompt's only with "xl"."""
        return len(self._steps[environment])

    def restart(self, environment: int, prompt: Prompt | None) -> None:
        """Begin an episode in one of the environments."""
        self._memory.begin(environment, prompt.prefix if prompt else None)
        self._steps[environment], self._fixed[environment], self._waiting[environment] = [], 0, False
        if prompt and self._kind == "xl":
            self._steps[environment] = [[vectors] for vectors in prompt.timesteps]
        elif prompt:
            self._fixed[environment] = prompt.prefix.length

    def observe(self, environments: Sequence[int], observations: Sequence[Tensor], actions: int) -> Tensor:
        """Begin a timestep in some of the environments, in ascending order.

        Args:
            environments: their numbers.
            observations: embedded tokens (N, D) of each, with the separator.
            actions: how many action tokens will follow.

        Returns:
            (environments, D), the output behind each observation.

        Raises:
            EpisodeError: an observation does not fit into the window with its action; nothing has changed.
        """
        needed = [len(vectors) + actions - 1 for vectors in observations]
        for environment, need in zip(environments, needed, strict=True):
            self._check(environment, need)
        pieces: list[Tensor] = []
        counts = [0] * len(self._steps)
        for environment, vectors, need in zip(environments, observations, needed, strict=True):
            fresh = [*self._make_room(environment, need), vectors]
            pieces += fresh
            counts[environment] = sum(map(len, fresh))
            self._steps[environment].append([vectors])
        return self._memory.extend(torch.cat(pieces), counts)

    def follow(self, environments: Sequence[int], actions: Tensor) -> Tensor:
        """Append one action token (environments, D) to each, not the last one; the output behind each, likewise."""
        counts = [0] * len(self._steps)
        for environment, vector in zip(environments, torch.split(actions, 1), strict=True):
            self._steps[environment][-1].append(vector)
            counts[environment] = 1
        return self._memory.extend(actions, counts)

    def end(self, environments: Sequence[int], actions: Tensor) -> None:
        """Append the last action token (environments, D) of the timestep to each; the next observation follows it."""
        for environment, vector in zip(environments, torch.split(actions, 1), strict=True):
            self._steps[environment][-1].append(vector)
            self._waiting[environment] = True

    def _check(self, environment: int, need: int) -> None:
        fixed = self._fixed[environment]
        if fixed + need > self._window:
            prompt = f" behind a prompt of {fixed}" if fixed else ""
            raise EpisodeError(
                f"a timestep takes {need} tokens{prompt}, the model was trained with a context of {self._window}: "
                f"train it with a longer --context-length{', or act without a prompt' if fixed else ''}"
            )

    def _make_room(self, environment: int, need: int) -> list[Tensor]:
        """Tokens that have to be encoded before an observation; afterwards there is room for so many tokens more."""
        steps, waiting = self._steps[environment], self._waiting[environment]
        self._waiting[environment] = False
        fits = self._memory.length(environment) + waiting + need <= self._window
        if fits and (self._history is None or len(steps) <= self._history):
            return [steps[-1][-1]] if waiting else []
        if self._kind == "xl":
            return self._drop(environment, need, waiting=waiting)
        return self._cut(environment, need)

    def _drop(self, environment: int, need: int, *, waiting: bool) -> list[Tensor]:
        """Forget the oldest timesteps; the tokens of the others stay as they are."""
        steps, memory = self._steps[environment], self._memory
        while memory.length(environment) + (waiting and bool(steps)) + need > self._window:
            memory.drop(environment, min(sum(map(len, steps.pop(0))), memory.length(environment)))
        return [steps[-1][-1]] if waiting and steps else []

    def _cut(self, environment: int, need: int) -> list[Tensor]:
        """Forget the older timesteps behind the prompt; the others are to be encoded anew."""
        fixed, steps = self._fixed[environment], self._steps[environment]
        room = self._window - fixed - need
        if self._history is None:
            room = min(room, (self._window - fixed) // 2)
        kept: _Steps = []
        for step in reversed(steps if self._history != 0 else []):
            room -= sum(map(len, step))
            if room < 0 or len(kept) == self._history:
                break
            kept.insert(0, step)
        self._memory.keep(environment, fixed)
        self._steps[environment] = kept
        return [vectors for step in kept for vectors in step]
