"""Compile the attention kernels for a GPU that need not be there; print what the assembler says of each as JSON.

`python attention_compile_worker.py CAPABILITY HEAD_SIZE...`, without TRITON_INTERPRET.
"""

import importlib
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from gato_trainer.kernels.fused_attention_tiles import Tiles, cut

TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"

FLOAT32 = {
    "content_ptr", "term_ptr", "normalizer_ptr", "delta_ptr", "bias_ptr", "content_bias_ptr", "d_content_bias_ptr",
    "d_distance_ptr", "sums_ptr", "cos_ptr", "sin_ptr",
}  # fmt: skip
TYPES = {
    **dict.fromkeys(FLOAT32, "*fp32"),
    "segment_ptr": "*i64",
    "scale": "fp32",
    "scale_log2": "fp32",
}
MULTIPLES = ("_ptr", "_step", "_head")
"""Ends of the names of arguments that are multiples of 16 at the paper's sizes; so is `length`."""

TURNS = {"first_window", "windows", "parts"}
"""Arguments whose values differ between the turns of one backward."""


def kernels(size: int) -> Iterator[tuple[str, str, dict[str, Any], Tiles]]:
    """(module, kernel, constants, tiles) of the kernels as they are launched for a head size, nothing packed."""
    modules = ("forward", "queries", "keys")
    names = ("attention_forward", "attention_backward_queries", "attention_backward_keys")
    for relative in (True, False):
        for module, name in zip(modules, names, strict=True):
            tiles: Tiles = getattr(cut(size, relative), module)
            flags = {"SIZE": size, "RELATIVE": relative, "SEGMENTED": False, "ROWS": tiles.rows, "KEYS": tiles.keys}
            yield f"fused_attention_{module}", name, flags, tiles
    tiles = cut(size, True).queries
    flags = {"SIZE": size, "ROWS": tiles.rows, "KEYS": tiles.keys}
    yield "fused_attention_queries", "attention_backward_distances", flags, Tiles(0, 0, 4, 3)
    yield "fused_attention", "attention_content", {"SIZE": size, "ROWS": 128}, Tiles(0, 0, 4, 3)
    flags = {"WIDTH": 768, "HALF": size // 2, "INVERSE": False, "TOKENS": 8, "PAIRS": 128}
    yield "fused_rotary_attention", "rotate", flags, Tiles(0, 0, 4, 3)


def argument_type(name: str) -> str:
    return TYPES.get(name, "*bf16" if name.endswith("_ptr") else "i32")


def compile_one(module: str, name: str, constants: dict[str, Any], tiles: Tiles, capability: int) -> dict[str, int]:
    kernel = getattr(importlib.import_module(f"gato_trainer.kernels.{module}"), name)
    signature = {a: "constexpr" if a in constants else argument_type(a) for a in kernel.arg_names}
    attributes = {
        (place,): [["tt.divisibility", 16]]
        for place, argument in enumerate(kernel.arg_names)
        if argument not in constants and (argument.endswith(MULTIPLES) or argument == "length")
    }
    source = ASTSource(kernel, signature, {(kernel.arg_names.index(n),): v for n, v in constants.items()}, attributes)
    options = {"num_warps": tiles.warps, "num_stages": tiles.stages}
    made = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(made.asm["cubin"])
        file.flush()
        usage = _tool("--dump-resource-usage", file.name)
        code = _tool("--dump-sass", file.name)
    counts = {key.lower(): int(value) for key, value in re.findall(r"(REG|STACK):(\d+)", usage)}
    counts["specialised"] = sum(p.name in TURNS and not p.do_not_specialize for p in kernel.params)
    counts["shared"] = made.metadata.shared
    counts["local"] = len(re.findall(r"\b(LDL|STL)\b", code))
    counts["wgmma"] = len(re.findall(r"\bHGMMA\b", code))
    counts["mma"] = len(re.findall(r"\bHMMA\b", code))
    return counts


def _tool(option: str, path: str) -> str:
    command = [str(TOOLS / "cuobjdump"), option, path]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    results = {}
    for head_size in map(int, sys.argv[2:]):
        for module, name, constants, tiles in kernels(head_size):
            label = f"{name}({', '.join(f'{k}={v}' for k, v in constants.items())})"
            results[label] = {**constants, **compile_one(module, name, constants, tiles, int(sys.argv[1]))}
    print(json.dumps(results, indent=1))
