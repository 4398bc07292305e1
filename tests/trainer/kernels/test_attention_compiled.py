"""What Triton makes of the attention kernels for a Hopper card that need not be here: nothing may spill."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

WORKER = Path(__file__).with_name("attention_compile_worker.py")

SHARED = 99 * 1024
"""Bytes of shared memory that every card from compute capability 8.0 on gives to a program."""


@pytest.fixture(scope="module", params=[32, 128], ids=["heads of 32", "heads of 128"])
def compiled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    pytest.importorskip("triton", reason="Triton is not installed")
    environment = {**os.environ, "TRITON_CACHE_DIR": str(tmp_path_factory.mktemp("triton"))}
    environment.pop("TRITON_INTERPRET", None)
    command = [sys.executable, str(WORKER), "90", str(request.param)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    results: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return results


def test_kernels_for_hopper(compiled: dict[str, dict[str, Any]]) -> None:
    assert len(compiled) == 9
    for label, found in compiled.items():
        assert found["local"] == 0, f"{label} spills"
        assert found["stack"] == 0, f"{label} has a stack frame"
        assert found["shared"] <= SHARED, label
        assert found["specialised"] == 0, f"{label} is compiled again in turns that the self-test does not have"
        if "RELATIVE" in found:
            assert found["wgmma"] + found["mma"] > 0, f"{label} has no matrix instructions"
            if found["SIZE"] == 32:
                assert found["wgmma"] > 0, f"{label} does not use Hopper's own matrix instructions"
            elif not found["RELATIVE"]:
                assert found["reg"] <= 224, label
