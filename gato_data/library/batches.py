"""A stream of batches that knows where it is."""

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import numpy as np

from gato_data.errors import SettingError
from gato_data.reading.batch import Batch
from gato_data.reading.reader import MixtureReader
from gato_data.reading.sampler import rank_samples


class Batches:
    """The steps `first` .. `steps` - 1 of a run, each a `Batch`; made by `Dataset.batches`.

    Iterating reads ahead, and begins at `first` every time, or once where a state was loaded;
    `batches[n]` reads step n alone. Both give new arrays.

    Attributes:
        first: step that iterating begins at.
        step: the next one that it gives.
        num_steps: of the run.
    """

    def __init__(
        self,
        reader: MixtureReader,
        batch_size: int,
        *,
        first: int = 0,
        steps: int | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        for name, value, least in (("batch_size", batch_size, 1), ("first", first, 0), ("steps", steps, 0)):
            if value is not None and value < least:
                raise SettingError(f"{name} {value} is not possible: at least {least} is wanted")
        if not 0 <= rank < world_size or batch_size < world_size:
            raise SettingError(
                f"rank {rank} of {world_size} and a batch of {batch_size} windows do not go together: a rank below the "
                "number of ranks, and a window for each of them, are wanted"
            )
        self._reader, self.batch_size = reader, batch_size
        self.rank, self.world_size = rank, world_size
        self.num_steps = -(-reader.num_windows // batch_size) if steps is None else steps
        self.first = self.step = self._begin = first

    def samples(self, step: int) -> range:
        """Global sample numbers that this rank reads in a step."""
        return rank_samples(step, self.batch_size, self.rank, self.world_size)

    def __len__(self) -> int:
        """Steps of the run, from step 0 on."""
        return self.num_steps

    def __getitem__(self, step: int) -> Batch:
        """One step; negative numbers count from the end."""
        at = step + self.num_steps if step < 0 else step
        if not 0 <= at < self.num_steps:
            raise IndexError(f"step {step} of {self.num_steps}")
        return self._reader.batch(self.samples(at))

    def __iter__(self) -> Iterator[Batch]:
        """The steps that are left."""
        begin, self._begin = self._begin, self.first
        for following, batch in self.every(1, begin):
            self.step = following
            yield batch

    def every(self, stride: int, first: int) -> Iterator[tuple[int, Batch]]:
        """The steps first, first + stride, ...; with each the next one."""
        steps = range(first, self.num_steps, stride)
        for step, batch in zip(steps, self._reader.stream(map(self.samples, steps)), strict=True):
            yield step + stride, _copied(batch)

    def state_dict(self) -> dict[str, Any]:
        """Where the stream is, for `load_state_dict`."""
        return {"step": self.step, "fingerprint": self._reader.fingerprint}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where another stream of the same windows was.

        Raises:
            SettingError: its windows are others: the mixture, a dataset or a setting of reading changed.
        """
        if state.get("fingerprint") != self._reader.fingerprint:
            raise SettingError(
                "the state is of other windows than these: mixture, datasets, context length, seed and reading "
                "settings must be the same"
            )
        self.step = self._begin = int(state["step"])

    def __repr__(self) -> str:
        part = "" if self.world_size == 1 else f", rank {self.rank} of {self.world_size}"
        return (
            f"<gato_data.Batches of {self.batch_size} windows of {self._reader.context_length} tokens{part}, "
            f"step {self.step:,} of {self.num_steps:,}>"
        )


def _copied(batch: Batch) -> Batch:
    """A batch of its own memory: a stream uses its arrays again."""
    values = {entry.name: getattr(batch, entry.name) for entry in fields(batch)}
    copies: dict[str, Any] = {name: value.copy() for name, value in values.items() if isinstance(value, np.ndarray)}
    return replace(batch, **copies)
