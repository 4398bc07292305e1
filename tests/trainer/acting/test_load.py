import contextlib
import json
import pickle
import shutil
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from gato_data.errors import GatoError, InputError, TrainError
from gato_schemas.policy import POLICY, decode_card
from gato_trainer.acting import Policy, load_policy
from gato_trainer.acting.policy import HeldOut
from gato_trainer.checkpoints.export import export
from gato_trainer.checkpoints.header import HEADER, encode_header, read_header, seal
from gato_trainer.checkpoints.saving import committed
from gato_trainer.config import TrainSettings
from gato_trainer.run.train import run
from tests.trainer.acting.conftest import CONTEXT, observations
from tests.trainer.synthetic import SyntheticSource


def play(policy: Policy) -> list[Any]:
    policy.reset(task="told", prompt="demonstration", temperature=3)
    return [policy.act(observation) for observation in observations("told", 6)]


def checkpoint_of(run_folder: Path) -> Path:
    return committed(run_folder / "checkpoints")[-1][1]


@pytest.fixture
def copy(played: Path, tmp_path: Path) -> Path:
    """A copy of the run's checkpoint, to be damaged."""
    path = checkpoint_of(played)
    return Path(shutil.copytree(path, tmp_path / path.name))


def test_run_checkpoint_and_export_play_alike_without_their_datasets(played: Path, tmp_path: Path) -> None:
    file = export(played, tmp_path / "policy.safetensors")
    policies = [load_policy(path) for path in (played, str(checkpoint_of(played)), file)]
    wanted = play(policies[0])
    for policy in policies[1:]:
        np.testing.assert_equal(play(policy), wanted)
        assert policy.card == policies[0].card
        assert policy.step == 2
    assert [(task.name, task.dataset) for task in policies[0].tasks] == [("walker", "walker"), ("told", "told")]


def test_what_a_run_logged_of_held_out_actions(played: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(played, tmp_path / "run"))
    log = run / "log.jsonl"
    train = {"kind": "train", "step": 1, "loss": 1.0, "dataset_loss": {}}
    evaluation = {**train, "kind": "validation", "action_accuracy": 0.5, "repeated_actions": 0.75}
    lines = [train, evaluation, {**evaluation, "step": 2, "changed_action_accuracy": 0.25}, {**evaluation, "step": 3}]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    wanted = HeldOut(step=2, action_accuracy=0.5, changed_action_accuracy=0.25, repeated_actions=0.75)
    assert [load_policy(path).held_out for path in (run, checkpoint_of(run))] == [wanted, wanted]
    log.write_text(json.dumps({**evaluation, "action_accuracy": "high"}) + "\nno line\n")
    assert load_policy(run).held_out is None
    assert load_policy(export(run, tmp_path / "policy.safetensors")).held_out is None


def test_averaged_parameters_are_taken_unless_others_are_asked_for(played: Path, tmp_path: Path) -> None:
    averaged, last = load_policy(played), load_policy(played, ema=False)
    exported = load_file(export(played, tmp_path / "e.safetensors"))
    of = {True: averaged._model.state_dict(), False: last._model.state_dict()}
    assert all(torch.equal(of[True][name], value) for name, value in exported.items())
    assert not all(torch.equal(of[False][name], value) for name, value in exported.items())


def test_an_export_has_ordinary_permissions_its_context_and_its_card(played: Path, tmp_path: Path) -> None:
    file = export(played, tmp_path / "e.safetensors")
    (ordinary := tmp_path / "ordinary").touch()
    assert stat.S_IMODE(file.stat().st_mode) == stat.S_IMODE(ordinary.stat().st_mode)
    with safe_open(file, framework="pt") as opened:
        metadata = opened.metadata()
    assert json.loads(metadata["context_length"]) == CONTEXT
    assert decode_card(metadata["policy"].encode(), "") == load_policy(played).card


def test_the_card_says_what_the_run_was_trained_on(played: Path) -> None:
    card = decode_card((played / POLICY).read_bytes(), POLICY)
    assert (checkpoint_of(played) / POLICY).read_bytes() == (played / POLICY).read_bytes()
    assert card.reading["context_length"] == CONTEXT
    assert card.reading["prompt_share"] == 0.25
    assert card.left_out == []
    assert [dataset.name for dataset in card.datasets] == ["walker", "told"]
    assert [len(dataset.demonstrations) for dataset in card.datasets] == [2, 2]
    assert card.text_model is not None


def test_nothing_is_unpickled(played: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = export(played, tmp_path / "e.safetensors")

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("something was unpickled")

    for module, name in ((pickle, "load"), (pickle, "loads"), (pickle, "Unpickler"), (torch, "load")):
        monkeypatch.setattr(module, name, refuse)
    for path in (played, file):
        load_policy(path)


def test_what_is_no_policy_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("hello")
    save_file({"a": torch.zeros(2)}, tmp_path / "other.safetensors")
    for name, words in (
        ("missing", "there is no .*missing: give the folder of a run, a checkpoint, or a file"),
        ("empty", "neither a run nor a checkpoint"),
        ("text", "is no run, checkpoint or exported file"),
        ("other.safetensors", "has no policy.json: .* export it again"),
    ):
        with pytest.raises(InputError, match=words):
            load_policy(tmp_path / name)


def test_a_run_without_a_card_is_told_what_to_do(
    small_settings: Callable[..., TrainSettings], source: SyntheticSource, tmp_path: Path
) -> None:
    settings = small_settings(steps=1)
    run(settings, source, quiet=True)
    with pytest.raises(InputError, match=r"has no policy.json: .* --resume and a few more"):
        load_policy(settings.out)
    with pytest.raises(InputError, match=r"has no policy.json: .* export it again from a run that has it"):
        load_policy(export(settings.out, tmp_path / "e.safetensors"))


def test_a_damaged_card_is_not_read(copy: Path) -> None:
    data = bytearray((copy / POLICY).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / POLICY).write_bytes(data)
    with pytest.raises(TrainError, match=r"policy.json does not match its checksum"):
        load_policy(copy)
    (copy / POLICY).unlink()
    with pytest.raises(TrainError, match=r"policy.json is missing"):
        load_policy(copy)


def resealed(path: Path, **changes: Any) -> None:
    """Write a header that says something else, as somebody could who knows how."""
    header = msgspec.structs.replace(read_header(path), **changes)
    (path / HEADER).write_bytes(seal(encode_header(header)))


def test_a_model_that_is_larger_than_its_file_gets_no_memory(copy: Path) -> None:
    model = replace(read_header(copy).model, width=2**18, heads=2)
    resealed(copy, model=model)
    with pytest.raises(TrainError, match="bytes of parameters, its model has"):
        load_policy(copy)


def test_a_card_of_another_vocabulary_is_refused(copy: Path) -> None:
    resealed(copy, model=replace(read_header(copy).model, vocabulary_size=33_024))
    with pytest.raises(TrainError, match=r"a table for 33,024 ids, its policy.json is for 33,025"):
        load_policy(copy)


def test_damaged_exports_raise_nothing_but_errors_of_ours(played: Path, tmp_path: Path) -> None:
    file = export(played, tmp_path / "e.safetensors")
    whole = file.read_bytes()
    generator = np.random.default_rng(0)
    head = int.from_bytes(whole[:8], "little")
    for _ in range(25):
        data = bytearray(whole)
        data[int(generator.integers(0, head))] ^= 1 << int(generator.integers(8))
        file.write_bytes(data)
        with contextlib.suppress(GatoError):
            load_policy(file)
