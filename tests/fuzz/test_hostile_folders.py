"""Links, pipes and files that vanish: nothing is written outside a folder, nothing hangs, and a sentence says why."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from gato_data.errors import GatoError
from gato_schemas.dataset import DEAD_LETTERS, MANIFEST, MANIFEST_COPY
from gato_schemas.index import encode_index, read_index
from tests.fuzz.dataset_commands import COMMANDS, DATASET, INDEX, MIXTURE, SHARD, RefusedError, call, copied

READERS = ("verify", "repair", "inspect", "shard-page", "record", "mixture", "read", "mix")
"""Commands that between them open every file."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of the small dataset and its mixture."""
    return copied(tmp_path)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder that nothing may touch."""
    folder = tmp_path / "outside"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "kept.txt").write_text("kept")
    (folder / "kept.txt").write_text("kept")
    return folder


def content(folder: Path) -> dict[str, bytes]:
    """All files below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def linked_file(name: str) -> Callable[[Path, Path], None]:
    """A file of the dataset lies outside, and is linked to."""

    def link(dataset: Path, outside: Path) -> None:
        (dataset / name).replace(outside / "kept.txt")
        (dataset / name).symlink_to(outside / "kept.txt")

    return link


def planted(name: str, target: str = "kept.txt") -> Callable[[Path, Path], None]:
    """A link where a command writes something new."""
    return lambda dataset, outside: (dataset / name).symlink_to(outside / target)


LINKS = {
    "shard": linked_file(SHARD),
    "index": linked_file(INDEX),
    "manifest": linked_file(MANIFEST),
    "copy": linked_file(MANIFEST_COPY),
    "letters": linked_file(DEAD_LETTERS),
    "temporary-shard": planted(SHARD + ".tmp"),
    "temporary-manifest": planted(MANIFEST + ".tmp"),
    "quarantine": planted("quarantine", "inner"),
    "work": planted(".ingest", "."),
    "nowhere": planted("quarantine", "not there"),
}


@pytest.mark.parametrize("link", LINKS.values(), ids=LINKS)
def test_a_repair_writes_nothing_through_a_link(link: Callable[[Path, Path], None], root: Path, outside: Path) -> None:
    dataset = root / DATASET
    link(dataset, outside)
    for name in (SHARD, INDEX, DEAD_LETTERS):
        data = bytearray((dataset / name).read_bytes())
        data[len(data) // 2] ^= 1
        (dataset / name).write_bytes(data)
    before = content(outside)
    with pytest.raises(RefusedError, match="is a link, and nothing is written through links"):
        call("verify", str(dataset), "--repair", "--force")
    assert content(outside) == before


@pytest.mark.parametrize("link", LINKS.values(), ids=LINKS)
@pytest.mark.parametrize("options", [[], ["--overwrite"], ["--retry-dead-letters"]], ids=" ".join)
def test_an_ingest_writes_nothing_through_a_link(
    options: list[str], link: Callable[[Path, Path], None], root: Path, outside: Path
) -> None:
    raw = root / "raw"
    raw.mkdir()
    (raw / "a.txt").write_text("A text of a few words.")
    link(root / DATASET, outside)
    before = content(outside)
    with pytest.raises(RefusedError, match="is a link, and nothing is written through links"):
        call("ingest", "massivetext", str(raw), "--out", str(root / DATASET), *options)
    assert content(outside) == before


def test_a_mixture_is_not_written_through_a_link(root: Path, outside: Path) -> None:
    (root / (MIXTURE + ".tmp")).symlink_to(outside / "kept.txt")
    call("mix", "--weights", "uniform", "--out", str(root / MIXTURE), str(root / DATASET))
    assert (outside / "kept.txt").read_text() == "kept"


def test_a_whole_dataset_of_links_is_read(root: Path, outside: Path) -> None:
    for name in (SHARD, INDEX):
        shutil.move(root / DATASET / name, outside / name)
        (root / DATASET / name).symlink_to(outside / name)
    for command in ("verify", "inspect-page", "record", "read"):
        COMMANDS[command](root)


@pytest.mark.parametrize("name", [MANIFEST, MANIFEST_COPY, INDEX, SHARD, DEAD_LETTERS, "text.model", f"../{MIXTURE}"])
def test_what_never_ends_is_not_read(name: str, root: Path) -> None:
    path = root / DATASET / name
    path.unlink()
    if name in (INDEX, MANIFEST_COPY):
        path.symlink_to("/dev/zero")
    else:
        os.mkfifo(path)
    for command in READERS:
        with suppress(GatoError):
            COMMANDS[command](root)


class Vanishing:
    """Removes files at the moment in which they are opened; there is one such hook in a process, it cannot go."""

    def __init__(self) -> None:
        self.target, self.opened = "", set[str]()
        sys.addaudithook(self._see)

    def _see(self, event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str | os.PathLike):
            path = os.fspath(arguments[0])
            self.opened.add(str(path))
            if path == self.target:
                self.target = ""
                os.unlink(path)

    @contextmanager
    def of(self, path: Path) -> Iterator[None]:
        """The file goes when it is next opened."""
        self.target = str(path)
        try:
            yield
        finally:
            self.target = ""


VANISHING = Vanishing()


@pytest.mark.parametrize("name", COMMANDS)
def test_a_file_that_vanishes_costs_a_sentence(name: str, root: Path) -> None:
    VANISHING.opened.clear()
    COMMANDS[name](root)
    files = [path.relative_to(root) for path in sorted(root.rglob("*")) if str(path) in VANISHING.opened]
    assert files
    for file in files:
        shutil.rmtree(root)
        copied(root.parent)
        with VANISHING.of(root / file), suppress(GatoError):
            COMMANDS[name](root)


@pytest.mark.parametrize("name", ["record", "record-json", "shard-page"])
def test_a_record_that_its_index_describes_otherwise(name: str, root: Path) -> None:
    index = read_index(root / DATASET / INDEX)
    longer = index.num_timesteps.copy()
    longer[1] += 1
    (root / DATASET / INDEX).write_bytes(encode_index(index.header, {**index.arrays, "num_timesteps": longer}))
    with pytest.raises(RefusedError, match=f"record 1 of {SHARD} has 4 timesteps, its index says 5: run gato-data"):
        COMMANDS[name](root)
