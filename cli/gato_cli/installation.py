"""What is installed here and on what machine, told without importing it, and without names of people or paths."""

import ast
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module, metadata
from typing import Any

_NAME = "gato-data"
_FORMATS = {
    "dataset": ("gato_schemas.dataset", "FORMAT_VERSION"),
    "index": ("gato_schemas.index", "INDEX_VERSION"),
    "mixture": ("gato_schemas.mixture", "MIXTURE_VERSION"),
    "policy": ("gato_schemas.policy", "POLICY_VERSION"),
    "checkpoint": ("gato_trainer.checkpoints.header", "FORMAT"),
}
_SHOWN = (
    "CUDA_VISIBLE_DEVICES", "KERAS_BACKEND", "LANG", "LC_ALL", "MKL_NUM_THREADS", "MUJOCO_GL", "NCCL_DEBUG",
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION", "PYTHONHASHSEED",
    "PYTHONOPTIMIZE", "PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF", "RANK", "TF_ENABLE_ONEDNN_OPTS",
    "TORCHDYNAMO_DISABLE", "TRITON_INTERPRET", "WORLD_SIZE",
)  # fmt: skip
_HIDDEN = ("HTTPS_PROXY", "HTTP_PROXY", "LD_LIBRARY_PATH", "LD_PRELOAD", "PYTHONPATH", "TMPDIR", "XDG_CACHE_HOME")
"""Settings that matter whose values are places: only that they are set is told."""
_ASK_TORCH = """
import json, torch
found = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
print(json.dumps([".".join(map(str, torch.cuda.get_device_capability(device))) for device in found]))
"""
_SECONDS = 60


def installation() -> dict[str, Any]:
    """The answer of `gato-data info`, as JSON-ready values under stable keys.

    Whatever cannot be found out is None, so that a broken installation is described, too.
    """
    required = _requirements()
    gpus = _or_none(_gpus) or []
    return {
        "gato_data": _version(_NAME),
        "editable": _or_none(_editable),
        "formats": {name: _or_none(partial(_constant, *place)) for name, place in _FORMATS.items()},
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "platform": platform.platform(),
        "processor": _or_none(_processor),
        "processors": _or_none(lambda: len(os.sched_getaffinity(0))) or os.cpu_count(),
        "memory_bytes": _or_none(lambda: os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")),
        "encoding": getattr(sys.stdout, "encoding", None),
        "torch_build": _or_none(_torch_build),
        "gpus": gpus,
        "seen_by_torch": _seen_by_torch() if gpus and _version("torch") else None,
        "packages": {name: _version(name) for name in sorted({*required.get("", ()), *_shipped(required)})},
        "extras": {
            extra: [name for name in names if _version(name) is None]
            for extra, names in sorted(required.items())
            if extra
        },
        "settings": _settings(),
    }


def _or_none(find: Callable[[], Any]) -> Any:
    """What is found, None where that fails in whatever way: what is described here may be broken."""
    try:
        return find()
    except Exception:
        return None


def _version(name: str) -> str | None:
    """The version of an installed package."""
    found: str | None = _or_none(lambda: metadata.version(name))
    return found


def _constant(module: str, name: str) -> Any:
    return getattr(import_module(module), name)


def _editable() -> bool:
    origin = json.loads(metadata.distribution(_NAME).read_text("direct_url.json") or "{}")
    return bool(origin.get("dir_info", {}).get("editable"))


def _requirements() -> dict[str, list[str]]:
    """Names of the packages of each extra; those of every installation under the empty name."""
    found: dict[str, list[str]] = {}
    for line in _or_none(lambda: metadata.requires(_NAME)) or ():
        name, extra = re.match(r"[\w.-]+", line), re.search(r"""extra == ['"]([\w-]+)""", line)
        if name:
            found.setdefault(extra[1] if extra else "", []).append(name[0])
    return found


def _shipped(required: dict[str, list[str]]) -> set[str]:
    """Packages of the extras that are for users."""
    return {name for extra, names in required.items() if extra != "dev" for name in names}


def _processor() -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))


def _torch_build() -> str:
    """What torch was built for, of the file in which it says so."""
    file = metadata.distribution("torch").locate_file("torch/version.py")
    with open(str(file), encoding="utf-8") as text:
        tree = ast.parse(text.read())
    values = {
        target.id: ast.literal_eval(entry.value)
        for entry in tree.body
        if isinstance(entry, ast.Assign | ast.AnnAssign) and isinstance(entry.value, ast.Constant)
        for target in (entry.targets if isinstance(entry, ast.Assign) else [entry.target])
        if isinstance(target, ast.Name)
    }
    return next(
        (f"{label} {values[key]}" for key, label in {"cuda": "CUDA", "hip": "ROCm"}.items() if values.get(key)), "CPU"
    )


def _gpus() -> list[dict[str, Any]]:
    """NVIDIA's GPUs, as its driver names them."""
    asked = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader,nounits"]
    lines = _printed(asked).splitlines()
    rows = [[cell.strip() for cell in line.split(",")] for line in lines if line.count(",") == 2]
    return [{"name": name, "memory_mib": _or_none(partial(int, mib)), "driver": driver} for name, mib, driver in rows]


def _seen_by_torch() -> list[str] | str:
    """Compute capability of every GPU that torch can use, or the name of the error that importing it ends with."""
    try:
        return list(json.loads(_printed([sys.executable, "-c", _ASK_TORCH])))
    except subprocess.CalledProcessError as error:
        last = (error.stderr or "").strip().rpartition("\n")[2]
        return last.partition(":")[0] or "error"
    except Exception as error:
        return type(error).__name__


def _printed(command: list[str]) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=_SECONDS, stdin=subprocess.DEVNULL
    )
    return done.stdout


def _settings() -> dict[str, str]:
    """Environment variables that change what runs; of those that hold places, only that they are set."""
    shown = {name: os.environ[name] for name in _SHOWN if name in os.environ}
    safe = {name: value if re.fullmatch(r"[\w.,:=@-]{0,80}", value) else "(set)" for name, value in shown.items()}
    return dict(sorted({**safe, **{name: "(set)" for name in _HIDDEN if os.environ.get(name)}}.items()))
