"""Runs that train a part of the parameters, or changes of them, or keep moments in half the memory."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from gato_data.errors import TrainError
from gato_trainer.checkpoints.export import export
from gato_trainer.checkpoints.saving import whole_checkpoint
from gato_trainer.config import TrainSettings
from gato_trainer.run.plan import plan
from gato_trainer.run.train import run
from tests.trainer.synthetic import SyntheticSource

Make = Callable[..., TrainSettings]
FROZEN = ["embedding.*", "blocks.0.*"]


def stored(out: Path) -> dict[str, torch.Tensor]:
    """Every tensor of the newest checkpoint."""
    path, _ = whole_checkpoint(out)
    return {name: tensor for file in path.glob("*.safetensors") for name, tensor in load_file(file).items()}


@pytest.fixture
def base(small_settings: Make, source: SyntheticSource) -> Path:
    settings = small_settings("base", steps=2, learning_rate=1e-2)
    run(settings, source, quiet=True)
    return settings.out


def test_frozen_parameters_stay_to_the_bit_and_have_no_state(
    base: Path, small_settings: Make, source: SyntheticSource, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {"freeze": FROZEN, "init_from": base, "ema": 0.5, "clip": 1.0}
    run(small_settings("whole", **options), source, source)
    before, after = stored(base), stored(small_settings("whole").out)
    frozen = {name for name in before if name.startswith(("model.embedding.", "model.blocks.0."))}
    model = {name for name in after if name.startswith("model.")}
    assert all(torch.equal(before[name], after[name]) for name in frozen)
    assert not any(torch.equal(before[name], after[name]) for name in model - frozen)
    kept = {name.removeprefix("model.") for name in model - frozen}
    assert {name for name in after if name not in model} == {
        f"{kind}.{name}" for kind in ("first_moment", "second_moment", "ema") for name in kept
    }
    exported = load_file(export(small_settings("whole").out, base.parent / "model.safetensors"))
    assert {f"model.{name}" for name in exported} == model
    assert torch.equal(exported["embedding.table"], before["model.embedding.table"])
    assert torch.equal(exported["norm.gain"], after["ema.norm.gain"])
    count = sum(after[name].numel() for name in frozen)
    assert json.loads((small_settings("whole").out / "run.json").read_bytes())["frozen_parameters"] == count
    made = plan(small_settings(freeze=FROZEN), source)
    assert made.frozen_parameters == count
    words = f"({made.parameters - count:,} trained, {count:,} frozen)"
    assert words in capsys.readouterr().err
    assert words in made.lines()[0]
    assert made.memory["state"] == 4 * (4 * made.parameters - 3 * count)


@pytest.mark.parametrize(
    "options", [{"freeze": FROZEN, "ema": 0.5}, {"lora": 2, "ema": 0.5}, {"optimizer_state": "bf16"}]
)
def test_a_resumed_run_ends_with_the_same_bytes(
    options: dict[str, Any], base: Path, small_settings: Make, source: SyntheticSource
) -> None:
    options = {**options, "steps": 4, "init_from": base}
    run(small_settings("whole", **options), source, quiet=True)
    run(small_settings("parts", **options, stop_step=2), source, quiet=True)
    run(small_settings("parts", **options, resume="yes"), source, quiet=True)
    one, other = (stored(small_settings(name).out) for name in ("whole", "parts"))
    assert one.keys() == other.keys()
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_another_choice_of_what_is_trained_is_another_run(
    base: Path, small_settings: Make, source: SyntheticSource
) -> None:
    options = {"steps": 2, "init_from": base}
    run(small_settings("run", **options, lora=2), source, quiet=True)
    for other, message in (
        ({}, "--lora was 2, now 0"),
        ({"lora": 3}, "--lora was 2, now 3"),
        ({"lora": 2, "lora_alpha": 4.0}, "--lora-alpha was None, now 4.0"),
        ({"lora": 2, "lora_on": ["*.qkv"]}, r"--lora-on was \[\], now \['\*.qkv'\]"),
        ({"freeze": ["norm.*"]}, r"--freeze was \[\], now \['norm.\*'\]; --lora was 2, now 0"),
        ({"lora": 2, "optimizer_state": "bf16"}, "--optimizer-state was fp32, now bf16"),
    ):
        with pytest.raises(TrainError, match=f"of another run and cannot be continued: .*{message}"):
            run(small_settings("run", **options, **other, resume="yes"), source, quiet=True)


def test_changes_are_merged_where_a_model_leaves_its_run(
    base: Path, small_settings: Make, source: SyntheticSource, tmp_path: Path
) -> None:
    """The file is that of an ordinary model: it gives the validation loss that the run had with its changes."""
    options = {"steps": 4, "learning_rate": 1e-2, "init_from": base, "lora": 2, "lora_alpha": 4.0}
    tuned = run(small_settings("tuned", **options), source, source, quiet=True)
    assert tuned.validation is not None
    kept = stored(tuned.out)
    assert all(torch.equal(tensor, kept[name]) for name, tensor in stored(base).items() if name.startswith("model."))
    assert {name.split(".", 1)[0] for name in kept if ".lora_" not in name} == {"model"}
    file = export(tuned.out, tmp_path / "model.safetensors")
    assert load_file(file).keys() == {
        name.removeprefix("model.") for name in kept if name.startswith("model.") and ".lora_" not in name
    }
    for start in (file, tuned.out):
        settings = small_settings(f"from-{start.name}", steps=1, init_from=start, learning_rate=1e-12)
        again = run(dataclasses.replace(settings, warmup_from=0.0), source, source, quiet=True)
        assert again.validation is not None
        assert again.validation["loss"] == pytest.approx(tuned.validation["loss"], rel=1e-6)


def test_moments_in_bf16_train_as_well(small_settings: Make, source: SyntheticSource) -> None:
    options = {"steps": 25, "learning_rate": 3e-3, "batch_size": 4}
    exact = run(small_settings("fp32", **options), source, quiet=True).losses
    half = run(small_settings("bf16", **options, optimizer_state="bf16"), source, quiet=True).losses
    assert exact[-1][1] < exact[0][1] - 0.5
    assert [loss for _, loss in half] == pytest.approx([loss for _, loss in exact], rel=2e-3)
    whole, less = (plan(small_settings(optimizer_state=state), source) for state in ("fp32", "bf16"))
    assert whole.memory["state"] - less.memory["state"] == 4 * whole.parameters
