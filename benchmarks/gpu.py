"""How fast the trainer is on this GPU: whole steps beside a compiled baseline, kernels, tiles; and what to try next.

    python benchmarks/gpu.py                          everything, in under 9 minutes
    python benchmarks/gpu.py --only steps-79m,tiles   some sections
    python benchmarks/gpu.py --toy                    a few seconds on a CPU: only shows that it still runs

Sections: ceilings, steps-79m, steps-364m, steps-1.2b, kernels, tiles. The steps of a size begin with the default model
on a batch as Atari gives it, then rope without patches beside the baseline. Each section is a process of its own, so
that one that crashes takes nothing with it, and has its share of the time; what does not fit is listed as left out. The
rows are written to benchmarks/results/<gpu>-<date>.json as they come; a short table and what to try next are printed
last. A figure of `kernels` is forward and backward together. `ratio` is our tokens a second over the baseline's in the
same run. Needs torch, Triton, numpy, safetensors, msgspec and this repository; if Liger-Kernel is installed, its
kernels are measured too.
"""

import argparse
import datetime
import json
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
for _folder in ("", "schemas", "trainer"):  # a rented machine has the files, not necessarily an installation
    sys.path.insert(0, str(ROOT / _folder))

from gpu_advice import advice  # noqa: E402
from gpu_measure import MARK, Clock, clocks, machine, report  # noqa: E402
from gpu_table import table  # noqa: E402

SHARES = {"ceilings": 25, "steps-79m": 90, "steps-364m": 95, "steps-1.2b": 115, "kernels": 150, "tiles": 60}
"""Seconds of each section, in the order they run; what one leaves over goes to the next."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="comma-separated sections", default=",".join(SHARES))
    parser.add_argument("--seconds", type=float, default=sum(SHARES.values()), help="for all of it")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results", help="folder of the JSON file")
    parser.add_argument("--toy", action="store_true", help="toy sizes (without a GPU there is nothing else)")
    parser.add_argument("--section", nargs=2, metavar=("NAME", "SECONDS"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.section:
        measure(args.section[0], float(args.section[1]), args.toy)
        return
    unknown = set(args.only.split(",")) - set(SHARES)
    if unknown:
        parser.error(f"no section named {', '.join(sorted(unknown))}; there are {', '.join(SHARES)}")
    wanted = [name for name in SHARES if name in args.only.split(",")]
    results = run_sections(wanted, args.seconds, args.out, args.toy)
    print("\n".join([*table(results), *advice(results)]))


def measure(section: str, limit_s: float, toy: bool) -> None:
    """In the child process: run one section."""
    import torch

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    toy = toy or device.type == "cpu"
    clock = Clock(time.monotonic() + limit_s)
    report("machine", section, **machine(device), clocks_before=clocks())
    if section.startswith("steps-"):
        from gpu_steps import steps

        steps(section.removeprefix("steps-"), device, clock, toy)
    elif section == "kernels":
        from gpu_kernels import kernels

        kernels(device, clock, toy)
    else:
        import gpu_ceilings

        getattr(gpu_ceilings, section)(device, clock, toy)
    report("machine", section, clocks_after=clocks())


def run_sections(wanted: list[str], limit_s: float, out: Path, toy: bool) -> dict[str, Any]:
    """Run each section in a process and keep the rows on disk as they come."""
    begin = time.monotonic()
    results: dict[str, Any] = {"started": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%dT%H:%M:%SZ}", "rows": []}
    results |= {"machine": {}, "failed": {}}
    for place, section in enumerate(wanted):
        due = limit_s * sum(SHARES[name] for name in wanted[: place + 1]) / sum(SHARES[name] for name in wanted)
        left = begin + due - time.monotonic()
        failure = run_section(section, left, toy, lambda row: keep(results, row, out)) if left > 10 else "no time left"
        if failure:
            results["failed"][section] = failure
        print(f"{section}: {failure or 'done'} after {time.monotonic() - begin:.0f} s", file=sys.stderr)
    save(results, out)
    return results


def run_section(section: str, limit_s: float, toy: bool, keep_row: Any) -> str | None:
    """Why the section's process failed, or None. It is stopped a while after its time is over."""
    # The time to start and to end does not belong to the measurements.
    command = [sys.executable, __file__, "--section", section, str(limit_s - 8), *(["--toy"] if toy else [])]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTORCH_ALLOC_CONF": "expandable_segments:True"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        timer = threading.Timer(limit_s + 12, process.kill)
        timer.start()
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(MARK):
                keep_row(json.loads(line.removeprefix(MARK)))
        code = process.wait()
        timer.cancel()
    return None if code == 0 else f"its process ended with code {code}; see the messages above"


def keep(results: dict[str, Any], row: dict[str, Any], out: Path) -> None:
    """Add a row and write all of them."""
    if row["section"] == "machine":
        state = {key: row.pop(key) for key in ("clocks_before", "clocks_after") if key in row}
        results.setdefault("clocks", {}).setdefault(row["name"], {}).update(state)
        results["machine"].update({key: row[key] for key in row if key not in ("section", "name")})
        return
    results["rows"].append(row)
    save(results, out)


def save(results: dict[str, Any], out: Path) -> None:
    """Write the file whole, so that a reader never sees half of it."""
    gpu = re.sub(r"[^a-z0-9]+", "-", str(results["machine"].get("gpu", "unknown")).lower()).strip("-")
    name = "cpu" if gpu.startswith("none") else gpu
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{name}-{results['started'][:10]}.json"
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(results, indent=1) + "\n")
    temporary.replace(path)


if __name__ == "__main__":
    main()
