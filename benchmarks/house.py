"""How the code is laid out, in figures: sizes, rooms and who imports whom, what an episode passes, import times.

    python benchmarks/house.py
    python benchmarks/house.py --json

Rooms are the modules and packages directly inside a package; an arrow is an import between two of them, a floor one
step of the longest chain of arrows. What is traced is one Atari episode and one captioned picture on their way into a
shard.
"""

import argparse
import ast
import contextlib
import io
import json
import re
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {
    "gato_schemas": ROOT / "schemas/gato_schemas",
    "gato_data": ROOT / "gato_data",
    "gato_pipelines": ROOT / "pipelines/gato_pipelines",
    "gato_trainer": ROOT / "trainer/gato_trainer",
    "gato_cli": ROOT / "cli/gato_cli",
}
TRACED = {
    "Atari episode": ("atari", "tests/data/rlds/rlu_atari"),
    "captioned picture": ("coco-captions", "tests/data/documents/coco"),
}
IMPORTS = {
    "gato-data --help": "import gato_cli.main as m; m.cli.main(['--help'], standalone_mode=False)",
    "the reader": "import gato_data.reading.reader",
    "ingest": "import gato_pipelines.ingest.run",
}


def modules() -> Iterator[tuple[str, Path]]:
    """Dotted name and path of every module of the product."""
    for package, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            yield ".".join((package, *(part for part in parts if part != "__init__"))), path


def lines() -> dict[str, int]:
    """Lines of each package, and the share of them above 100 characters in percent."""
    found: Counter[str] = Counter()
    long = 0
    for name, path in modules():
        text = path.read_text(encoding="utf-8").splitlines()
        found[name.partition(".")[0]] += len(text)
        long += sum(len(line) > 100 for line in text)
    every = sum(found.values())
    return {**found, "all": every, "over 100 characters, percent": round(100 * long / every, 1)}


def imported(path: Path, names: set[str]) -> Iterator[str]:
    """The modules of the product that a module imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            found = [name for name in inner if name in names]
            yield from found or ([node.module] if node.module in names else [])


def rooms(package: str) -> dict[str, int]:
    """Rooms, arrows and floors of a package."""
    names = {name for name, _ in modules()}
    arrows: dict[str, set[str]] = defaultdict(set)
    inside: set[str] = set()
    for name, path in modules():
        if not name.startswith(package + ".") and name != package:
            continue
        here = room_of(name, package)
        inside.add(here)
        for other in imported(path, names):
            if other.startswith(package + ".") and (there := room_of(other, package)) != here:
                arrows[here].add(there)
    inside.discard(package)
    return {
        "rooms": len(inside),
        "arrows": sum(map(len, arrows.values())),
        "floors": max((height(room, arrows, ()) for room in inside), default=0),
        "modules": sum(name.startswith(package + ".") for name in names),
    }


def room_of(name: str, package: str) -> str:
    """The part of a package that a module belongs to."""
    rest = name.removeprefix(package).strip(".")
    return f"{package}.{rest.partition('.')[0]}" if rest else package


def height(room: str, arrows: dict[str, set[str]], above: tuple[str, ...]) -> int:
    """Rooms on the longest chain of imports from a room on; one that comes back is not followed."""
    below = [height(other, arrows, (*above, room)) for other in arrows[room] if other not in (*above, room)]
    return 1 + max(below, default=0)


def class_names() -> dict[str, Any]:
    """Classes, those of one word, and names that several modules give to a class of their own."""
    where: dict[str, list[str]] = defaultdict(list)
    for name, path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                where[node.name.lstrip("_")].append(name)
    public = [name for name in where if name not in ("Source", "Recorder")]  # one for each
    return {
        "classes": len(public),
        "of one word": sum(len(re.findall(r"[A-Z][a-z0-9]*", name)) == 1 for name in public),
        "with several meanings": sorted(name for name in public if len(where[name]) > 1),
    }


def naming(word: str) -> int:
    """How many modules contain a word."""
    pattern = re.compile(rf"\b{word}\b")
    return sum(bool(pattern.search(path.read_text(encoding="utf-8"))) for _, path in modules())


def traced(source: str, folder: str) -> dict[str, int]:
    """Files and functions of the product that an ingest of one episode enters, imports not counted."""
    from gato_pipelines.ingest.run import IngestSettings, run

    entered: set[tuple[str, str]] = set()
    roots = tuple(str(path) for path in PACKAGES.values())

    def note(frame: Any, event: str, _: Any) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(roots) and code.co_name != "<module>":
            entered.add((code.co_filename, code.co_qualname))

    with TemporaryDirectory() as out, contextlib.redirect_stderr(io.StringIO()):
        run(source, {}, ROOT / folder, Path(out, "warm"), IngestSettings(workers=1, max_episodes=1))
        threading.setprofile(note)
        sys.setprofile(note)
        try:
            run(source, {}, ROOT / folder, Path(out, "traced"), IngestSettings(workers=1, max_episodes=1))
        finally:
            sys.setprofile(None)
            threading.setprofile(None)  # type: ignore[arg-type]
    return {"files": len({file for file, _ in entered}), "functions": len(entered)}


def import_seconds(code: str, rounds: int = 3) -> float:
    """The shortest of several fresh interpreters, less one that does nothing."""

    def once(text: str) -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", text], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        return time.perf_counter() - start

    empty = min(once("pass") for _ in range(rounds))
    return round(min(once(code) for _ in range(rounds)) - empty, 2)


def main() -> None:
    """Gathers and prints everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    as_json = parser.parse_args().json
    found: dict[str, Any] = {
        "lines": lines(),
        **{f"rooms of {package}": rooms(package) for package in PACKAGES},
        "class names": class_names(),
        "modules that name holdout": naming("holdout"),
        **{f"entered by one {name}": traced(*case) for name, case in TRACED.items()},
        "import seconds": {name: import_seconds(code) for name, code in IMPORTS.items()},
    }
    if as_json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        shown = value if not isinstance(value, dict) else ", ".join(f"{key} {entry}" for key, entry in value.items())
        print(f"{name}: {shown}")


if __name__ == "__main__":
    main()
