"""`gato-data info`: what a bug report needs, and nothing that is nobody's business."""

import getpass
import importlib.metadata
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gato_cli import installation
from tests.cli.command import run


def test_it_says_versions_extras_and_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("MUJOCO_GL", "egl\x1b[31m")
    monkeypatch.setenv("PYTHONPATH", "somewhere/private")
    result = run("info")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    version = importlib.metadata.version
    assert lines[0].startswith(f"version {version('gato-data')}")
    assert "formats: dataset 3, index 3, mixture 3, policy 1, checkpoint 2" in lines[0]
    assert f"package numpy {version('numpy')}" in lines
    assert {"setting OMP_NUM_THREADS=3", "setting MUJOCO_GL=(set)", "setting PYTHONPATH=(set)"} <= set(lines)
    assert any(line.startswith("extra ingest: ") for line in lines)


def test_it_names_no_person_machine_or_folder() -> None:
    text = run("info").stdout + run("info", "--json").stdout
    secrets = {str(Path.home()), os.getcwd(), sys.prefix, socket.gethostname(), getpass.getuser() + "@"}
    assert [secret for secret in secrets if len(secret) > 1 and secret in text] == []


def test_it_imports_no_framework() -> None:
    code = """
import contextlib, io, sys
sys.argv = ["gato-data", "info"]
from gato_cli.main import main
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    main()
print(*sorted({"apache_beam", "tensorflow", "torch", "cv2", "rich"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout == "\n"


def test_what_is_missing_or_broken_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    known = importlib.metadata.version

    def version(name: str) -> str:
        if name in ("torch", "av", "gato-data"):
            raise importlib.metadata.PackageNotFoundError(name)
        return known(name)

    def broken(*_: Any) -> Any:
        raise ImportError("undefined symbol")

    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setattr(installation, "import_module", broken)
    monkeypatch.setattr(installation, "_torch_build", broken)
    found = json.loads(run("info", "--json").stdout)
    assert (found["gato_data"], found["packages"]["torch"], found["torch_build"]) == (None, None, None)
    assert found["extras"]["video"] == ["av"]
    assert set(found["formats"].values()) == {None}
    lines = [" ".join(line.split()) for line in run("info").stdout.splitlines()]
    assert {"torch missing", "extra video: missing av", "package torch missing"} <= set(lines)


def test_gpus_are_those_of_the_driver_and_what_torch_sees(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    driver = tmp_path / "nvidia-smi"
    driver.write_text("#!/bin/sh\necho 'NVIDIA H100 80GB HBM3, 81559, 550.54.15'\n")
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(installation, "_ASK_TORCH", "print('[\"9.0\"]')")
    found = json.loads(run("info", "--json").stdout)
    assert found["gpus"] == [{"name": "NVIDIA H100 80GB HBM3", "memory_mib": 81559, "driver": "550.54.15"}]
    assert found["seen_by_torch"] == ["9.0"]
    monkeypatch.setattr(installation, "_ASK_TORCH", "raise ImportError('libcuda.so.1: no such file')")
    assert "cannot be imported (ImportError)" in run("info").stdout
    driver.write_text("#!/bin/sh\necho 'NVIDIA-SMI has failed'; exit 9\n")
    assert "none that nvidia-smi names" in run("info").stdout
