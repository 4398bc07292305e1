#!/usr/bin/env python3
"""Set up, try and test gato-data with nothing but Python 3.11 or 3.12.

python3 dev.py demo           real episodes -> tokens -> training -> a model that plays, under demo/
python3 dev.py test           ruff, mypy, import-linter, the site and pytest, which gets other options: dev.py test -k x
python3 dev.py setup          only the environment
python3 dev.py constraints    resolve pyproject.toml afresh and rewrite constraints.txt

Each of them first makes the virtual environment .venv (or the folder named by GATO_VENV), and reuses it next time.
This file uses the standard library only, and parses on Python 3.7, so that an old one gets a sentence, not a traceback.
"""

from __future__ import annotations

import argparse
import glob
import hashlib
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

ROOT = Path(__file__).resolve().parent
PYTHONS = ("3.11", "3.12")
EXTRAS = "ingest,video,train,simulators,simulators-mujoco,dask,remote,tokenizers,docs,dev"
OLDEST_PIP = (25, 1)  # resumes broken downloads of large wheels

# What `demo` runs, in order: arguments of gato-data. A shell would expand the patterns in the same way.
DEMO = (
    "record atari --game breakout --episodes 8 --out demo/breakout-rlds",
    "record atari --game pong --episodes 8 --out demo/pong-rlds",
    "ingest atari demo/breakout-rlds --out demo/breakout --holdout 0.25",
    "ingest atari demo/pong-rlds --out demo/pong --holdout 0.25",
    "inspect dataset demo/breakout",
    "inspect shard demo/breakout/breakout-train.tfrecord-00000-of-????? --record 0",
    "mix --weights breakout=2,pong=1 --steps 50 --batch-size 8 --context-length 256 --out demo/mixture.json "
    "demo/breakout demo/pong",
    "train --mixture demo/mixture.json --out demo/run",
    "record babyai --level GoToObjS4 --episodes 400 --out demo/room-rlds",
    "ingest babyai demo/room-rlds --out demo/room --holdout 0.1",
    "mix --weights room=1 --steps 200 --batch-size 12 --context-length 160 --out demo/room.json demo/room",
    "train --mixture demo/room.json --width 64 --blocks 2 --feed-forward 256 --positions rope "
    "--stochastic-depth 0 --prompt-share 0 --out demo/player",
    "rollout demo/player --episodes 40 --environments 10 --out demo/scores --gif demo/play.gif",
)

# What `test` runs, in order. All of them run, also after a failure.
CHECKS = {
    "lint": "ruff check .",
    "format": "ruff format --check .",
    "types": "mypy",
    "imports": "lint-imports",
    "site": "mkdocs build --strict",
    "pytest": "pytest -n auto",
}

# Not in constraints.txt: ourselves, and what only a CUDA build of torch brings along, in versions of its own.
LEFT_OUT = re.compile(r"gato-data$|nvidia-|cuda-|triton$")


def fail(message: str) -> NoReturn:
    """Ends the program with one sentence on stderr and exit code 1."""
    sys.exit(f"Error: {message}")


class State(NamedTuple):
    """What `.venv/gato-setup.json` says about an environment; it is complete once everything is installed."""

    python: str
    root: str
    inputs: str
    created_here: bool
    complete: bool


class Environment:
    """The virtual environment that everything runs in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "bin" / "python"
        self.state_file = folder / "gato-setup.json"

    def read_state(self) -> State | None:
        """Returns what the last set-up left, or None if there was none."""
        try:
            return State(**json.loads(self.state_file.read_text(encoding="utf-8")))
        except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
            return None

    def write_state(self, state: State) -> None:
        """Replaces the state file whole."""
        temporary = self.state_file.with_suffix(".tmp")
        temporary.write_text(json.dumps(state._asdict()), encoding="utf-8")
        temporary.replace(self.state_file)

    def ready(self) -> None:
        """Makes the environment, or reuses it when nothing it depends on has changed."""
        start = time.monotonic()
        wanted = State(running_python(), str(ROOT), inputs_hash(), created_here=True, complete=True)
        found = self.read_state()
        if found and found._replace(created_here=True) == wanted and self.python.exists():
            say(f"Environment: {self.folder} (ready)")
            return
        say(f"Environment: {self.folder}")
        created_here = found.created_here if found else empty(self.folder)
        reason = leftover(found, wanted, self.python) if found else ""
        if not created_here:
            self.check_foreign(wanted.python)
        wanted = wanted._replace(created_here=created_here)
        make_folder(self.folder)
        self.write_state(wanted._replace(complete=False))
        if created_here and reason:
            say(f"  start again: {reason}")
            clear(self.folder, keep=self.state_file)
        self.create()
        packages = ["--editable", f"{ROOT}[{EXTRAS}]", "--constraint", str(ROOT / "constraints.txt")]
        self.step("install gato-data and what it needs", self.pip("install", *packages))
        self.write_state(wanted)
        say(f"  ready in {time.monotonic() - start:.1f} s; the next run reuses it")

    def check_foreign(self, wanted: str) -> None:
        """Fails unless a folder that somebody else made is an environment that can be used."""
        version = environment_version(self.folder)
        if version is None:
            fail(f"{self.folder} is not a virtual environment: remove it or name another folder in GATO_VENV.")
        if version != wanted:
            fail(f"{self.folder} is for Python {version}, not {wanted}: remove it or name another in GATO_VENV.")

    def create(self) -> None:
        """Makes an environment with a recent pip, where there is none."""
        if not self.python.exists():
            self.step("create it", [base_python(), "-m", "venv", str(self.folder)])
        shown = subprocess.run(self.pip("--version"), capture_output=True, text=True, check=False).stdout
        version = tuple(int(number) for number in re.findall(r"\d+", shown)[:2])
        if not version:
            fail(f"{self.folder} has no working pip: remove it and run this again.")
        if version < OLDEST_PIP:
            self.step("upgrade pip", self.pip("install", "--upgrade", "pip"))

    def pip(self, *arguments: str) -> list[str]:
        """Returns a pip command line for this environment."""
        return [str(self.python), "-m", "pip", "--disable-pip-version-check", *arguments]

    def step(self, title: str, command: list[str]) -> None:
        """Runs one step of the set-up; of its output only large downloads are shown, and the end if it fails."""
        say(f"  {title} ...")
        start = time.monotonic()
        lines = []
        pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        process = subprocess.Popen(command, text=True, env={**os.environ, "PIP_PROGRESS_BAR": "off"}, **pipes)
        try:
            for line in process.stdout or ():
                lines.append(line.rstrip())
                if re.search(r"^\s*Downloading .*\d{2}(\.\d+)? [MG]B|^Installing collected", line):
                    say(f"    {re.sub(r'-(cp|py)[23].*whl', '', line.strip())[:100]}")
            process.wait()
        finally:  # an interrupted set-up must not go on behind our back
            process.terminate()
        if process.returncode:
            fail(f"could not {title}: {cause(lines)}\n" + "\n".join(f"  | {line}" for line in lines[-12:]))
        say(f"  {title}: {time.monotonic() - start:.1f} s")


def cause(lines: list[str]) -> str:
    """Returns what a failed set-up step needs, in one sentence; its last lines are shown after it."""
    text = "\n".join(lines)
    if re.search(r"connection broken by|NewConnectionError|Max retries exceeded|name resolution|Timeout", text):
        return "the package index cannot be reached; check the network or pip's proxy and index settings."
    if "No space left on device" in text:
        return "the disk is full; free some gigabytes and run this again."
    return "the last lines say why; run this again when it is mended."


def leftover(found: State, wanted: State, python: Path) -> str:
    """Returns why an environment made by us has to be made anew, or an empty string."""
    if not found.complete:
        return "the last set-up was interrupted"
    if found.python != wanted.python:
        return f"it is for Python {found.python}, not {wanted.python}"
    if found.root != wanted.root:
        return f"it was made for {found.root}"
    return "" if python.exists() else "its Python is gone"


def empty(folder: Path) -> bool:
    """Returns whether nothing is at a path, or only an empty folder."""
    return not any(folder.iterdir()) if folder.is_dir() else not folder.exists()


def clear(folder: Path, keep: Path) -> None:
    """Empties a folder but for the file that says it is ours, so that an interruption here does no harm."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        elif path != keep:
            path.unlink()


def environment_version(folder: Path) -> str | None:
    """Returns the Python version (`3.11`) of any virtual environment, None if it is not one."""
    try:
        settings = (folder / "pyvenv.cfg").read_text(encoding="utf-8")
    except OSError:
        return None
    match = re.search(r"^version(?:_info)?\s*=\s*(\d+\.\d+)", settings, re.MULTILINE)
    return match.group(1) if match else None


def make_folder(folder: Path) -> None:
    """Makes the folder of an environment, if this Python can fill it."""
    missing = [name for name in ("venv", "ensurepip") if importlib.util.find_spec(name) is None]
    if missing:
        version = running_python()
        fail(
            f"Python {version} has no {missing[0]} module, which makes environments: install it"
            f" (on Debian and Ubuntu: apt install python{version}-venv) and run this again."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fail(f"{folder} cannot be made ({error.strerror}): name another folder in GATO_VENV.")


def inputs_hash() -> str:
    """Returns a hash of the files that decide what is installed."""
    digest = hashlib.sha256(EXTRAS.encode())
    for name in ("pyproject.toml", "constraints.txt"):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def running_python() -> str:
    """Returns the version of this interpreter, as `3.11`."""
    return "{}.{}".format(*sys.version_info[:2])


def base_python() -> str:
    """Returns the interpreter outside any environment, so that one can be made anew from inside itself."""
    return getattr(sys, "_base_executable", None) or sys.executable


def use_supported_python() -> None:
    """Starts this program again under a supported Python if this one is not; fails if there is none."""
    if running_python() in PYTHONS:
        return
    for version in PYTHONS:
        python = shutil.which(f"python{version}")
        if python and subprocess.run([python, "-c", "import venv"], capture_output=True, check=False).returncode == 0:
            say(f"Python {running_python()} is not supported; using {python}")
            os.execv(python, [python, *sys.argv])
    fail(f"Python {running_python()} is not supported, and no other was found: install Python {' or '.join(PYTHONS)}.")


def say(text: str) -> None:
    """Prints a line at once, also into a pipe."""
    print(text, flush=True)


def run_demo(environment: Environment) -> int:
    """Runs the main job on real data in a clean demo folder."""
    folder, mark = ROOT / "demo", ROOT / "demo" / ".made-by-dev-py"
    if not empty(folder) and not mark.exists():
        fail(f"{folder} was not made by this program: move it away and run this again.")
    folder.mkdir(exist_ok=True)
    mark.touch()
    clear(folder, keep=mark)
    start = time.monotonic()
    for line in DEMO:
        arguments = [path for word in shlex.split(line) for path in expanded(word)]
        say(f"\n$ gato-data {shlex.join(arguments)}")
        began = time.monotonic()
        code = run([str(environment.folder / "bin" / "gato-data"), *arguments])
        if code:
            fail(f"that command failed with exit code {code}.")
        say(f"[{time.monotonic() - began:.1f} s]")
    say(f"\nThe demo took {time.monotonic() - start:.1f} s; its files are in {folder}")
    return 0


def expanded(word: str) -> list[str]:
    """Returns the files that a shell pattern stands for, or the word itself."""
    return sorted(glob.glob(word, root_dir=ROOT)) or [word]


def run(command: list[str]) -> int:
    """Runs a command in the repository with its output shown; returns its exit code."""
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "true"}  # a notice of the site's theme about its future
    return subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, env=environment, check=False).returncode


def run_tests(environment: Environment, only: list[str], pytest_options: list[str]) -> int:
    """Runs the checks, prints a table of them and returns 1 if one failed."""
    rows = []
    for name in only or CHECKS:
        program, *arguments = shlex.split(CHECKS[name])
        options = pytest_options if name == "pytest" else []
        say(f"\n$ {shlex.join([program, *arguments, *options])}")
        start = time.monotonic()
        code = run([str(environment.folder / "bin" / program), *arguments, *options])
        rows.append((name, "passed" if code == 0 else f"FAILED ({code})", time.monotonic() - start))
    say(f"\n{'check':<10} {'result':<12} seconds")
    for name, result, seconds in rows:
        say(f"{name:<10} {result:<12} {seconds:>7.1f}")
    return int(any(result != "passed" for _, result, _ in rows))


def write_constraints() -> int:
    """Resolves the project's ranges to the newest versions and writes them down."""
    with tempfile.TemporaryDirectory() as scratch:
        environment, report = Environment(Path(scratch)), Path(scratch, "report.json")
        say("Environment: a temporary one")
        environment.create()
        resolve = ["install", "--dry-run", "--ignore-installed", "--report", str(report)]
        environment.step("resolve", environment.pip(*resolve, f"{ROOT}[{EXTRAS}]"))
        packages = [item["metadata"] for item in json.loads(report.read_text(encoding="utf-8"))["install"]]
    pins = {re.sub(r"[-_.]+", "-", item["name"]).lower(): item["version"].partition("+")[0] for item in packages}
    lines = [f"{name}=={pins[name]}\n" for name in sorted(pins) if not LEFT_OUT.match(name)]
    header = "# The versions that the README's commands install. Written by: python3 dev.py constraints\n"
    (ROOT / "constraints.txt").write_text(header + "".join(lines), encoding="utf-8")
    say(f"  constraints.txt: {len(lines)} versions")
    return 0


def main() -> int:
    """Reads the command line and does what it says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("command", choices=("demo", "test", "setup", "constraints"))
    parser.add_argument("--only", action="append", choices=CHECKS, metavar="CHECK", help=f"test: {', '.join(CHECKS)}")
    options, rest = parser.parse_known_args()
    if options.command != "test" and (rest or options.only):
        parser.error(f"only `test` takes options; got {shlex.join(rest) or '--only'}")
    use_supported_python()
    if options.command == "constraints":
        return write_constraints()
    environment = Environment(Path(os.environ.get("GATO_VENV") or ROOT / ".venv").absolute())
    environment.ready()
    if options.command == "demo":
        return run_demo(environment)
    return run_tests(environment, options.only or [], rest) if options.command == "test" else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\nInterrupted: run the same command again to go on.", file=sys.stderr)
        sys.exit(130)
