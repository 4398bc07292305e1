import dataclasses
import sys
from collections.abc import Callable

import pytest
import torch

from gato_data.errors import TrainError
from gato_trainer import kernels
from gato_trainer.kernels import FUSED, REFERENCE, Shapes, operations
from gato_trainer.kernels.self_test import self_test


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the machine could run everything: --kernels auto then takes the interpreter too."""
    monkeypatch.setattr(kernels, "_why_not_here", lambda device, interpreter: None)


def test_the_reference(shapes: Callable[..., Shapes]) -> None:
    assert operations("reference", shapes()) is REFERENCE


def test_every_operation_is_known() -> None:
    fields = {field.name for field in dataclasses.fields(kernels.Operations)}
    assert set(FUSED) <= fields


def test_all_fused(shapes: Callable[..., Shapes]) -> None:
    chosen = operations("fused", shapes(width=32))
    assert chosen.name == "fused"
    assert chosen.geglu is not REFERENCE.geglu
    assert chosen.linear is REFERENCE.linear
    assert "geglu" in chosen.summary


def on(device: str, shapes: Callable[..., Shapes]) -> Shapes:
    return dataclasses.replace(shapes(), device=torch.device(device))


def test_auto_on_a_cpu_is_the_reference(shapes: Callable[..., Shapes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "triton", None)  # it is not even imported
    chosen = operations("auto", on("cpu", shapes))
    assert chosen.name == "reference"
    assert chosen.summary == "kernels: reference, because the device is cpu, and the fused kernels need a CUDA GPU"
    assert chosen.geglu is REFERENCE.geglu
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(TrainError, match="--kernels fused is not available: the device is cpu"):
        operations("fused", on("cpu", shapes))


def test_without_triton(shapes: Callable[..., Shapes], monkeypatch: pytest.MonkeyPatch) -> None:
    given = on("cuda", shapes)
    monkeypatch.setitem(sys.modules, "triton", None)
    assert "Triton cannot be imported" in operations("auto", given).summary
    with pytest.raises(TrainError, match="Triton cannot be imported"):
        operations("fused", given)


def test_another_triton(shapes: Callable[..., Shapes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triton.__version__", "2.1.0")
    chosen = operations("auto", on("cuda", shapes))
    assert chosen.summary.endswith("this is Triton 2.1.0, the kernels were tested with 3.6 and 3.7")
    assert chosen.geglu is REFERENCE.geglu


def test_the_interpreter_is_no_gpu(shapes: Callable[..., Shapes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert "TRITON_INTERPRET is set" in operations("auto", on("cuda", shapes)).summary


def test_an_old_card(shapes: Callable[..., Shapes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla T4")
    chosen = operations("auto", on("cuda", shapes))
    assert chosen.name == "reference"
    assert "Tesla T4 has compute capability 7.5, and the fused kernels need 8.0" in chosen.summary


@pytest.mark.usefixtures("here")
def test_an_operation_that_does_not_take_the_shapes_falls_back_alone(
    shapes: Callable[..., Shapes], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = shapes()  # imports come first
    monkeypatch.setattr("gato_trainer.kernels.fused_norm.WIDEST", 32)
    chosen = operations("auto", given)
    assert chosen.name == "mixed"
    assert chosen.add_norm is REFERENCE.add_norm
    assert chosen.geglu is not REFERENCE.geglu
    assert "reference for the rest, because add_norm: it takes widths up to 32, not 48" in chosen.summary
    with pytest.raises(TrainError, match="add_norm: it takes widths up to 32, not 48"):
        operations("fused", given)


@pytest.mark.usefixtures("here")
def test_an_operation_that_fails_its_test_falls_back_alone(
    shapes: Callable[..., Shapes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gato_trainer.kernels.fused_geglu.geglu", lambda x, bias: REFERENCE.geglu(x, bias) * 1.001)
    chosen = operations("auto", shapes())
    assert chosen.geglu is REFERENCE.geglu
    assert chosen.embed is not REFERENCE.embed
    assert "geglu: it failed its test on this machine (result 0 is off by 1.0e-03" in chosen.summary


def test_what_the_self_test_finds(shapes: Callable[..., Shapes]) -> None:
    def wrong_gradient(x: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        return REFERENCE.geglu(x, bias.detach() + 0 * bias)

    def not_written(x: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        return REFERENCE.geglu(x, bias) * float("nan")

    def other_dtype(x: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        return REFERENCE.geglu(x, bias).double()

    def broken(x: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("out of resources\nand a long dump")

    def verdict(operation: Callable[..., torch.Tensor]) -> str | None:
        return self_test("geglu", operation, REFERENCE.geglu, shapes())

    assert verdict(REFERENCE.geglu) is None
    assert "gradient 1 is off by 1.0e+00" in str(verdict(wrong_gradient))
    assert "result 0 is off by nan" in str(verdict(not_written))
    assert "result 0 is torch.float64" in str(verdict(other_dtype))
    assert str(verdict(broken)).endswith("(RuntimeError: out of resources)")


def test_the_self_test_leaves_the_runs_random_numbers_alone(shapes: Callable[..., Shapes]) -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    assert self_test("geglu", REFERENCE.geglu, REFERENCE.geglu, shapes()) is None
    assert torch.equal(torch.rand(2), expected)
