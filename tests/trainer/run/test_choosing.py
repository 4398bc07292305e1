import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gato_data.errors import SettingError
from gato_trainer.cards import CARDS, PlannedMachine, card_named
from gato_trainer.config import TrainSettings
from gato_trainer.kernels import FUSED
from gato_trainer.presets import train_settings
from gato_trainer.run import machine as machines
from gato_trainer.run.choosing import Choice, choose, definite
from gato_trainer.run.machine import Machine, machine_here, machine_planned
from gato_trainer.run.plan import Work, plan
from gato_trainer.world import World
from tests.trainer.synthetic import SyntheticSource

PARAMETERS = {"79m": 78_000_000, "364m": 364_000_000, "1.2b": 1_177_000_000}
CPU = Machine(device=torch.device("cpu"), name="cpu", processes=1, memory=None, has_bf16=False)


def work_of(windows: int) -> Work:
    return Work(windows=windows, length=1024, rows=51 * windows, patches=930 * windows, distinct_patches=160 * windows)


def chosen(model: str, machine: Machine, **options: Any) -> Choice:
    settings = definite(train_settings(model, Path("run"), **options), machine)
    fused = set(FUSED) if machine.has_bf16 and settings.kernels != "reference" else set()
    return choose(settings, settings.model, (PARAMETERS[model], 0), machine, fused, work_of)


def on(card: str, count: int = 1) -> Machine:
    return machine_planned(PlannedMachine(gpu=card, gpus=count))


def micro(choice: Choice) -> tuple[int | None, str]:
    assert choice.fits
    return choice.settings.micro_batch_size, choice.settings.activation_checkpointing


@pytest.mark.parametrize(
    ("model", "machine", "options", "windows"),
    [
        ("79m", on("H200"), {}, 512),
        ("79m", on("H200"), {"batch_size": 100}, 100),
        ("79m", on("RTX 4090"), {}, 64),
        ("79m", on("H100"), {"kernels": "reference"}, 64),
        ("364m", on("A100-40"), {}, 32),
        ("1.2b", on("H200"), {}, 64),
        ("1.2b", on("H100", count=8), {}, 32),
        ("1.2b", on("A100-40"), {}, 8),
    ],
)
def test_as_many_windows_as_fit(model: str, machine: Machine, options: dict[str, Any], windows: int) -> None:
    assert micro(chosen(model, machine, **options)) == (windows, "off")


def test_activations_are_computed_twice_where_few_windows_fit() -> None:
    small = {"optimizer_state": "bf16"}
    assert micro(chosen("1.2b", on("RTX 4090"), **small)) == (16, "on")
    assert micro(chosen("1.2b", on("RTX 4090"), **small, activation_checkpointing="off")) == (2, "off")
    assert not chosen("1.2b", on("RTX 4090")).fits
    assert micro(chosen("79m", on("H200"), activation_checkpointing="on")) == (512, "on")


def test_what_is_given_stays() -> None:
    assert micro(chosen("79m", on("H200"), micro_batch_size=3)) == (3, "off")
    assert micro(chosen("79m", on("RTX 4090"), micro_batch_size=256)) == (256, "on")
    assert chosen("79m", on("RTX 4090"), precision="fp32", compile=False).settings.precision == "fp32"


def test_what_does_not_fit_is_said() -> None:
    tight = machine_planned(PlannedMachine(gpu_memory=16))
    choice = chosen("1.2b", tight)
    assert not choice.fits
    assert (choice.settings.micro_batch_size, choice.settings.activation_checkpointing) == (1, "on")
    assert "of 14.5 GiB, which may not fit; kernels: fused" in choice.line("kernels: fused")


def test_a_cpu_computes_all_at_once() -> None:
    choice = chosen("79m", CPU)
    assert micro(choice) == (512, "off")
    assert choice.line("kernels: reference").startswith(
        "fp32 on cpu, not compiled, 512 windows at once, activations kept"
    )
    assert (choice.settings.precision, choice.settings.compile) == ("fp32", False)
    assert micro(chosen("79m", dataclasses.replace(CPU, processes=3))) == (171, "off")


def test_a_gpu_has_its_defaults() -> None:
    settings = definite(train_settings("79m", Path("run")), on("A100"))
    assert (settings.precision, settings.compile, settings.kernels) == ("bf16", True, "auto")
    old = dataclasses.replace(on("A100"), has_bf16=False)
    assert definite(train_settings("79m", Path("run")), old).precision == "fp32"


@pytest.mark.parametrize(("capability", "has_bf16"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_a_card_gives_the_same_memory_whatever_a_few_bytes_are_used_for(
    capability: tuple[int, int], has_bf16: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    total, free = 80 * 2**30, iter([79 * 2**30, 79.5 * 2**30, 10 * 2**30])
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (int(next(free)), total))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H100 80GB HBM3")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    world = World(0, 1, torch.device("cuda", 0))
    first, second, shared = (machine_here(world) for _ in range(3))
    assert first == second
    assert first.memory == total - machines.RESERVE
    assert first.has_bf16 is has_bf16
    assert shared.memory == 10 * 2**30


def test_cards_by_name() -> None:
    assert card_named("rtx4090") is card_named("NVIDIA GeForce RTX 4090")
    assert card_named("A100-40GB").memory_gib == 40
    assert [card_named(card.name) for card in CARDS] == [*CARDS]
    with pytest.raises(SettingError, match=r"no card named 'V100' is known, but H200, .*--gpu-memory GIB"):
        PlannedMachine(gpu="V100")
    with pytest.raises(SettingError, match="gpus must be at least 1; got 0"):
        PlannedMachine(gpus=0)
    with pytest.raises(SettingError, match="gpu_memory is GiB of a GPU, a number from 1 to 10,000; got nan"):
        PlannedMachine(gpu_memory=float("nan"))


def test_a_plan_for_gpus_that_are_not_here(
    small_settings: Callable[..., TrainSettings], source: SyntheticSource
) -> None:
    settings = small_settings(batch_size=100)
    made = plan(settings, source, planned=PlannedMachine(gpus=8, gpu="H100"))
    assert (made.machine, made.precision, made.micro_batch_size, made.fits) == ("8 x H100", "bf16", 13, True)
    assert made.warnings == []
    assert "bf16 on 8 x H100, compiled, 13 windows at once" in made.lines()[1]
    assert "kernels: fused add_norm, geglu" in made.lines()[1]
    assert plan(settings, source, planned=PlannedMachine(gpus=2)).machine == "2 x H100"
    tight = plan(settings, source, planned=PlannedMachine(gpu_memory=1.5001))
    assert tight.warnings[-1].startswith(
        "this does not fit into the 0.0 GiB that a run may take of each GPU: a smaller"
    )
    assert plan(settings, source).machine == "cpu"
