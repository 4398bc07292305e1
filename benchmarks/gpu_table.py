"""The short table that the GPU benchmark prints last; every figure is in its JSON file."""

from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any

Row = dict[str, Any]


def table(results: dict[str, Any]) -> list[str]:
    """The sections in the order they ran, then what failed or was left out."""
    found = results["machine"]
    lines = [f"{found.get('gpu')}, torch {found.get('torch')}, Triton {found.get('triton')}"]
    rows = [row for row in results["rows"] if "error" not in row and "left_out" not in row]
    for section, group in groupby(rows, key=lambda row: row["section"]):
        lines += [f"-- {section}", *_PRINTED.get(section, whole_steps)(list(group))]
    lines += [f"!! {row['section']}, {row['name']}: {row['error'][:110]}" for row in results["rows"] if "error" in row]
    left_out = [f"{row['section']}, {row['name']}" for row in results["rows"] if "left_out" in row]
    if left_out:
        lines.append(f"left out: {len(left_out)}, the first of them {left_out[0]}")
    return lines + [f"!! {name}: {reason}" for name, reason in results["failed"].items()]


def ceilings(rows: list[Row]) -> Iterator[str]:
    """Copy and a large product, then a line for each model: forward, input gradient, weight gradient."""
    for row in rows[:2]:
        yield f"{row['name']}: {_first(row)}"
    for (size, product), group in groupby(rows[2:], key=lambda row: tuple(row["name"].split()[:2])):
        rates = " / ".join(f"{row['tflops']:.3g}" for row in group)
        yield f"{size} {product}: {rates} TFLOP/s"


def kernels(rows: list[Row]) -> Iterator[str]:
    """A line for each size and operation: milliseconds, and for ours the share of the floor."""
    cells: dict[str, list[str]] = {}
    for row in rows:
        operation, _, kind = row["name"].removesuffix(" is right").rpartition(" ")
        if "verdict" in row:
            cells.setdefault(row["name"].removesuffix(" is right"), []).append("right")
            continue
        share = f" ({row['of_floor']:.0%} of floor)" if kind == "fused" else ""
        cells.setdefault(operation, []).append(f"{kind} {row['ms']:.3g} ms{share}")
    for operation, values in cells.items():
        yield f"{operation:<28} {', '.join(values)}"


def whole_steps(rows: list[Row]) -> Iterator[str]:
    """A line for each run."""
    for row in rows:
        shares = [f"MFU {row['mfu']:.1%}"] if "mfu" in row else []
        shares += [f"ours is {row['ratio']:.2f} times as fast"] if "ratio" in row else []
        shares += [f"{row['gib']:.0f} GiB", row["kernels"][:50]]
        yield (
            f"{row['name']:<44} {row['tokens_per_s'] / 1e3:,.1f} k tokens/s, {row['ms']:,.0f} ms, floor "
            f"{row['floor_ms']:,.0f} ms, {', '.join(shares)}"
        )


def tiles(rows: list[Row]) -> Iterator[str]:
    """For each kernel the shape in use, which comes first, and the fastest."""
    for kernel, group in groupby(rows, key=lambda row: " ".join(row["name"].split()[:3])):
        tried = [(row["forward_ms"] + row["backward_ms"], row["name"].removeprefix(kernel).strip()) for row in group]
        (usual, shape), (best, other) = tried[0], min(tried)
        yield f"{kernel}: {shape} {usual:.3g} ms; best of {len(tried)} {other} {best:.3g} ms"


def _first(row: Row) -> str:
    return ", ".join(f"{key} {row[key]:.4g}" for key in ("gb_per_s", "tflops") if key in row)


_PRINTED: dict[str, Callable[[list[Row]], Iterator[str]]] = {
    "ceilings": ceilings,
    "kernels": kernels,
    "tiles": tiles,
}
