"""Files that come whole for those who read them: how many at once, who has them, and when they go."""

import os
import resource
from collections.abc import Iterator, Sequence
from pathlib import Path

import fsspec
import pytest

from gato_data.errors import OutputError
from gato_data.files import make_placeholder
from gato_data.remote.folder import RemoteFolder
from gato_pipelines.remote.scratch import roomy
from gato_pipelines.remote.whole_files import WholeFiles

ADDRESS = "memory://bucket/in"


def files(memory: fsspec.AbstractFileSystem, folder: Path, count: int, limit: int | None = None) -> WholeFiles:
    """So many files of 100 bytes, none of them here."""
    (folder / "root").mkdir()
    (folder / "state").mkdir()
    for number in range(count):
        memory.pipe_file(f"/bucket/in/{number}", b"%100d" % number)
        make_placeholder(folder / "root" / str(number), 100)
    remote = RemoteFolder(ADDRESS)
    return WholeFiles(remote, folder / "root", folder / "state", remote.objects(), limit)


def here(found: WholeFiles) -> list[str]:
    return sorted(path.name for path in found.root.iterdir() if any(path.read_bytes()))


@pytest.fixture
def few_handles() -> Iterator[None]:
    """This process may open 120 files more."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 120, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_part_of_more_files_than_a_process_may_open(
    memory: fsspec.AbstractFileSystem, tmp_path: Path, few_handles: None
) -> None:
    found = files(memory, tmp_path, 300)
    with found.reading([str(number) for number in range(300)]):
        for number in range(300):
            assert (found.root / str(number)).read_bytes() == b"%100d" % number


def test_what_somebody_reads_stays_and_what_a_killed_one_read_goes(
    memory: fsspec.AbstractFileSystem, tmp_path: Path
) -> None:
    found = files(memory, tmp_path, 3, limit=0)
    (found.state / "killed.use").write_text('["2"]')
    with found.reading(["0", "1"]):
        with found.reading(["1", "2"]):
            assert here(found) == ["0", "1", "2"]
        assert here(found) == ["0", "1"]
    assert here(found) == []
    assert not list(found.state.glob("*.use"))


def test_a_disk_that_is_full(
    memory: fsspec.AbstractFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, get = files(memory, tmp_path, 1), RemoteFolder.get

    def full(remote: RemoteFolder, names: Sequence[str], paths: Sequence[Path]) -> None:
        for path in paths:
            path.symlink_to("/dev/full")
        get(remote, names, paths)

    told = r" is full \(No space left on device\), .* set TMPDIR to a larger disk"
    with monkeypatch.context() as patch:
        patch.setattr(RemoteFolder, "get", full)
        with pytest.raises(OutputError, match=told), found.reading(["0"]):
            pass
    assert here(found) == []
    with found.reading(["0"]):
        assert here(found) == ["0"]


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(PermissionError), roomy():
        raise PermissionError
