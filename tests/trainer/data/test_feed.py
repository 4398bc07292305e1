from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, fields

import numpy as np
import pytest
import torch

from gato_data.errors import MixtureError
from gato_data.reading.batch import Batch
from gato_trainer.config import TrainSettings
from gato_trainer.data import feed
from gato_trainer.data.batches import check_identity, identity, passes
from gato_trainer.data.inputs import Inputs
from gato_trainer.run.train import run
from gato_trainer.world import World
from tests.trainer.synthetic import SyntheticSource

Make = Callable[..., TrainSettings]


def test_a_stream_may_use_its_buffers_again(small_settings: Make, source: SyntheticSource) -> None:
    @dataclass(frozen=True)
    class Streaming(SyntheticSource):
        """Overwrites the arrays of a batch when the next one is asked for, as the reader does."""

        def stream(self, ranges: Iterable[range]) -> Iterator[Batch]:
            for samples in ranges:
                batch = self.batch(samples)
                yield batch
                for field in fields(batch):
                    array = getattr(batch, field.name)
                    if isinstance(array, np.ndarray):
                        array[...] = 7

    expected = run(small_settings("single"), source, quiet=True)
    streamed = run(small_settings("stream", micro_batch_size=2), Streaming(**asdict(source)), quiet=True)
    assert [loss for _, loss in streamed.losses] == pytest.approx([loss for _, loss in expected.losses], rel=1e-5)


@pytest.mark.parametrize(("kind", "pinned"), [("cpu", 0), ("cuda", 6)])
def test_a_gpu_takes_its_batches_from_pinned_memory(
    kind: str, pinned: int, small_settings: Make, source: SyntheticSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Inputs] = []
    monkeypatch.setattr(feed, "_use", lambda device: None)  # this machine may have no GPU
    monkeypatch.setattr(Inputs, "pinned", lambda self: made.append(self) or self)
    settings = small_settings(micro_batch_size=2)
    world = World(0, 1, torch.device(kind))
    with feed.Feed(source, settings, settings.model, world, 0, 3) as reader:
        taken = [inputs for _ in range(3) for inputs in reader.next()]
    assert len(taken) == 6
    assert len(made) == pinned


def test_a_source_that_cannot_tell(source: SyntheticSource) -> None:
    assert identity(source, 5) == {}
    assert passes(source, 100) == {}
    with pytest.raises(MixtureError, match="weights"):
        check_identity({"weights": "[1]"}, source, 5)
    assert next(source.stream([range(2)])).tokens.shape == (2, 25)
