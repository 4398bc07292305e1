"""Remote folders: what goes in and comes out is what a local ingest reads and writes."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import fsspec
import pytest

from gato_data.errors import GatoError, InputError, MissingPackageError, OutputError, SettingError
from gato_data.remote.address import as_place, is_remote
from gato_data.remote.folder import RemoteFolder
from gato_pipelines.remote.input import Mirror
from gato_pipelines.remote.output import RemoteOutput
from gato_pipelines.remote.whole_files import WholeFiles
from tests.document_inputs import make_coco
from tests.remote_folders import down, memory_file, run, up
from tests.rlds_inputs import digests, flip, shards


def test_from_memory_to_memory(
    memory: fsspec.AbstractFileSystem, source: Path, wanted: dict[str, str], tmp_path: Path
) -> None:
    given = up(memory, source, "memory://bucket/in/rlds")
    summary = run(given, "memory://bucket/out/arm")
    assert down("memory://bucket/out/arm", tmp_path / "copy") == wanted
    assert summary.manifest.name == "arm"
    assert run(given, "memory://bucket/out/arm").was_complete
    assert down("memory://bucket/in/rlds", tmp_path / "input") == digests(source)


@pytest.mark.parametrize("remote", ["in", "out"])
def test_one_side_remote_with_two_processes(source: Path, wanted: dict[str, str], tmp_path: Path, remote: str) -> None:
    """A disk that all processes see, through fsspec."""
    given: Any = f"local://{source}" if remote == "in" else source
    out: Any = f"local://{tmp_path}/arm" if remote == "out" else tmp_path / "arm"
    (tmp_path / "arm").mkdir()
    run(given, out, workers=2)
    assert digests(tmp_path / "arm") == wanted


def test_text_a_single_file_and_a_pattern(memory: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.jsonl"):
        lines = "".join(json.dumps({"text": f"The line {n} of {name}."}) + "\n" for n in range(9))
        (tmp_path / name).write_text(lines)
        memory.pipe_file(f"/texts/{name}", lines.encode())
    run(tmp_path / "a.jsonl", tmp_path / "one" / "out", "massivetext")
    run("memory://texts/a.jsonl", tmp_path / "remote-one" / "out", "massivetext")
    assert digests(tmp_path / "remote-one" / "out") == digests(tmp_path / "one" / "out")
    run(tmp_path / "*.jsonl", tmp_path / "both" / "out", "massivetext")
    run("memory://texts/*.jsonl", tmp_path / "remote-both" / "out", "massivetext")
    assert digests(tmp_path / "remote-both" / "out") == digests(tmp_path / "both" / "out")


def test_files_that_planning_looks_into_are_copied_first(memory: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    folder = make_coco(tmp_path / "coco")
    run(folder, tmp_path / "local-out" / "out", "coco-captions")
    run(up(memory, folder, "memory://bucket/coco"), "memory://bucket/out", "coco-captions")
    assert down("memory://bucket/out", tmp_path / "copy") == digests(tmp_path / "local-out" / "out")


def test_large_files_come_when_they_are_read_and_go_again(
    memory: fsspec.AbstractFileSystem, source: Path, wanted: dict[str, str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    fetched: list[str] = []
    here: list[int] = []
    fetch, make_room = WholeFiles._fetch, WholeFiles._make_room

    def after(files: WholeFiles) -> None:
        make_room(files)
        here.append(sum(path.stat().st_blocks > 0 for path in shards(files.root)))

    def noted(files: WholeFiles, names: list[str]) -> None:
        fetched.extend(names)
        fetch(files, names)

    monkeypatch.setattr(WholeFiles, "_fetch", noted)
    monkeypatch.setattr(WholeFiles, "_make_room", after)
    monkeypatch.setattr(Mirror.__init__, "__defaults__", (0,))
    given = up(memory, source, "memory://bucket/rlds")
    run(given, tmp_path / "arm")
    assert digests(tmp_path / "arm") == wanted
    names = [path.name for path in shards(source)]
    assert fetched == [*names, *names]  # for the scan, and for the tokens
    assert here == [0] * 6


def test_of_files_that_have_no_room_the_others_are_fetched_once(
    memory: fsspec.AbstractFileSystem, source: Path, wanted: dict[str, str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Room for two of three: what both passes need first is kept, and not what was read last."""
    fetched: list[str] = []
    fetch = WholeFiles._fetch

    def noted(files: WholeFiles, names: list[str]) -> None:
        fetched.extend(names)
        fetch(files, names)

    names = [path.name for path in shards(source)]
    monkeypatch.setattr(WholeFiles, "_fetch", noted)
    monkeypatch.setattr(Mirror.__init__, "__defaults__", (sum(path.stat().st_size for path in shards(source)[:2]) + 9,))
    run(up(memory, source, "memory://bucket/rlds"), tmp_path / "arm")
    assert digests(tmp_path / "arm") == wanted
    assert fetched == [*names, names[1]]


class KilledError(RuntimeError):
    """Stands for SIGKILL; inside a pipeline it arrives as the failure of a worker."""


@pytest.mark.parametrize("retry", [False, True])
def test_killed_at_every_upload(
    memory: fsspec.AbstractFileSystem, source: Path, wanted: dict[str, str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, retry: bool,
) -> None:  # fmt: skip
    """After any number of uploads the same command ends with the same bytes, and no manifest came too early."""
    given, asked = up(memory, source, "memory://bucket/rlds"), {"max_bad": 0, "retry_dead_letters": retry}
    start: dict[str, bytes] = {}
    if retry:
        whole = {path: memory.cat_file(path) for path in memory.find("/bucket/rlds")}
        damaged = tmp_path / "damaged"
        shutil.copytree(source, damaged)
        flip(shards(damaged)[1], shards(damaged)[1].stat().st_size - 40)
        up(memory, damaged, given)
        run(given, "memory://bucket/arm", max_bad=1)
        start = {path: memory.cat_file(path) for path in memory.find("/bucket/arm")}
        for path, data in whole.items():
            memory.pipe_file(path, data)
    ended, done = False, 0
    while not ended:
        if memory.exists("/bucket/arm"):
            memory.rm("/bucket/arm", recursive=True)
        for path, data in start.items():
            memory.pipe_file(path, data)
        ended = _ends_after(done, given, monkeypatch, **asked)
        left = RemoteFolder("memory://bucket/arm").sizes()
        if "dataset.json" in left and not ended:  # a retry has not come to the first change of what was complete
            assert {f"/bucket/arm/{name}" for name in left if not name.startswith(".ingest/")} == set(start)
        run(given, "memory://bucket/arm", **asked if "dataset.json" in left else {})
        assert down("memory://bucket/arm", tmp_path / f"copy-{done}") == wanted, done
        done += 1
    assert done >= 8


def _ends_after(uploads: int, given: str, monkeypatch: pytest.MonkeyPatch, **asked: Any) -> bool:
    """Run an ingest that is killed after so many uploads; whether it came to its end."""
    put, left = RemoteFolder.put, [uploads]

    def stopping(folder: RemoteFolder, path: Path, name: str) -> None:
        if not left[0]:
            raise KilledError
        left[0] -= 1
        put(folder, path, name)

    with monkeypatch.context() as patch:
        patch.setattr(RemoteFolder, "put", stopping)
        try:
            run(given, "memory://bucket/arm", **asked)
        except (KilledError, GatoError):
            return False
    return True


def test_parts_that_are_there_are_not_written_again(
    memory: fsspec.AbstractFileSystem, source: Path, wanted: dict[str, str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    push = RemoteOutput.push_shard

    def once(output: RemoteOutput, shard: Path, index: Path) -> None:
        if "00002-of" in shard.name:
            raise KilledError
        push(output, shard, index)

    with monkeypatch.context() as patch:
        patch.setattr(RemoteOutput, "push_shard", once)
        with pytest.raises(GatoError, match="KilledError"):
            run(source, "memory://bucket/arm")
    before = {name for name in RemoteFolder("memory://bucket/arm").sizes() if "tfrecord" in name}
    assert run(source, "memory://bucket/arm").finished_before == 2
    assert len(before) == 8
    assert down("memory://bucket/arm", tmp_path / "copy") == wanted


def test_dead_letters_and_errors_name_the_address(memory: fsspec.AbstractFileSystem, source: Path) -> None:
    flip(shards(source)[1], shards(source)[1].stat().st_size - 40)
    with pytest.raises(OutputError) as raised:
        run(source, "memory://bucket/arm")
    assert "all are in memory://bucket/arm/dead_letters.jsonl" in str(raised.value)
    assert RemoteFolder("memory://bucket/arm").read("dead_letters.jsonl").count(b"\n") == 1
    run(source, "memory://bucket/arm", max_bad=1)
    with pytest.raises(OutputError, match=r"^memory://bucket/arm holds a complete dataset made .*holdout was 0.3"):
        run(source, "memory://bucket/arm", holdout=0.5)
    run(source, "memory://bucket/arm", holdout=0.5, overwrite=True, max_bad=1)
    assert json.loads(RemoteFolder("memory://bucket/arm").read("dataset.json"))["holdout"] == 0.5


def test_what_is_not_ours_is_left_alone(memory: fsspec.AbstractFileSystem, source: Path) -> None:
    memory.pipe_file("/bucket/arm/thesis.tex", b"mine")
    with pytest.raises(OutputError, match=r"^memory://bucket/arm is not empty and holds no dataset of gato-data"):
        run(source, "memory://bucket/arm", overwrite=True)
    assert memory.cat_file("/bucket/arm/thesis.tex") == b"mine"


def test_errors_of_a_user(memory: fsspec.AbstractFileSystem, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"^memory://nothing does not exist, or is empty"):
        run("memory://nothing", "memory://bucket/arm")
    with pytest.raises(InputError, match="nothing matches memory://nothing/"):
        run("memory://nothing/*.jsonl", "memory://bucket/arm")
    with pytest.raises(SettingError, match="memory:// is seen by one process alone"):
        run(source, "memory://bucket/arm", workers=2)
    with pytest.raises(InputError, match=r"^nosuch://bucket/arm is no address that fsspec knows"):
        run(source, "nosuch://bucket/arm")
    monkeypatch.setitem(sys.modules, "adlfs", None)
    with pytest.raises(MissingPackageError, match=r"^abfs://bucket/arm needs another package: pip install adlfs$"):
        run(source, "abfs://bucket/arm")


def test_a_name_that_leads_out_of_the_folder(memory: fsspec.AbstractFileSystem) -> None:
    memory.store["/bucket/rlds/../../evil"] = memory.store.setdefault("/bucket/rlds/a", None) or memory_file(memory)
    with pytest.raises(InputError, match="whose name leads out of the folder"):
        RemoteFolder("memory://bucket/rlds").sizes()


@pytest.mark.parametrize(
    ("text", "remote", "place"),
    [
        ("s3://bucket/a/", True, "s3://bucket/a"),
        ("gs://bucket/a b", True, "gs://bucket/a b"),
        ("file:///tmp/a%20b", False, Path("/tmp/a b")),
        ("recordings/*", False, Path("recordings/*")),
        ("a:b", False, Path("a:b")),
    ],
)
def test_what_is_an_address(text: str, remote: bool, place: Path | str) -> None:
    assert is_remote(text) == remote
    assert as_place(text) == place
