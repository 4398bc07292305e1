"""What every source keeps to, tried over a small input: for the tests of those who write one."""

import shutil
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

from gato_pipelines.registry.find import make_source
from gato_pipelines.source import Source
from gato_schemas.dataset import TaskInfo
from gato_schemas.index import Part


def check_source(name: str, folder: Path, settings: Mapping[str, Any] | None = None) -> int:
    """Run a source over a small folder of sound input, and check that it keeps to the contract.

    Parts, scans and episodes have to be the same every time, also where the input was moved, and
    no path may get into the dataset. Takes seconds, and writes into a temporary folder only.

    Args:
        name: of the source, as on the command line.
        folder: of the input.
        settings: of the source; those not given have their defaults.

    Returns:
        how many episodes it read.

    Raises:
        AssertionError: the source breaks the contract; says how.
        GatoError: the source, or what it gives, cannot be used at all.
    """
    from gato_pipelines.ingest.run import plan_only
    from gato_pipelines.ingest.settings import IngestSettings

    made, given = make_source(name, settings or {}), dict(settings or {})
    _require(make_source(name, given) == made, "one of the same settings, as workers make it, differs")
    _check_parts(made.parts(folder), made.parts(folder))
    plan = plan_only(name, given, folder, folder.parent / "out", IngestSettings()).plan
    for part in plan.parts:
        scans = [made.scan(folder, part), made.scan(folder, part)]
        _require(scans[0] == scans[1], f"{part.file} is scanned in two ways")
        _check_items(made, folder, part, plan.tasks[part.task])
    with TemporaryDirectory() as scratch:
        return _check_bytes(name, given, folder, Path(scratch))


def _check_parts(parts: list[Part], again: list[Part]) -> None:
    _require(bool(parts), "it finds no parts")
    _require(all(isinstance(part, Part) for part in parts), "parts are to be of the type Part")
    _require(parts == again, "it finds other parts, or in another order, the second time")
    for part in parts:
        name = PurePosixPath(part.file)
        is_inside = not name.is_absolute() and ".." not in name.parts
        _require(is_inside, f"{part.file} is no name relative to the input")
    places = [(part.file, part.first) for part in parts]
    _require(len(set(places)) == len(places), "two parts begin at one place")


def _check_items(made: Source, folder: Path, part: Part, task: TaskInfo) -> None:
    items, again = (list(made.read(folder, part, task)) for _ in range(2))
    for item in items:
        what = f"item {item.key!r} of {part.file}"
        _require((item.content is None) != (item.error is None), f"{what} is to be content or error")
    ordinals = [item.ordinal for item in items]
    _require(ordinals == sorted(set(ordinals)), f"the numbers of {part.file} do not ascend: {ordinals}")
    found = [(item.key, item.ordinal, item.count) for item in items]
    other = [(item.key, item.ordinal, item.count) for item in again]
    _require(found == other, f"the second reading of {part.file} gives other items")
    count = sum(item.count for item in items)
    if task.filter is None:
        _require(count == part.count, f"{part.file} was scanned with {part.count} episodes, read with {count}")


def _check_bytes(name: str, settings: dict[str, Any], folder: Path, scratch: Path) -> int:
    """Ingest an input and a copy of it that lies elsewhere; returns the number of episodes."""
    from gato_pipelines.ingest.run import run
    from gato_pipelines.ingest.settings import IngestSettings

    moved = scratch / "moved" / folder.resolve().name
    shutil.copytree(folder, moved)
    ingest = IngestSettings(workers=1)
    made = run(name, settings, folder, scratch / "a" / "data", ingest)
    run(name, settings, moved, scratch / "b" / "data", ingest)
    found, other = (_files(scratch / side / "data") for side in "ab")
    _require(_digests(found) == _digests(other), "an input that was moved gives other bytes")
    for file, content in other.items():
        _require(str(moved).encode() not in content, f"the path of the input got into {file}")
    return sum(split.totals.episodes for split in made.manifest.splits.values())


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def _digests(files: Mapping[str, bytes]) -> dict[str, str]:
    return {name: sha256(content).hexdigest() for name, content in files.items()}


def _require(holds: bool, sentence: str) -> None:
    if not holds:
        raise AssertionError(sentence)
