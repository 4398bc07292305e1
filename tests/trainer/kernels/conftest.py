"""What the tests of the kernels share; without a GPU they run in Triton's interpreter (tests/conftest.py)."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from gato_trainer.config import ModelConfig
from gato_trainer.kernels import Shapes


@pytest.fixture
def device() -> torch.device:
    """A GPU, or the CPU with Triton's interpreter."""
    pytest.importorskip("triton", reason="Triton is not installed")
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.fixture
def poisoned() -> Iterator[None]:
    """New tensors begin as NaN, so a value that no kernel wrote cannot pass."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    assert torch.empty(4).isnan().all()
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture(autouse=True)
def bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The interpreter does not see accesses beyond a tensor's end; this makes them fail."""
    if torch.cuda.is_available():
        return  # compute-sanitizer does this there
    pytest.importorskip("triton", reason="Triton is not installed")
    from triton.runtime import interpreter

    ranges: list[tuple[int, int]] = []
    arguments = interpreter.GridExecutor._init_args_hst
    load = interpreter.InterpreterBuilder.create_masked_load
    store = interpreter.InterpreterBuilder.create_masked_store

    def remember(self: Any, given: Any, named: Any) -> Any:
        made = arguments(self, given, named)
        ranges.clear()
        for tensor in (*made[0], *made[1].values()):
            if isinstance(tensor, torch.Tensor) and tensor.numel():
                last = sum((size - 1) * step for size, step in zip(tensor.shape, tensor.stride(), strict=True))
                ranges.append((tensor.data_ptr(), tensor.data_ptr() + (last + 1) * tensor.element_size()))
        return made

    def check(pointers: Any, mask: Any) -> None:
        addresses = pointers.data[np.broadcast_to(mask.data, pointers.data.shape)].astype(np.int64)
        size = max(pointers.get_element_ty().primitive_bitwidth // 8, 1)
        inside = np.zeros(addresses.shape, dtype=bool)
        for low, high in ranges:
            inside |= (addresses >= low) & (addresses + size <= high)
        assert inside.all(), "access outside every tensor"

    def checked_load(self: Any, pointers: Any, mask: Any, *rest: Any) -> Any:
        check(pointers, mask)
        return load(self, pointers, mask, *rest)

    def checked_store(self: Any, pointers: Any, value: Any, mask: Any, *rest: Any) -> Any:
        check(pointers, mask)
        return store(self, pointers, value, mask, *rest)

    monkeypatch.setattr(interpreter.GridExecutor, "_init_args_hst", remember)
    monkeypatch.setattr(interpreter.InterpreterBuilder, "create_masked_load", checked_load)
    monkeypatch.setattr(interpreter.InterpreterBuilder, "create_masked_store", checked_store)


@pytest.fixture
def shapes(device: torch.device) -> Callable[..., Shapes]:
    def make(
        width: int = 48, feed_forward: int = 96, length: int = 7, windows: int = 2, dtype: torch.dtype = torch.float32
    ) -> Shapes:
        config = ModelConfig(
            width=width, blocks=2, heads=1, feed_forward=feed_forward, vocabulary_size=61, local_positions=9,
            patch_channels=32,
        )  # fmt: skip
        return Shapes(model=config, windows=windows, length=length, dtype=dtype, device=device)

    return make
