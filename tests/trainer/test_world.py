import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch

from gato_data.errors import TrainError
from gato_trainer.checkpoints.header import read_header
from gato_trainer.config import TrainSettings
from gato_trainer.data.feed import micro_ranges
from gato_trainer.model.sharding import shards
from gato_trainer.run import spikes
from gato_trainer.run.train import run
from gato_trainer.world import World, join_world, unanswered
from tests.ports import free_port
from tests.trainer.synthetic import SyntheticSource

Make = Callable[..., TrainSettings]
WORKER = Path(__file__).with_name("worker.py")


def run_processes(task: dict[str, Any], count: int) -> dict[str, Any]:
    """What torchrun does: start processes that know their rank."""
    ended = ended_processes(task, count)
    for code, _, errors in ended:
        assert code == 0, errors[-3000:]
    result: dict[str, Any] = json.loads(ended[0][1].splitlines()[-1])
    return result


def ended_processes(task: dict[str, Any], count: int) -> list[tuple[int, str, str]]:
    """How each process ended, and what it wrote to stdout and stderr."""
    shared = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    processes = [
        subprocess.Popen(
            [sys.executable, str(WORKER), json.dumps(task)],
            env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for rank in range(count)
    ]
    try:
        outputs = [process.communicate(timeout=600) for process in processes]
    finally:
        for process in processes:
            process.kill()  # of one that hangs; the others have ended
    return [
        (process.returncode, said.decode(), errors.decode())
        for process, (said, errors) in zip(processes, outputs, strict=True)
    ]


@pytest.mark.parametrize(("count", "sharding", "micro"), [(2, "zero2", None), (3, "full", 1)])
def test_processes_train_the_same_model_as_one(
    count: int, sharding: str, micro: int | None, small_settings: Make, source: SyntheticSource
) -> None:
    options = {
        "steps": 4,
        "batch_size": 5,
        "context_length": 24,
        "log_every": 1,
        "ema": 0.5,
        "clip": 0.7,
        "evaluate_samples": 7,
        "evaluate_every": 1,
        "checkpoint_every": 2,
    }
    model = dataclasses.replace(small_settings().model, dropout=0.1)
    one = small_settings("one", model=model, **options)
    expected = run(one, source, source, quiet=True)
    many = small_settings("many", model=model, **options)
    task = {
        "settings": {
            **options,
            "out": str(many.out),
            "sharding": sharding,
            "micro_batch_size": micro,
            "stop_step": 3,
        },
        "model": dataclasses.asdict(model),
        "source": dataclasses.asdict(source),
        "validate": True,
    }
    result = run_processes(task, count)
    losses = [loss for _, loss in expected.losses]
    assert [loss for _, loss in result["losses"]] == pytest.approx(losses[:3], rel=1e-5)
    logged = [json.loads(line) for line in (one.out / "log.jsonl").read_text().splitlines()]
    [third] = [line for line in logged if line["kind"] == "train" and line["step"] == 3]
    assert result["record"]["gradient_norm"] == pytest.approx(third["gradient_norm"], rel=1e-4)
    # One process continues what several saved.
    resumed = run(dataclasses.replace(many, resume="yes"), source, source, quiet=True)
    assert [step for step, _ in resumed.losses] == [4]
    assert resumed.losses[0][1] == pytest.approx(losses[3], rel=1e-5)
    assert resumed.validation is not None
    assert expected.validation is not None
    assert resumed.validation["loss"] == pytest.approx(expected.validation["loss"], rel=1e-5)
    assert result["validation"]["supervised_tokens"] == expected.validation["supervised_tokens"]


def test_copies_of_a_sharded_model_train_as_one_and_go_on_in_other_numbers(
    small_settings: Make, source: SyntheticSource
) -> None:
    options = {
        "steps": 4,
        "batch_size": 4,
        "context_length": 24,
        "log_every": 1,
        "clip": 0.7,
        "optimizer_state": "bf16",
    }
    one = small_settings("one", **options, stop_step=2)
    losses = [loss for _, loss in run(one, source, quiet=True).losses]
    losses += [loss for _, loss in run(small_settings("one", **options, resume="yes"), source, quiet=True).losses]
    many = small_settings("many", **options)
    task = {
        "settings": {**options, "out": str(many.out), "replicas": 2, "stop_step": 2},
        "model": dataclasses.asdict(many.model),
        "source": dataclasses.asdict(source),
    }
    found = run_processes(task, 4)["losses"]
    step = Path("checkpoints", "step-00000002")
    sizes = [sum(file.size for file in read_header(run.out / step).files.values()) for run in (one, many)]
    assert sizes[1] < 1.5 * sizes[0]  # each tensor is there once, its name and place in every file
    task["settings"] |= {"replicas": 1, "stop_step": 3, "resume": "yes"}
    found += run_processes(task, 2)["losses"]
    found += run(dataclasses.replace(many, resume="yes"), source, quiet=True).losses
    assert [number for number, _ in found] == [1, 2, 3, 4]
    assert [loss for _, loss in found] == pytest.approx(losses, rel=1e-5)


def test_copies_have_to_divide_the_processes(small_settings: Make) -> None:
    assert [shards(8, count) for count in (1, 2, 8)] == [8, 4, 1]
    with pytest.raises(TrainError, match="--replicas 3 does not divide 8 processes: give one of 1, 2, 4, 8"):
        shards(8, 3)


@pytest.mark.parametrize(
    ("sharding", "options"),
    [
        ("zero2", {"freeze": ["embedding.*", "blocks.0.*"], "ema": 0.5, "micro_batch_size": 1}),
        ("full", {"lora": 2, "lora_alpha": 3.0, "ema": 0.5}),
    ],
)
def test_processes_train_a_part_as_one_does(
    sharding: str, options: dict[str, Any], small_settings: Make, source: SyntheticSource
) -> None:
    common = {"steps": 3, "batch_size": 4, "context_length": 24, "log_every": 1}
    # Changes of its own, which every process merges into its rows.
    base = small_settings("base", steps=2, learning_rate=1e-2)
    run(base, source, quiet=True)
    changed = small_settings("changed", steps=2, learning_rate=1e-2, lora=3, init_from=base.out)
    run(changed, source, quiet=True)
    options = {**common, **options, "init_from": str(changed.out)}
    paths = {**options, "init_from": changed.out}
    losses = [loss for _, loss in run(small_settings("one", **paths), source, quiet=True).losses]
    many = small_settings("many", **paths, resume="yes")
    task = {
        "settings": {**options, "out": str(many.out), "sharding": sharding, "stop_step": 2},
        "model": dataclasses.asdict(many.model),
        "source": dataclasses.asdict(source),
    }
    found = run_processes(task, 2)["losses"] + run(many, source, quiet=True).losses
    assert [loss for _, loss in found] == pytest.approx(losses, rel=1e-5)


def test_processes_wait_as_long_as_they_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[timedelta | None] = []
    for name, value in {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("gato_trainer.world.meet", lambda rank, size, timeout: waits.append(timeout))
    monkeypatch.setattr("torch.distributed.init_process_group", lambda backend, **given: waits.append(given["timeout"]))
    assert join_world("cpu", 90).timeout == timedelta(seconds=90)
    assert join_world("cpu").timeout is None
    assert waits == [timedelta(seconds=90), timedelta(seconds=90), timedelta(minutes=30), None]


def test_one_of_several_has_to_know_where_the_others_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    with pytest.raises(TrainError, match="one of 2 processes, and MASTER_ADDR is not set: start them with torchrun"):
        join_world("cpu")


def test_a_process_that_waits_in_vain_for_the_others_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2", "RANK": "0"}
    for name, value in shared.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(TrainError, match=r"another process of the run ended or did not answer in time \(Timed out"):
        join_world("cpu", 0.2)


def test_a_process_that_does_not_answer_is_told_in_a_sentence() -> None:
    gloo = RuntimeError("[transport.cc:73] Timed out waiting 2000ms for recv operation to complete\nmore")
    explained = unanswered(gloo)
    assert explained is not None
    assert re.search(r"did not answer in time \(.*2000ms.* complete\): .*--collective-timeout", str(explained))
    assert unanswered(RuntimeError("shapes differ")) is None


def test_processes_agree_on_a_damaged_checkpoint(small_settings: Make, source: SyntheticSource) -> None:
    """Each checks its share of the files; the one that finds nothing wrong goes back too."""
    settings = small_settings("many", checkpoint_every=2)
    options = {"steps": 6, "batch_size": 4, "context_length": 24, "log_every": 1, "checkpoint_every": 2}
    task = {
        "settings": {**options, "out": str(settings.out), "stop_step": 4},
        "model": dataclasses.asdict(settings.model),
        "source": dataclasses.asdict(source),
    }
    run_processes(task, 2)
    newest = settings.out / "checkpoints" / "step-00000004"
    files = sorted(newest.glob("*.safetensors"))
    assert [*read_header(newest).files] == [file.name for file in files]
    assert len(files) == 2
    data = bytearray(files[1].read_bytes())
    data[-5] ^= 16
    files[1].write_bytes(data)
    task["settings"] |= {"stop_step": None, "resume": "yes"}
    result = run_processes(task, 2)
    assert [step for step, _ in result["losses"]] == [3, 4, 5, 6]
    assert {path.name for path in newest.parent.iterdir()} == {
        "damaged-step-00000004", "step-00000002", "step-00000004", "step-00000006",
    }  # fmt: skip


def test_processes_stop_together_where_a_signal_meets_a_checkpoint(
    small_settings: Make, source: SyntheticSource
) -> None:
    settings = small_settings("stopped")
    options = {"steps": 6, "batch_size": 4, "context_length": 24, "log_every": 1, "checkpoint_every": 1}
    task = {
        "settings": {**options, "out": str(settings.out), "resume": "auto"},
        "model": dataclasses.asdict(settings.model),
        "source": dataclasses.asdict(source),
    }
    stopped = run_processes({**task, "terminate": 3}, 2)
    assert [step for step, _ in stopped["losses"]] == [1, 2, 3]
    assert stopped["stopped_by"] == "SIGTERM"  # which this process did not get
    rest = run_processes(task, 2)
    assert [step for step, _ in rest["losses"]] == [4, 5, 6]
    whole = run(small_settings("whole"), source, quiet=True)
    assert [loss for _, loss in stopped["losses"] + rest["losses"]] == pytest.approx(
        [loss for _, loss in whole.losses], rel=1e-5
    )


def test_one_command_goes_on_after_a_process_was_killed(small_settings: Make, source: SyntheticSource) -> None:
    """The checkpoint that the killed one damaged costs its steps alone."""
    settings = small_settings("killed")
    options = {"steps": 6, "batch_size": 4, "context_length": 24, "log_every": 1, "checkpoint_every": 2}
    task = {
        "settings": {**options, "out": str(settings.out), "resume": "auto"},
        "model": dataclasses.asdict(settings.model),
        "source": dataclasses.asdict(source),
        "told": True,
    }
    (first, _, errors), (second, _, _) = ended_processes({**task, "kill_after": 5}, 2)
    assert (first, second) == (1, -signal.SIGKILL)
    assert "another process of the run ended or did not answer in time" in errors
    (code, said, errors), (other, _, _) = ended_processes(task, 2)
    assert (code, other) == (0, 0), errors[-3000:]
    checkpoints = settings.out / "checkpoints"
    assert f"checkpoint {checkpoints / 'step-00000004'} is damaged: " in errors
    assert f"continuing at step 2 from {checkpoints / 'step-00000002'}" in errors
    assert (checkpoints / "damaged-step-00000004").is_dir()
    losses = json.loads(said.splitlines()[-1])["losses"]
    assert [step for step, _ in losses] == [3, 4, 5, 6]
    logged = [json.loads(line) for line in (settings.out / "log.jsonl").read_text().splitlines()]
    whole = run(small_settings("whole"), source, quiet=True)
    assert [line["loss"] for line in logged] == pytest.approx([loss for _, loss in whole.losses], rel=1e-5)


def test_torchrun_goes_on_after_a_process_was_killed(small_settings: Make, source: SyntheticSource) -> None:
    """Its store still has the address of the dead first process when the second one, here the faster, starts again."""
    settings = small_settings("killed")
    options = {"steps": 6, "batch_size": 4, "context_length": 24, "log_every": 1, "checkpoint_every": 2}
    task = {
        "settings": {**options, "out": str(settings.out), "resume": "auto", "collective_timeout": 60},
        "model": dataclasses.asdict(settings.model),
        "source": dataclasses.asdict(source),
        "told": True,
        "kill_first": 5,
    }
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--max-restarts", "1"]
    with subprocess.Popen(
        [*torchrun, "--master-port", str(free_port()), str(WORKER), json.dumps(task)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    ) as started:
        try:
            _, errors = started.communicate(timeout=300)
        finally:
            started.terminate()  # of one that hangs, which then ends its processes
    assert started.returncode == 0, errors[-3000:]
    assert f"continuing at step 4 from {settings.out / 'checkpoints' / 'step-00000004'}" in errors
    logged = [json.loads(line) for line in (settings.out / "log.jsonl").read_text().splitlines()]
    whole = run(small_settings("whole"), source, quiet=True)
    assert [line["loss"] for line in logged] == pytest.approx([loss for _, loss in whole.losses], rel=1e-5)


def test_processes_leave_out_the_same_windows(
    small_settings: Make, source: SyntheticSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = dataclasses.replace(source, odd=(47,))
    options = {"steps": 13, "batch_size": 4, "context_length": 24, "log_every": 5, "skip_spikes": 0.7}
    model = dataclasses.replace(small_settings().model, stochastic_depth=0.0)
    one, two = (small_settings(name, model=model, **options) for name in ("one", "two"))
    monkeypatch.setattr(spikes, "JUDGED_FROM", 8)
    run(one, odd, quiet=True)
    task = {
        "settings": {**options, "out": str(two.out)},
        "model": dataclasses.asdict(two.model),
        "source": dataclasses.asdict(odd),
        "judged_from": 8,
    }
    run_processes(task, 2)
    found = []
    for settings in (one, two):
        lines = [json.loads(line) for line in (settings.out / "log.jsonl").read_text().splitlines()]
        found.append([line for line in lines if line["kind"] == "skipped"])
    [first], [second] = found
    assert [window["sample"] for window in first["windows"]] == [47]
    assert second["step"] == first["step"] == 12
    for name in ("loss", "limit"):
        assert second["windows"][0][name] == pytest.approx(first["windows"][0][name], rel=1e-4)


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("micro", [None, 1, 2, 3])
def test_every_sample_is_computed_once_in_as_many_micro_batches(
    size: int, micro: int | None, small_settings: Make
) -> None:
    settings = small_settings(batch_size=7, micro_batch_size=micro)
    samples = range(70, 77)
    shares = [micro_ranges(samples, settings, World(rank, size, torch.device("cpu"))) for rank in range(size)]
    assert [sample for share in shares for piece in share for sample in piece] == list(samples)
    assert len({len(share) for share in shares}) == 1
    assert micro is None or max(len(piece) for share in shares for piece in share) <= micro


def test_a_batch_smaller_than_the_world_is_refused(
    small_settings: Make, source: SyntheticSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gato_trainer.run.train.join_world", lambda *_: World(0, 8, torch.device("cpu")))
    with pytest.raises(TrainError, match="8 processes need a batch of as many windows; got 4"):
        run(small_settings(), source, quiet=True)
