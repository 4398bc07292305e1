"""The one way to import gym-sokoban here.

gym-sokoban 0.0.6, its last release, finds its pictures through `pkg_resources`, which setuptools 82
has removed. `import_sokoban` provides the one function it calls, while it is imported; and it keeps
gym, on which it builds, from greeting on stderr that it is not maintained.
"""

import contextlib
import io
import sys
import threading
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from gato_pipelines.environments.installed import import_simulator

_LOCK = threading.Lock()
_NAME = "pkg_resources"


def import_sokoban() -> Any:
    """Imports gym-sokoban and returns the class of its environment.

    Raises:
        MissingPackageError: it is not installed.
    """
    with _LOCK, contextlib.redirect_stderr(io.StringIO()):
        stand_in = _NAME not in sys.modules and find_spec(_NAME) is None
        if stand_in:
            sys.modules[_NAME] = _pkg_resources()
        try:
            module = import_simulator("gym_sokoban.envs.sokoban_env", "Sokoban", 'pip install "gato-data[simulators]"')
        finally:
            if stand_in:
                del sys.modules[_NAME]
    return module.SokobanEnv


def _pkg_resources() -> ModuleType:
    module = ModuleType(_NAME, "A stand-in: setuptools has it no longer.")
    vars(module)["resource_filename"] = _resource_filename
    return module


def _resource_filename(module: str, name: str) -> str:
    """The path of a file beside a module."""
    spec = find_spec(module)
    assert spec is not None, "gym-sokoban asks for its own files"
    assert spec.origin is not None, "gym-sokoban asks for its own files"
    return str(Path(spec.origin).parent / name)
