"""Run a recipe: record, ingest, mix, train and play, then hold the scores against what was promised.

    python recipes/run.py redball --out recipes/out

Every command is printed before it runs, and may be typed by hand in the folder `--out`/NAME with this folder in
PYTHONPATH. A command that was done before is not run again: delete that folder to begin anew. The exit code is 1 if a
bar was missed.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
NAMES = tuple(sorted(path.stem for path in HERE.glob("*.toml")))
RESULT = "result.json"
_DONE = "done.jsonl"


@dataclass(frozen=True)
class Bar:
    """What a score has to be.

    Attributes:
        scores: the folder of a rollout.
        task: of it.
        measure: "success", a share of episodes, or "normalised", 0 for chance and 1 for the expert.
        least, most: what it has to lie between.
    """

    scores: str
    task: str
    measure: str
    least: float = float("-inf")
    most: float = float("inf")

    def reached(self, value: float | None) -> bool:
        """Whether a score is good enough; one that is not known is not."""
        return value is not None and self.least <= value <= self.most


@dataclass(frozen=True)
class Recipe:
    """One recipe.

    Attributes:
        about: what it shows.
        commands: of `gato-data`, in order; {recipes} stands for this folder.
        bars: what the scores have to be.
        needs: recipes whose recordings it reads, in folders beside its own; they are run before it.
    """

    about: str
    commands: list[str]
    bars: list[Bar]
    needs: tuple[str, ...] = ()


def read(name: str) -> Recipe:
    """The recipe of a name in `NAMES`."""
    found: dict[str, Any] = tomllib.loads((HERE / f"{name}.toml").read_text())
    bars = [Bar(**bar) for bar in found["bars"]]
    return Recipe(found["about"], found["commands"], bars, tuple(found.get("needs", ())))


def cook(name: str, out: Path) -> bool:
    """Run the commands of a recipe in `out`/NAME, and print what came of it; whether all bars were reached."""
    recipe, folder = read(name), out / name
    for need in recipe.needs:
        if not (out / need / RESULT).exists():
            cook(need, out)
    folder.mkdir(parents=True, exist_ok=True)
    print(f"{name}: {recipe.about}", flush=True)
    seconds = sum(_once(command, folder) for command in recipe.commands)
    rows = [_row(bar, folder) for bar in recipe.bars]
    (folder / RESULT).write_text(json.dumps({"recipe": name, "seconds": round(seconds), "bars": rows}, indent=2) + "\n")
    print(f"\n{name} took {seconds / 60:.1f} minutes")
    for row in rows:
        print(f"{row['task']:<28} {row['measure']:<10} {row['shown']:<28} {row['wanted']:<18} {row['said']}")
    return all(row["reached"] for row in rows)


def _once(command: str, folder: Path) -> float:
    """Run a command unless it was run before; the seconds that it took, now or then."""
    done = folder / _DONE
    lines = done.read_text().splitlines() if done.exists() else []
    before = {entry["command"]: entry["seconds"] for entry in map(json.loads, lines)}
    print(f"\n$ gato-data {command}", flush=True)
    if command in before:
        print(f"[done before, in {before[command]:.0f} s]", flush=True)
        return float(before[command])
    words = shlex.split(command.replace("{recipes}", str(HERE)))
    path = os.pathsep.join(filter(None, (str(HERE), os.environ.get("PYTHONPATH"))))
    began = time.monotonic()
    subprocess.run([_program(), *words], cwd=folder, env={**os.environ, "PYTHONPATH": path}, check=True)
    seconds = time.monotonic() - began
    with open(done, "a") as stream:
        stream.write(json.dumps({"command": command, "seconds": round(seconds, 1)}) + "\n")
    print(f"[{seconds:.0f} s]", flush=True)
    return seconds


def _program() -> str:
    return str(Path(sys.executable).with_name("gato-data"))


def _row(bar: Bar, folder: Path) -> dict[str, Any]:
    """A bar beside the score of a rollout's `scores.json`."""
    found = json.loads((folder / bar.scores / "scores.json").read_text())["scores"]
    task = next(task for task in found["tasks"] if task["task"] == bar.task)
    score = task["normalised"] if bar.measure == "normalised" else task["arms"]["policy"]["success"]
    value = None if score is None else score["value"]
    reached = bar.reached(value)
    wanted = " and ".join(
        f"{word} {100 * limit:g} %"
        for word, limit in (("at least", bar.least), ("at most", bar.most))
        if abs(limit) != float("inf")
    )
    said = "reached" if reached else "MISSED"
    return {
        "scores": bar.scores,
        "task": bar.task,
        "measure": bar.measure,
        **(score or {}),
        "shown": _shown(score),
        "wanted": wanted,
        "reached": reached,
        "said": said,
    }


def _shown(score: dict[str, Any] | None) -> str:
    """A score with its interval, or with its standard error."""
    if score is None:
        return "not known"
    value = f"{100 * score['value']:.1f} %"
    if "low" in score:
        return f"{value} [{100 * score['low']:.1f}, {100 * score['high']:.1f}]"
    return value if score["error"] is None else f"{value} +- {100 * score['error']:.1f}"


def main() -> int:
    """Run the recipes that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", choices=(*NAMES, "all"), metavar="NAME", help=", ".join((*NAMES, "all")))
    parser.add_argument(
        "--out", type=Path, default=HERE / "out", help="Folder of what is made.  [default: recipes/out]"
    )
    options = parser.parse_args()
    names = NAMES if "all" in options.names else options.names
    try:
        reached = [cook(name, options.out.absolute()) for name in names]
    except subprocess.CalledProcessError as error:
        print(
            f"Error: that command failed with exit code {error.returncode}: run this again to go on",
            file=sys.stderr,
        )
        return error.returncode
    return int(not all(reached))


if __name__ == "__main__":
    sys.exit(main())
