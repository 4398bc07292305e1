"""A run of changes of low rank, whose datasets and base are gone: what it leaves behind is an ordinary model."""

import shutil
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from gato_data.errors import TrainError
from gato_trainer.acting import Policy, load_policy
from gato_trainer.checkpoints.export import export
from gato_trainer.checkpoints.parameters import load_parameters
from gato_trainer.checkpoints.saving import whole_checkpoint
from gato_trainer.model.lora import DOWN, UP, changed
from gato_trainer.world import World
from tests.gato_data.reading import folders
from tests.trainer.acting.conftest import observations, train_run, write_mixture

ALONE = World(0, 1, torch.device("cpu"))


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tuned")
    mixture = write_mixture(folder / "data", told=folders.episodes("told", [5, 7], seed=2))
    base = train_run(mixture, folder / "base", learning_rate=1e-2)
    # Steps this large let the changes decide what is played.
    options = {"lora": 4, "lora_alpha": 8.0, "learning_rate": 0.1, "warmup_steps": 0, "ema": 0.5}
    run = train_run(mixture, folder / "run", init_from=base, **options)
    shutil.rmtree(folder / "data")
    shutil.rmtree(base)
    return run


def play(policy: Policy) -> list[Any]:
    policy.reset(task="told", prompt="demonstration", temperature=3)
    return [policy.act(observation) for observation in observations("told", 6)]


def test_a_changed_model_plays_without_its_datasets_and_base(tuned: Path, tmp_path: Path) -> None:
    path, _ = whole_checkpoint(tuned)
    policies = [load_policy(given) for given in (tuned, path, export(tuned, tmp_path / "model.safetensors"))]
    wanted = play(policies[0])
    for policy in policies[1:]:
        np.testing.assert_equal(play(policy), wanted)
    averaged, last = (policy._model.state_dict() for policy in (policies[0], load_policy(tuned, ema=False)))
    assert torch.equal(averaged["embedding.table"], last["embedding.table"])
    assert not torch.equal(averaged["blocks.0.attention.qkv"], last["blocks.0.attention.qkv"])


def test_changes_are_merged_with_the_scale_of_their_run(tuned: Path) -> None:
    path, header = whole_checkpoint(tuned)
    tensors = {name: tensor for file in path.glob("*.safetensors") for name, tensor in load_file(file).items()}
    name = "blocks.1.feed_forward.down"
    base, up, down = (tensors[f"model.{name}{part}"] for part in ("", UP, DOWN))
    merged = torch.empty(base.shape)
    load_parameters(path, header, {name: merged}, ALONE)
    assert torch.equal(merged, changed(base, up, down, 2.0))
    assert not torch.equal(merged, base)


@pytest.mark.parametrize(
    ("shape", "alpha", "message"),
    [
        ((30, 32), 8.0, r"has a change of blocks.0.attention.output \(30, 32\) in parts \(32, 4\) and \(4, 32\)"),
        ((32, 32), "much", "says lora_alpha 'much', which is no number: it is damaged"),
    ],
)
def test_what_is_no_change_is_damage(shape: tuple[int, int], alpha: object, message: str, tuned: Path) -> None:
    path, header = whole_checkpoint(tuned)
    header = msgspec.structs.replace(header, settings={**header.settings, "lora_alpha": alpha})
    with pytest.raises(TrainError, match=message):
        load_parameters(path, header, {"blocks.0.attention.output": torch.empty(shape)}, ALONE)
