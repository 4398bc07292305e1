"""Remote folders with odd or hostile content, and outputs where none belongs."""

from pathlib import Path

import fsspec
import pytest

from gato_data.errors import InputError, OutputError
from gato_data.remote.address import as_place
from gato_data.remote.folder import RemoteFolder
from gato_pipelines.remote.output import RemoteOutput
from gato_pipelines.remote.scratch import new_scratch
from tests.remote_folders import down, memory_file, run, up
from tests.rlds_inputs import digests


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["a", "a/b"], "'a/b' that cannot be a file of this machine"),
        (["x" * 300], "that cannot be a file of this machine .File name too long"),
    ],
)
def test_listings_that_no_disk_can_hold(
    memory: fsspec.AbstractFileSystem, source: Path, tmp_path: Path, names: list[str], reason: str
) -> None:
    for name in names:
        memory.store[f"/bucket/odd/{name}"] = memory_file(memory)
    with pytest.raises(InputError, match=f"^memory://bucket/odd holds a file .*{reason}"):
        run("memory://bucket/odd", tmp_path / "arm")
    with pytest.raises(InputError, match=f"^memory://bucket/odd holds a file .*{reason}"):
        run(source, "memory://bucket/odd")


@pytest.mark.parametrize("size", [None, -1, 1 << 70])
def test_a_size_that_is_none(
    memory: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch, size: int | None
) -> None:
    entry = {"/bucket/rlds/a": {"name": "/bucket/rlds/a", "type": "file", "size": size}}
    monkeypatch.setattr(type(memory), "find", lambda *_, **__: entry)
    with pytest.raises(InputError, match=r"^memory://bucket/rlds does not say how large 'a' is"):
        RemoteFolder("memory://bucket/rlds").sizes()


def test_markers_of_folders_are_no_files(
    memory: fsspec.AbstractFileSystem, source: Path, wanted: dict[str, str], tmp_path: Path
) -> None:
    """Consoles of object stores make a folder by an empty object whose name ends with a slash."""
    given = up(memory, source, "memory://bucket/rlds")
    memory.store["/bucket/rlds/"] = memory.store["/bucket/rlds/sub/"] = memory_file(memory)
    run(given, tmp_path / "arm")
    assert digests(tmp_path / "arm") == wanted


@pytest.mark.parametrize("name", ["state", "files"])
def test_a_folder_may_have_any_name(
    memory: fsspec.AbstractFileSystem, source: Path, wanted: dict[str, str], tmp_path: Path, name: str
) -> None:
    run(up(memory, source, f"memory://bucket/{name}"), tmp_path / "arm")
    assert digests(tmp_path / "arm") == wanted


def test_errors_name_the_address_of_an_input(memory: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    memory.pipe_file("/bucket/notes/a.txt", b"1")
    with pytest.raises(InputError, match=r"^memory://bucket/notes holds nothing that can be read here"):
        run("memory://bucket/notes", tmp_path / "arm")


def test_an_output_in_the_input_is_refused(memory: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    texts = tmp_path / "texts"
    texts.mkdir()
    (texts / "a.txt").write_text("a text")
    with pytest.raises(OutputError, match=r"is inside the input .*texts, which is never written"):
        run(texts, texts / "deeper" / "arm", "massivetext", overwrite=True)
    given = up(memory, texts, "memory://bucket/texts")
    with pytest.raises(OutputError, match=r"^memory://bucket/texts.* the input memory://bucket/texts, which is never"):
        run(given, given + "/deeper/arm", "massivetext", overwrite=True)
    assert [path.name for path in texts.iterdir()] == ["a.txt"]
    assert list(down(given, tmp_path / "copy")) == ["a.txt"]


def test_a_dataset_of_ours_is_no_input_and_stays(
    memory: fsspec.AbstractFileSystem, wanted: dict[str, str], tmp_path: Path
) -> None:
    dataset = tmp_path / "wanted" / "arm"
    with pytest.raises(InputError, match=r"wanted/arm looks like a dataset of gato-data .*, which is ready already"):
        run(dataset, dataset, "massivetext", overwrite=True)
    assert digests(dataset) == wanted
    given = up(memory, dataset, "memory://bucket/arm")
    with pytest.raises(InputError, match=r"^memory://bucket/arm looks like a dataset of gato-data"):
        run(given, given, "massivetext", overwrite=True)
    assert down(given, tmp_path / "copy") == wanted


def test_overwrite_leaves_what_another_ingest_uploads_meanwhile(memory: fsspec.AbstractFileSystem) -> None:
    memory.pipe_file("/bucket/arm/old", b"1")
    with new_scratch() as here:
        output = RemoteOutput(RemoteFolder("memory://bucket/arm"), here, "arm")
        output.pull()
        before = output.names()
        memory.pipe_file("/bucket/arm/new", b"2")
        (output.out / "old").unlink()
        output.drop(before)
    assert RemoteFolder("memory://bucket/arm").sizes() == {"new": 1}


def test_no_work_folder_stays(source: Path, tmp_path: Path) -> None:
    run(source, f"local://{tmp_path}/arm")
    assert not (tmp_path / "arm" / ".ingest").exists()


@pytest.mark.parametrize("text", ["s3://", "memory:///", "s3://bucket/..", "local:///tmp/."])
def test_an_address_of_nothing(source: Path, text: str) -> None:
    with pytest.raises(InputError, match="names no folder"):
        as_place(text)
    with pytest.raises(InputError, match="names no folder"):
        run(source, text)
