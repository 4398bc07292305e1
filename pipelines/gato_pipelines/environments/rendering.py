"""Frames of MuJoCo without a window."""

import os
import subprocess
import sys

from gato_data.errors import SettingError

BACKENDS = ("egl", "osmesa", "glfw")
VARIABLE = "MUJOCO_GL"

_TRIAL = "from dm_control import suite; suite.load('pendulum', 'swingup').physics.render(8, 8)"
_SECONDS = 120


def choose_backend(otherwise: str = "record states, without --pixels") -> None:
    """Have MuJoCo render with a backend that works here: the one that MUJOCO_GL names, or the first that does.

    dm_control decides when it is imported, and fails in many ways; so each backend is tried in a
    process of its own.

    Args:
        otherwise: what can be done where none works, for the error.

    Raises:
        SettingError: none of them works.
    """
    asked = os.environ.get(VARIABLE, "")
    reasons = {}
    for backend in [asked] if asked else BACKENDS:
        reasons[backend] = _failure(backend)
        if not reasons[backend]:
            os.environ[VARIABLE] = backend
            return
    found = "; ".join(f"{VARIABLE}={backend}: {reason}" for backend, reason in reasons.items())
    raise SettingError(
        f"MuJoCo cannot draw frames here ({found}): install libegl1 (or libosmesa6) and set {VARIABLE}=egl (or "
        f"osmesa), or {otherwise}"
    )


def _failure(backend: str) -> str:
    """Why a backend does not work; empty if it does."""
    command, environment = [sys.executable, "-c", _TRIAL], {**os.environ, VARIABLE: backend}
    try:
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"no answer in {_SECONDS} s"
    if done.returncode == 0:
        return ""
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"exit code {done.returncode}"
