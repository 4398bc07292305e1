import dataclasses
import importlib.machinery
import json
import re
import subprocess
import sys
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from click.testing import CliRunner
from torch.utils._python_dispatch import TorchDispatchMode

from gato_cli.main import cli
from gato_data.errors import MissingPackageError, MixtureError
from gato_data.reading.settings import ReadSettings
from gato_schemas.mixture import MixtureRun, encode_mixture
from gato_trainer.__main__ import main
from gato_trainer.config import ModelConfig, TrainSettings
from gato_trainer.data.inputs import Randomness, prepare
from gato_trainer.model.loss import LossTotals
from gato_trainer.model.transformer import Gato
from gato_trainer.run import train
from gato_trainer.run.lines import progress_line
from gato_trainer.run.plot import plot_losses
from gato_trainer.run.progress import Log
from gato_trainer.run.stopping import StopSignal
from gato_trainer.run.train import run
from tests.schemas.test_mixture import MIXTURE
from tests.trainer.synthetic import SyntheticSource

Make = Callable[..., TrainSettings]


def gato_data_main(arguments: list[str]) -> int:
    """The other command line."""
    return CliRunner().invoke(cli, arguments).exit_code


@pytest.fixture
def synthetic(monkeypatch: pytest.MonkeyPatch) -> None:
    def open_sources(mixture: Path, context_length: int, seed: int, **_: object) -> tuple[SyntheticSource, None]:
        if not mixture.exists():
            raise MixtureError(f"no mixture {mixture}")
        return SyntheticSource(context_length=context_length, vocabulary_size=1200), None

    monkeypatch.setattr(train, "open_sources", open_sources)


def arguments(out: Path, *more: str) -> list[str]:
    mixture = out.parent / "mixture.json"
    mixture.write_bytes(encode_mixture(MIXTURE))
    sizes = ["--steps", "2", "--batch-size", "2", "--context-length", "24", "--device", "cpu"]
    return ["train", "--mixture", str(mixture), "--out", str(out), *sizes, *more]


@pytest.mark.usefixtures("synthetic")
def test_train_plan_resume_and_export(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    assert main(arguments(out, "--dry-run", "--json")) == 0
    planned = json.loads(capsys.readouterr().out)
    assert not out.exists()
    monkeypatch.setenv("RANK", "1")
    assert main(arguments(out, "--dry-run")) == 0
    assert capsys.readouterr().out == ""
    monkeypatch.delenv("RANK")
    assert main(arguments(out, "--stop-step", "1", "--json", "--resume", "auto")) == 0
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert (result["step"], result["parameters"]) == (1, planned["parameters"])
    assert "step 1/2 | loss " in captured.err
    assert main(arguments(out)) == 1
    assert "holds a run already; continue it with --resume" in capsys.readouterr().err
    assert main(arguments(out, "--resume")) == 0
    assert re.fullmatch(rf"{re.escape(str(out))}: step 2, loss 7\.\d+ -> 7\.\d+\n", capsys.readouterr().out)
    assert main(["export", str(out), "--out", str(tmp_path / "model.safetensors")]) == 0
    assert (tmp_path / "model.safetensors").stat().st_size > 4 * planned["parameters"]


@pytest.mark.usefixtures("synthetic")
@pytest.mark.parametrize(("received", "code"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_what_waits_for_the_whole_run_sees_that_it_was_stopped(
    received: str, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    monkeypatch.setattr(StopSignal, "__enter__", lambda self: self.__dict__.update(received=received) or self)
    assert main(arguments(out)) == code
    assert capsys.readouterr().out.endswith(f"stopped by {received}: the same command with --resume continues\n")
    monkeypatch.setattr(train, "train", interrupted)
    assert main(arguments(out)) == 130
    assert capsys.readouterr().err.endswith("Interrupted.\n")


def interrupted(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.usefixtures("synthetic")
def test_what_is_not_given_is_of_the_mixture_and_then_of_the_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mixture = tmp_path / "mixture.json"
    planned = MixtureRun(steps=3, context_length=24)
    mixture.write_bytes(encode_mixture(msgspec.structs.replace(MIXTURE, run=planned)))
    command = ["train", "--mixture", str(mixture), "--out", str(tmp_path / "run"), "--device", "cpu"]

    def run_of(*more: str) -> str:
        assert main([*command, "--dry-run", "--json", *more]) == 0
        return str(json.loads(capsys.readouterr().out)["run"])

    assert run_of() == "3 steps (the mixture), 8 windows a step (--model tiny), 24 tokens a window (the mixture)"
    assert run_of("--steps", "4", "--batch-size", "2", "--fine-tune") == (
        "4 steps (given), 2 windows a step (given), 24 tokens a window (the mixture)"
    )
    said = MixtureRun(steps=3, window="token", pack=True)
    mixture.write_bytes(encode_mixture(msgspec.structs.replace(MIXTURE, run=said)))
    assert run_of("--context-length", "24").endswith(", window token (the mixture), pack yes (the mixture)")
    assert run_of("--context-length", "24", "--no-pack").endswith(", window token (the mixture), pack no (given)")
    mixture.write_bytes(encode_mixture(msgspec.structs.replace(MIXTURE, run=planned)))
    assert run_of("--fine-tune").startswith("10,000 steps (--fine-tune), 64 windows a step (--fine-tune)")
    mixture.write_bytes(encode_mixture(MIXTURE))
    assert run_of("--context-length", "24") == (
        "200 steps (--model tiny), 8 windows a step (--model tiny), 24 tokens a window (given)"
    )
    assert main([*command, "--steps", "1", "--batch-size", "2", "--context-length", "24"]) == 0
    log = capsys.readouterr().err
    assert "1 step (given), 2 windows a step (given), 24 tokens a window (given)" in log


@pytest.mark.parametrize("door", [main, gato_data_main], ids=["gato_trainer", "gato-data"])
@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ((), ("token", True)),
        (("--no-pack",), ("token", False)),
        (("--window", "timestep"), ("timestep", True)),
    ],
)
def test_windows_are_drawn_as_the_mixture_says(
    door: Callable[[list[str]], int],
    more: Sequence[str],
    wanted: tuple[str, bool],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[ReadSettings] = []

    def open_sources(_: Path, context_length: int, seed: int, each: int, **more: Any) -> tuple[SyntheticSource, None]:
        read.append(ReadSettings(context_length=context_length, seed=seed, **more))
        return SyntheticSource(context_length=context_length, vocabulary_size=1200), None

    monkeypatch.setattr(train, "open_sources", open_sources)
    command = arguments(tmp_path / "run", "--dry-run")
    said = msgspec.structs.replace(MIXTURE, run=MixtureRun(window="token", pack=True))
    (tmp_path / "mixture.json").write_bytes(encode_mixture(said))
    assert door([*command, *more]) == 0
    assert [(each.window, each.pack) for each in read] == [wanted]


@pytest.mark.usefixtures("synthetic")
def test_a_plan_is_made_for_gpus_that_are_not_here(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    gpus = ["--gpus", "2", "--gpu", "rtx4090"]
    assert main(arguments(out, "--dry-run", "--json", *gpus)) == 0
    planned = json.loads(capsys.readouterr().out)
    assert (planned["machine"], planned["precision"], planned["fits"]) == ("2 x RTX 4090", "bf16", True)
    assert main(arguments(out, *gpus)) == 1
    assert "--gpus, --gpu and --gpu-memory are for plans: add --dry-run" in capsys.readouterr().err
    assert main(arguments(out, "--dry-run", "--gpu", "Voodoo 2")) == 1
    assert "no card named 'Voodoo 2' is known, but H200, " in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.usefixtures("synthetic")
def test_what_is_chosen_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments(tmp_path / "run")) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "windows at once" in line]
    assert len(lines) == 1
    assert re.fullmatch(
        r"fp32 on cpu, not compiled, 2 windows at once, activations kept, about 0\.\d\d GiB; kernels: reference, "
        r"because the device is cpu, and the fused kernels need a CUDA GPU",
        lines[0],
    )


@pytest.mark.usefixtures("synthetic")
def test_a_model_has_the_shape_that_was_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shape = {"width": 48, "blocks": 2, "heads": 3, "feed_forward": 96}
    given = [text for name, size in shape.items() for text in (f"--{name.replace('_', '-')}", str(size))]
    assert main(arguments(tmp_path / "run", *given)) == 0
    model = json.loads((tmp_path / "run" / "run.json").read_text())["model"]
    assert {name: model[name] for name in shape} == shape
    assert main(arguments(tmp_path / "run", "--resume")) == 1
    assert "--width was 48, now 128; --blocks was 2, now 3; --heads was 3, now 4" in capsys.readouterr().err
    for wrong, message in (
        (["--width", "50"], "width 50 does not divide into 4 heads of an even size"),
        (["--blocks", "0"], "a model with blocks 0 is not possible: 1 to 1,024 is wanted"),
    ):
        assert main(arguments(tmp_path / "other", *wrong)) == 1
        assert capsys.readouterr().err == f"Error: {message}\n"


@pytest.mark.usefixtures("synthetic")
def test_what_is_frozen_is_named_once_for_each_glob(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments(tmp_path / "run", "--dry-run", "--freeze", "embedding.*", "--freeze", "blocks.0.*")) == 0
    assert re.search(r"parameters \([\d,]+ trained, [\d,]+ frozen\)", capsys.readouterr().out)
    for wrong, message in (
        (["--freeze", "table"], "--freeze table fits no parameter of the model: there are *.table, "),
        (["--lora", "2"], "--lora changes a trained model: give the one to start from with --init-from"),
        (["--lora", "-1"], "lora must be a finite number of at least 0; got -1"),
        (["--replicas", "2"], "--replicas 2 does not divide 1 process: give 1"),
    ):
        assert main(arguments(tmp_path / "run", "--dry-run", *wrong)) == 1
        assert capsys.readouterr().err.startswith(f"Error: {message}")


@pytest.mark.usefixtures("synthetic")
def test_errors_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--mixture", str(tmp_path / "none.json"), "--out", str(tmp_path / "run")]) == 1
    assert capsys.readouterr().err.startswith("Error: there is no mixture file")
    assert main(arguments(tmp_path / "run", "--learning-rate", "0")) == 1
    assert capsys.readouterr().err == "Error: learning_rate must be a finite number above 0; got 0.0\n"
    for option in ("--learning-rate", "--clip", "--weight-decay"):
        assert main(arguments(tmp_path / "run", option, "nan")) == 1
        assert "must be a finite number" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["train", "--model", "7b"])


class NoWaiting(TorchDispatchMode):
    """Fails at every operation that makes the host wait for a device."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        waiting = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "is_nonzero", "equal")
        assert not any(name in func.name() for name in waiting), f"{func.name()} waits for the device"
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("positions", ["transformer-xl", "rope"])
def test_a_step_never_waits_for_the_device(
    positions: str, small: ModelConfig, build: Callable[..., Gato], source: SyntheticSource
) -> None:
    from dataclasses import replace

    model = build(replace(small, positions=positions, dropout=0.1))
    inputs = prepare(source.batch(range(4)), model.config, Randomness(0, 0))
    totals = LossTotals.zeros(source.dataset_names, torch.device("cpu"))
    with NoWaiting():
        row_loss, correct = model(inputs)
        row_loss.sum().backward()
        totals.add(inputs.targets, row_loss, correct)
    with pytest.raises(AssertionError, match="waits"), NoWaiting():
        row_loss.sum().item()


@pytest.mark.parametrize(("name", "value"), [("tensorboard", True), ("wandb", "gato")])
def test_other_places_for_curves_are_optional(
    small_settings: Make, source: SyntheticSource, monkeypatch: pytest.MonkeyPatch, name: str, value: object
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    settings = small_settings(**{name: value})
    with pytest.raises(MissingPackageError, match=f"pip install {name}"):
        run(settings, source, quiet=True)
    assert not settings.out.exists()


def test_curves_go_to_one_run_of_weights_and_biases(
    small_settings: Make, source: SyntheticSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[dict[str, Any]] = []
    points: list[tuple[dict[str, float], int]] = []

    class Run:
        def log(self, values: dict[str, float], step: int) -> None:
            points.append((values, step))

        def finish(self) -> None:
            points.append(({}, -1))

    def init(**options: Any) -> Run:
        begun.append(options)
        return Run()

    package = types.ModuleType("wandb")
    package.init = init  # type: ignore[attr-defined]
    package.__spec__ = importlib.machinery.ModuleSpec("wandb", None)
    monkeypatch.setitem(sys.modules, "wandb", package)
    settings = small_settings(wandb="gato", stop_step=3)
    run(settings, source, quiet=True)
    run(dataclasses.replace(settings, resume="yes", stop_step=None), source, quiet=True)
    assert [options["project"] for options in begun] == ["gato", "gato"]
    assert begun[0]["id"] == begun[1]["id"]
    assert begun[0]["config"]["steps"] == settings.steps
    names = {name for values, _ in points for name in values}
    assert {"train/loss", "train/dataset_loss/control", "train/modality_loss/text"} <= names
    assert points[-1] == ({}, -1)


def test_both_command_lines_have_the_same_options() -> None:
    from gato_cli.commands.train import command

    def flags(text: str) -> set[str]:
        return set(re.findall(r"--[a-z0-9-]+", text))

    shown = subprocess.run(
        [sys.executable, "-m", "gato_trainer", "train", "--help"], check=True, capture_output=True, text=True
    )
    ours = {flag for option in command.params for flag in (*option.opts, *option.secondary_opts) if flag != "-h"}
    assert flags(shown.stdout) - {"--help"} == ours


def test_scalars_go_to_other_places_too(tmp_path: Path) -> None:
    points: list[tuple[str, float, int]] = []

    class Writer:
        def add_scalar(self, tag: str, value: float, step: int) -> None:
            points.append((tag, value, step))

        def close(self) -> None:
            points.append(("closed", 0.0, 0))

    log = Log(tmp_path, curves=[Writer()], first=True, quiet=True)
    log.write("train", {"step": 3, "loss": 1.5, "dataset_loss": {"pong": 2.5}}, "line")
    log.close()
    assert points == [("train/loss", 1.5, 3), ("train/dataset_loss/pong", 2.5, 3), ("closed", 0.0, 0)]


def test_the_progress_line_says_what_is_unknown() -> None:
    record = {
        "step": 1,
        "loss": None,
        "dataset_loss": {"pong": 1.25, "text": 3.5},
        "modality_loss": {"text": 3.5, "discrete": 1.25},
        "action_accuracy": None,
        "repeated_actions": None,
        "gradient_norm": 0.5,
        "largest_gradient_norm": 1.25,
        "windows_left_out": 0,
        "learning_rate": 1e-7,
        "tokens_per_second": 12345.6,
        "supervised_tokens_per_second": 78.9,
        "mfu": None,
        "data_wait": 0.004,
        "memory_bytes": 2**30,
    }
    line = progress_line(record, 50)
    assert line == (
        "step 1/50 | loss n/a (pong 1.250, text 3.500; text 3.500, discrete 1.250) | action accuracy n/a | "
        "gradient norm 0.500, largest 1.250 | lr 1.00e-07 | 12,346 tokens/s, 79 supervised | MFU n/a | "
        "data wait 0.4 % | 1.00 GiB"
    )
    shares = {"action_accuracy": 0.98, "changed_action_accuracy": 0.43, "repeated_actions": 0.86}
    said = "action accuracy 98.0 % (43.0 % where it changes, repeating 86.0 %) | gradient"
    assert said in progress_line({**record, **shares}, 50)
    without = progress_line({**record, "dataset_loss": {}, "modality_loss": {}}, 50)
    assert without.startswith("step 1/50 | loss n/a | action accuracy n/a")


def test_no_points_no_curve(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text("")
    assert plot_losses(tmp_path) is None
    assert list(tmp_path.iterdir()) == [tmp_path / "log.jsonl"]


def test_presets_are_known_without_torch() -> None:
    code = "import sys, gato_trainer.presets; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
