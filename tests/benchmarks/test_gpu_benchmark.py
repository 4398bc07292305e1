"""The GPU benchmark at its toy size: a rented hour must not begin with repairing it."""

import gc
import json
import os
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    pytest.importorskip("triton", reason="Triton is not installed")
    out = tmp_path_factory.mktemp("results")
    command = [sys.executable, str(BENCHMARKS / "gpu.py"), "--toy", "--seconds", "2000", "--out", str(out)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, "--only", "ceilings,kernels,steps-79m"], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (path,) = out.iterdir()
    results: dict[str, Any] = json.loads(path.read_text())
    return done.stdout, results


def test_every_row_has_figures(toy: tuple[str, dict[str, Any]]) -> None:
    printed, results = toy
    assert results["failed"] == {}
    for row in results["rows"]:
        assert "error" not in row, row
        assert "left_out" not in row, row
    assert results["machine"]["torch"] in printed
    lines = [line for line in printed.splitlines() if not line.startswith("next: ")]
    assert len(lines) == 1 + 3 + 5 + 7 + 9  # the machine, sections, ceilings, operations and runs
    assert "above its floor" in printed.splitlines()[-1] or "times as fast" in printed.splitlines()[-1]
    assert len(printed) < 12_000
    assert all("right, fused" in line for line in lines if "of floor" in line)


def test_every_operation_and_run_is_there(toy: tuple[str, dict[str, Any]]) -> None:
    from gato_trainer.kernels import FUSED

    rows = {(row["section"], row["name"]): row for row in toy[1]["rows"]}
    for name in FUSED:
        assert rows["kernels", f"toy {name} is right"]["verdict"] == "yes"
        for kind in ("fused", "eager", "compiled"):
            assert rows["kernels", f"toy {name} {kind}"]["ms"] > 0
    runs = [row for (section, _), row in rows.items() if section == "steps-79m"]
    assert runs[0]["name"] == "ours, default, Atari, 17 % distinct"
    assert runs[1]["name"] == "ours, rope, 5 % supervised"
    assert len(runs) == 9
    assert sum("ratio" in run for run in runs) == 2
    assert all(run["tokens_per_s"] > 0 and run["floor_ms"] > 0 for run in runs)


def test_what_fails_is_said_and_the_rest_goes_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import gpu_measure

    def broken() -> dict[str, Any]:
        raise RuntimeError("out of resources\nand a long dump")

    clock = gpu_measure.Clock(float("inf"))
    gpu_measure.guarded(clock, "kernels", "broken", broken)
    gpu_measure.guarded(clock, "kernels", "fine", lambda: {"ms": 1.0})
    gpu_measure.guarded(gpu_measure.Clock(0.0), "kernels", "late", lambda: {"ms": 1.0})
    lines = capsys.readouterr().out.splitlines()
    first, second, third = (json.loads(line.removeprefix(gpu_measure.MARK)) for line in lines)
    assert first["error"] == "RuntimeError: out of resources"
    assert second["ms"] == 1.0
    assert "are needed" in third["left_out"]


def test_memory_is_free_for_the_next_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import gpu_measure
    import torch

    made: list[weakref.ref[torch.nn.Module]] = []

    def measure() -> dict[str, Any]:
        model = torch.nn.Linear(2, 2)
        model.compile(backend="eager")  # refers to the model, which refers to it
        made.append(weakref.ref(model))
        return {"ms": 1.0}

    gc.disable()
    try:
        gpu_measure.guarded(gpu_measure.Clock(float("inf")), "steps", "compiled", measure)
        assert made[0]() is None
    finally:
        gc.enable()


def test_a_section_that_crashes_takes_nothing_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import gpu

    def crash(section: str, limit_s: float, toy: bool, keep_row: Any) -> str | None:
        keep_row({"section": section, "name": "copy", "gb_per_s": 2.0})
        keep_row({"section": section, "name": "product", "error": "RuntimeError: out of resources"})
        return "its process ended with code -11; see the messages above" if section == "ceilings" else None

    monkeypatch.setattr(gpu, "run_section", crash)
    results = gpu.run_sections(["ceilings", "tiles"], 100.0, tmp_path, toy=True)
    results["rows"] = [row for row in results["rows"] if row["section"] == "ceilings"]
    lines = gpu.table(results)
    assert "copy: gb_per_s 2" in lines
    assert "!! ceilings, product: RuntimeError: out of resources" in lines
    assert "!! ceilings: its process ended with code -11; see the messages above" in lines
    (path,) = tmp_path.iterdir()
    assert len(json.loads(path.read_text())["rows"]) == 4


def test_what_to_try_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import gpu_advice

    def kernel(name: str, **values: Any) -> dict[str, Any]:
        return {"section": "kernels", "name": name, **values}

    def tile(shape: str, ms: float) -> dict[str, Any]:
        return {"section": "tiles", "name": f"relative 128 keys {shape}", "forward_ms": ms, "backward_ms": ms}

    rows = [
        kernel("79m embed is right", error="gradient 2 is off"),
        kernel("79m geglu fused", ms=3.0, floor_ms=1.0, of_floor=1 / 3),
        kernel("79m geglu compiled", ms=2.0, floor_ms=1.0, of_floor=0.5),
        tile("32x32x4x2", 4.0),
        tile("32x64x4x2", 3.0),
        {"section": "steps-79m", "name": "ours, rope, 5 % supervised", "tokens_per_s": 2e6},
        {"section": "steps-79m", "name": "ours, transformer-xl, 5 % supervised", "tokens_per_s": 1e6},
        {"section": "steps-1.2b", "name": "ours", "left_out": "3 s were left, 15 are needed"},
    ]
    assert gpu_advice.advice({"rows": rows, "failed": {}}) == [
        "next: pytest tests/trainer/kernels -k embed: it failed its test, and runs fall back to plain torch",
        "next: 79m geglu: the kernel takes 1.50 times what torch.compile makes of plain torch",
        "next: 79m geglu: 2 ms above its floor (33% of it)",
        "next: tiles of relative 128 keys: 32x64x4x2 takes 6 ms, those in use 8 ms",
        "next: steps-79m: --positions rope is 2.00 times as fast",
        "next: python benchmarks/gpu.py --only steps-1.2b: not all of it was measured",
    ]
    assert gpu_advice.advice({"rows": [], "failed": {}}) == []
