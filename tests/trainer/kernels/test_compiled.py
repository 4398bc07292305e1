"""What Triton makes of the kernels for cards that are not here: nothing may spill, and loads must be wide."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

WORKER = Path(__file__).with_name("compile_worker.py")

# Registers a thread: below these limits at least half of a Hopper's thread slots stay in use.
HALF = {4: 64, 8: 64}
LIMITS = {"add_norm_backward": 96, "geglu_backward": 96}
PATCHES = {"patch_forward", "patch_backward_late", "patch_backward_early", "patch_weights"}
"""Kernels that hold feature maps in registers and multiply them."""

SHARED = 99 * 1024
"""Bytes of shared memory that every card from compute capability 8.0 on gives to a program."""


@pytest.fixture(scope="module")
def compiled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    pytest.importorskip("triton", reason="Triton is not installed")
    environment = {**os.environ, "TRITON_CACHE_DIR": str(tmp_path_factory.mktemp("triton"))}
    environment.pop("TRITON_INTERPRET", None)
    command = [sys.executable, str(WORKER), str(request.param)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    results: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return results


@pytest.mark.parametrize("compiled", [90], indirect=True, ids=["sm_90"])
def test_kernels_for_hopper(compiled: dict[str, dict[str, Any]]) -> None:
    for label, found in compiled.items():
        name = label.partition("(")[0]
        assert found["local"] == 0, f"{label} spills"
        assert found["stack"] == 0, f"{label} has a stack frame"
        assert found["shared"] <= SHARED, label
        narrow = "CHANNELS=32" in label
        if name in PATCHES:
            assert found["wgmma"] > 0 or narrow, f"{label} has none of Hopper's own matrix products"
        else:
            assert found["reg"] <= LIMITS.get(name, HALF[found["warps"]]), label
        if name != "add_partials" and not narrow:  # whose tiles give a thread 8 bytes
            assert found["wide_loads"] > 0, f"{label} loads less than 16 bytes at once"
