"""Copies beside the computation, with a GPU that only notes what it is told."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from gato_trainer.config import ModelConfig
from gato_trainer.data import copying
from gato_trainer.data.inputs import Inputs, prepare
from tests.trainer.synthetic import SyntheticSource


class Stream:
    """One of a GPU's."""

    def __init__(self, name: str, told: list[str]) -> None:
        self.name, self.told = name, told

    def record_event(self) -> str:
        self.told.append(f"{self.name} records")
        return self.name

    def wait_event(self, event: str) -> None:
        self.told.append(f"{self.name} waits for {event}")


def test_a_copy_is_waited_for_on_its_own_stream(
    small: ModelConfig, source: SyntheticSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    copies, computation = Stream("copies", told), Stream("computation", told)

    @contextmanager
    def entered(stream: Stream) -> Iterator[None]:
        told.append(f"on {stream.name}")
        yield
        told.append("left")

    def to(self: Inputs, device: Any) -> Inputs:
        told.append("copied")
        return self

    monkeypatch.setattr(copying, "_stream", lambda device: copies)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: computation)
    monkeypatch.setattr(torch.cuda, "stream", entered)
    monkeypatch.setattr(Inputs, "to", to)
    used: list[Any] = []
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda self, stream: used.append((self, stream)))
    inputs = prepare(source.batch(range(2)), small, None)
    copying.on_device(inputs, torch.device("cuda"))
    assert told == ["on copies", "copied", "left", "copies records", "computation waits for copies"]
    assert len(used) == len(inputs.tensors())
    assert {stream.name for _, stream in used} == {"computation"}
    told.clear()
    copying.on_device(inputs, torch.device("cpu"))
    assert told == ["copied"]
