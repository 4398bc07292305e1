"""Compile kernels for a GPU that need not be there; print what the assembler says of each as JSON.

`python compile_worker.py CAPABILITY`, without TRITON_INTERPRET.
"""

import importlib
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"


def norm(width: int) -> list[tuple[str, str, dict[str, Any], int]]:
    from gato_trainer.kernels.fused_norm import tile

    size = tile(width)
    warps = size.pop("num_warps")
    flags = {"HAS_BRANCH": True, "HAS_KEEP": True, **size}
    return [("fused_norm", name, flags, warps) for name in ("add_norm_forward", "add_norm_backward")]


def patch_block(channels: int, grid: int) -> list[tuple[str, str, dict[str, Any], int]]:
    from gato_trainer.kernels.fused_patch_block import BACKWARD, FORWARD, WEIGHTS

    of_map = {"GRID": grid, "CHANNELS": channels}
    found = (
        ("patch_forward", {**of_map, **FORWARD}),
        ("patch_backward_late", {**of_map, **BACKWARD}),
        ("patch_backward_early", {**of_map, **BACKWARD}),
        ("patch_weights", {"CHANNELS": channels, **WEIGHTS}),
    )
    return [("fused_patch_kernels", name, flags, flags.pop("num_warps")) for name, flags in found]


def kernels() -> list[tuple[str, str, dict[str, Any], int]]:
    """(module, kernel, constants, warps): every kernel as it is launched at the paper's sizes."""
    tile = {"ROWS": 4, "COLUMNS": 256}
    embedding = {"ROWS": 8, "COLUMNS": 256}
    loss = {"BLOCK": 2048, "KNOWN": False, "GRADIENT": True}
    return [
        *norm(768),
        *norm(1536),
        *norm(2048),
        ("fused_geglu", "geglu_forward", tile, 4),
        ("fused_geglu", "geglu_backward", tile, 4),
        ("fused_embedding", "embed_forward", embedding, 4),
        ("fused_embedding", "add_pieces", {"PIECE": 512, **embedding}, 4),
        ("fused_embedding", "add_partials", {"COLUMNS": 256}, 4),
        ("fused_cross_entropy", "cross_entropy", loss, 8),
        *patch_block(64, 2),
        *patch_block(32, 4),
    ]


INT64 = {
    "tokens", "local_row", "patch_index", "patch_row", "patch_column", "order", "start", "piece_row",
    "piece_first", "target", "partial_first", "long_row",
}  # fmt: skip
FLOAT32 = {
    "keep", "gain", "bias", "mean", "scale", "partial", "table", "local_table", "row_table", "column_table", "sums",
    "loss", "log_sum", "root_bias", "gain1", "bias1", "conv1_bias", "gain2", "bias2", "conv2_bias", "d_root",
    "d_vectors",
}  # fmt: skip
SCALARS = {
    "n", "width", "per_keep", "strip", "inner", "rows", "columns", "vocabulary", "count", "first_patch", "last_patch",
}  # fmt: skip
TYPES = {
    **dict.fromkeys(INT64, "*i64"),
    **dict.fromkeys(FLOAT32, "*fp32"),
    **dict.fromkeys(SCALARS, "i32"),
    "patch_of": "*i32",
    "pixels": "*u8",
    "map_step": "i64",
    "correct": "*i8",
    "epsilon": "fp32",
}
UNKNOWN_MULTIPLE = {"n", "strip", "rows", "vocabulary", "epsilon", "count", "first_patch", "last_patch"}


def compile_one(module: str, name: str, constants: dict[str, Any], warps: int, capability: int) -> dict[str, int]:
    """Registers, bytes of stack and spilled accesses of one kernel; tensors without a type above are bf16."""
    kernel = getattr(importlib.import_module(f"gato_trainer.kernels.{module}"), name)
    options = {"num_warps": warps, "num_stages": constants.pop("num_stages", 3)}
    signature = {a: "constexpr" if a in constants else TYPES.get(a, "*bf16") for a in kernel.arg_names}
    attributes = {
        (i,): [["tt.divisibility", 16]]
        for i, argument in enumerate(kernel.arg_names)
        if argument not in constants and argument not in UNKNOWN_MULTIPLE
    }
    source = ASTSource(kernel, signature, {(kernel.arg_names.index(n),): v for n, v in constants.items()}, attributes)
    made = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(made.asm["cubin"])
        file.flush()
        usage = _tool("--dump-resource-usage", file.name)
        code = _tool("--dump-sass", file.name)
    counts = {key.lower(): int(value) for key, value in re.findall(r"(REG|STACK):(\d+)", usage)}
    counts["shared"] = made.metadata.shared
    counts["local"] = len(re.findall(r"\b(LDL|STL)\b", code))
    counts["wide_loads"] = len(re.findall(r"\bLDG(STS)?\.E(\.\w+)*\.128\b", code))
    counts["wgmma"] = len(re.findall(r"\bHGMMA\b", code))
    return counts


def _tool(option: str, path: str) -> str:
    command = [str(TOOLS / "cuobjdump"), option, path]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    target = int(sys.argv[1])
    results = {}
    for module, name, constants, warps in kernels():
        label = f"{name}({', '.join(f'{k}={v}' for k, v in constants.items())})"
        results[label] = {"warps": warps, **compile_one(module, name, constants, warps, target)}
    print(json.dumps(results, indent=1))
