"""What to try next, said by the figures of the GPU benchmark."""

from collections.abc import Iterator
from itertools import groupby
from typing import Any

Row = dict[str, Any]

WORTH = 1.03
"""A ratio of times below this is noise."""


def advice(results: dict[str, Any]) -> list[str]:
    """A line for each thing worth trying, what is wrong before what is slow; empty if there is nothing."""
    rows = results["rows"]
    found = [*_wrong(rows), *_slower_than_compiled(rows), *_gaps(rows), *_tiles(rows), *_steps(rows)]
    missing = dict.fromkeys([row["section"] for row in rows if "left_out" in row] + list(results["failed"]))
    if missing:
        found.append(f"python benchmarks/gpu.py --only {','.join(missing)}: not all of it was measured")
    return [f"next: {line}" for line in found]


def _wrong(rows: list[Row]) -> Iterator[str]:
    broken = dict.fromkeys(
        row["name"].split()[1]
        for row in rows
        if row["section"] == "kernels" and row["name"].endswith("is right") and "error" in row
    )
    for name in broken:
        yield f"pytest tests/trainer/kernels -k {name}: it failed its test, and runs fall back to plain torch"


def _times(rows: list[Row]) -> dict[str, dict[str, Row]]:
    """Of every size and operation the rows by kind, where they have a time."""
    found: dict[str, dict[str, Row]] = {}
    for row in rows:
        if row["section"] == "kernels" and "ms" in row:
            case, _, kind = row["name"].rpartition(" ")
            found.setdefault(case, {})[kind] = row
    return found


def _slower_than_compiled(rows: list[Row]) -> Iterator[str]:
    for case, kinds in _times(rows).items():
        if "fused" not in kinds or "compiled" not in kinds:
            continue
        ratio = kinds["fused"]["ms"] / kinds["compiled"]["ms"]
        if ratio > WORTH:
            yield f"{case}: the kernel takes {ratio:.2f} times what torch.compile makes of plain torch"


def _gaps(rows: list[Row]) -> Iterator[str]:
    """The three operations that are furthest above their floors, in milliseconds."""
    fused = [(case, kinds["fused"]) for case, kinds in _times(rows).items() if "fused" in kinds]
    gaps = sorted(((row["ms"] - row["floor_ms"], case, row) for case, row in fused), key=lambda gap: -gap[0])
    for gap, case, row in gaps[:3]:
        yield f"{case}: {gap:.3g} ms above its floor ({row['of_floor']:.0%} of it)"


def _tiles(rows: list[Row]) -> Iterator[str]:
    tried = [row for row in rows if row["section"] == "tiles" and "forward_ms" in row]
    for kernel, group in groupby(tried, key=lambda row: " ".join(row["name"].split()[:3])):
        times = [(row["forward_ms"] + row["backward_ms"], row["name"].removeprefix(kernel).strip()) for row in group]
        (usual, _), (best, shape) = times[0], min(times)
        if usual / best > WORTH:
            yield f"tiles of {kernel}: {shape} takes {best:.3g} ms, those in use {usual:.3g} ms"


def _steps(rows: list[Row]) -> Iterator[str]:
    """What the default model gives away to the same without Transformer-XL's positions, and to plain torch."""
    for section, group in groupby(rows, key=lambda row: row["section"]):
        named = {row["name"]: row["tokens_per_s"] for row in group if "tokens_per_s" in row}
        rope, relative = (named.get(f"ours, {kind}, 5 % supervised") for kind in ("rope", "transformer-xl"))
        if rope and relative and rope / relative > WORTH:
            yield f"{section}: --positions rope is {rope / relative:.2f} times as fast"
        plain = named.get("ours, rope, 5 %, reference kernels")
        if rope and plain and plain / rope > WORTH:
            yield f"{section}: --kernels reference is {plain / rope:.2f} times as fast"
