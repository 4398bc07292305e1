"""HDF5 and parquet files at an address: a part reads about its own episodes, and gives the bytes of a local ingest."""

import re
from collections.abc import Callable
from dataclasses import replace
from io import SEEK_CUR, SEEK_END
from pathlib import Path

import fsspec
import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gato_data.errors import InputError
from gato_data.remote import fetch
from gato_data.remote.folder import RemoteFolder
from gato_pipelines.containers import jat as jat_files
from gato_pipelines.containers import ranges
from gato_pipelines.containers.container import Container
from gato_pipelines.containers.hdf5 import SUFFIXES, open_hdf5
from gato_pipelines.control_source import ControlSource
from gato_pipelines.ingest.run import plan_only
from gato_pipelines.ingest.run_task import run_task
from gato_pipelines.ingest.settings import IngestSettings
from gato_pipelines.remote import input as remote_input
from gato_pipelines.remote import ranged
from gato_pipelines.remote.ranged import RangedFile, know_ranged, open_input, ranged_file
from gato_pipelines.remote.scratch import new_scratch
from gato_pipelines.remote.work_files import WorkFiles
from tests.object_store import Bucket
from tests.remote_folders import down, run, up
from tests.rlds_inputs import digests

PARTS = 4


def d4rl(path: Path, rows: int = 40_000) -> Path:
    """A file of 400 episodes."""
    path.parent.mkdir(parents=True)
    random = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        file["observations"] = random.standard_normal((rows, 20)).astype("f4")
        file["actions"] = random.uniform(-1, 1, (rows, 2)).astype("f4")
        file["rewards"] = np.zeros(rows, "f4")
        file["terminals"], file["timeouts"] = np.arange(rows) % 100 == 99, np.zeros(rows, bool)
    return path


def jat(path: Path, episodes: int = 400, length: int = 60) -> Path:
    """A file of these episodes in eight row groups."""
    path.parent.mkdir(parents=True)
    random = np.random.default_rng(0)
    table = pa.table(
        {
            "continuous_observations": [random.standard_normal((length, 20)).tolist() for _ in range(episodes)],
            "continuous_actions": [random.uniform(-1, 1, (length, 2)).tolist() for _ in range(episodes)],
            "rewards": [[0.0] * length] * episodes,
        }
    )
    pq.write_table(table, path, row_group_size=episodes // 8, data_page_size=1 << 14, use_dictionary=False)
    return path


@pytest.mark.parametrize(("make", "name"), [(d4rl, "arm.hdf5"), (jat, "train-00000-of-00001.parquet")])
def test_parts_of_several_processes_fetch_a_file_about_once(
    make: Callable[[Path], Path], name: str, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make(tmp_path / "in" / name)
    size = path.stat().st_size
    monkeypatch.setattr(ranges, "RANGE_BYTES", -(-size // PARTS) + (1 << 12))
    monkeypatch.setattr(ranged, "AHEAD_BYTES", 1 << 16)  # parts are as much smaller than usual
    monkeypatch.setattr(jat_files, "_READ_BYTES", 1 << 14)
    run(path, tmp_path / "local" / "arm")
    given, out = f"{bucket.put(path.parent, 'in')}/{name}", f"s3://{bucket.name}/out/arm"
    for task in range(PARTS):  # each with a folder of its own on this machine
        asked = IngestSettings(runner="array", array_task=f"{task + 1}/{PARTS}", workers=1, holdout=0.3)
        run_task("rlds", {}, given, out, asked)
    requests, fetched = bucket.sent("in")
    assert fetched < 1.5 * size, "a copy for every process would be four times the file"
    assert requests < 250
    assert down(out, tmp_path / "copy") == digests(tmp_path / "local" / "arm")


@pytest.mark.parametrize(("make", "name"), [(d4rl, "arm.hdf5"), (jat, "train-00000-of-00001.parquet")])
def test_what_is_cut_off_is_refused_as_it_is_on_this_machine(
    make: Callable[[Path], Path], name: str, memory: fsspec.AbstractFileSystem, tmp_path: Path
) -> None:
    data = make(tmp_path / "in" / name).read_bytes()
    (tmp_path / "in" / name).write_bytes(data[: 3 << 19])
    memory.pipe_file(f"/bucket/in/{name}", data[: 3 << 19])
    with pytest.raises(InputError) as here:
        run(tmp_path / "in" / name, tmp_path / "a")
    with pytest.raises(InputError) as there:
        run(f"memory://bucket/in/{name}", tmp_path / "b")
    assert str(there.value) == str(here.value).replace(str(tmp_path), "memory://bucket")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small files come in ranges as well."""
    monkeypatch.setattr(remote_input, "_SMALL", 0)


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("minari/mujoco/hopper/sample-v0", "rlds"),
        ("robomimic/lift", "robomimic"),
        ("libero/libero_spatial", "libero"),
        ("aloha/sim_insertion_scripted", "aloha"),
        ("maniskill/PickCube-v1/scripted", "maniskill"),
    ],
)
def test_every_family_gives_the_bytes_of_a_local_ingest(
    name: str, source: str, small: None, memory: fsspec.AbstractFileSystem, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    folder = Path(__file__).parents[2] / "data" / name
    run(folder, tmp_path / "local" / "out", source)
    given = up(memory, folder, f"memory://bucket/{folder.name}")
    copied: list[str] = []
    get = RemoteFolder.get

    def noted(remote: RemoteFolder, names: list[str], paths: list[Path]) -> None:
        copied.extend(names)
        get(remote, names, paths)

    monkeypatch.setattr(RemoteFolder, "get", noted)
    run(given, "memory://bucket/out", source)
    assert down("memory://bucket/out", tmp_path / "copy") == digests(tmp_path / "local" / "out")
    assert not [name for name in copied if name.endswith((".hdf5", ".h5"))]


def test_a_file_that_changes_under_an_ingest_is_refused(
    memory: fsspec.AbstractFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = d4rl(tmp_path / "in" / "arm.hdf5").read_bytes()
    memory.pipe_file("/bucket/arm.hdf5", data)
    monkeypatch.setattr(RangedFile, "_fetch", _after(2, lambda: memory.pipe_file("/bucket/arm.hdf5", data)))
    with pytest.raises(InputError, match=r"^memory://bucket/arm.hdf5 changed while it was ingested: it had \d+ bytes"):
        run("memory://bucket/arm.hdf5", tmp_path / "out")


@pytest.mark.parametrize(("make", "name"), [(d4rl, "arm.hdf5"), (jat, "train-00000-of-00001.parquet")])
def test_a_file_that_is_gone_is_no_dead_letter(
    make: Callable[[Path], Path], name: str, memory: fsspec.AbstractFileSystem, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(fetch, "FIRST_WAIT", 0.0)
    memory.pipe_file(f"/bucket/in/{name}", make(tmp_path / "in" / name).read_bytes())
    monkeypatch.setattr(RangedFile, "_fetch", _after(4, lambda: memory.store.clear()))
    with pytest.raises(InputError, match=r"^memory://bucket/in/\S+ cannot be read \("):
        run(f"memory://bucket/in/{name}", tmp_path / "out", max_bad=1000)


def test_a_container_of_ones_own_gets_whole_files() -> None:
    """It opens them itself, and would read zeros."""

    class Own(ControlSource):
        def container(self, folder: Path) -> Container:
            return super().container(folder)

    assert ControlSource().read_in_ranges
    assert Own().read_in_ranges == ""
    assert re.search(Own().read_by_part, "arm-train.tfrecord-00000-of-00001")
    assert not re.search(Own().read_by_part, "data/chunk-000/episode_000000.parquet")


def test_what_a_run_knew_is_forgotten_with_its_folder(memory: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    memory.pipe_file("/bucket/in/a.h5", b"all of it")
    with new_scratch() as name:
        made = remote_input.mirror(ControlSource(), "memory://bucket/in/a.h5", name, 0, WorkFiles(tmp_path))
        known = made.path.parent
        assert ranged.knows_ranged(known)
    assert not ranged.knows_ranged(known)


def test_what_comes_whole_for_its_part_is_looked_into_before(memory: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    memory.pipe_file("/bucket/in/a.tfrecord-00000", b"all of it")
    with new_scratch() as name:
        made = remote_input.mirror(ControlSource(), "memory://bucket/in", name, 0, WorkFiles(tmp_path))
        path = made.path / "a.tfrecord-00000"
        assert path.read_bytes() == bytes(9), "a placeholder"
        with open_input(path) as file:
            assert file.read() == b"all of it"
        with made.reading([path.name]):
            assert path.read_bytes() == b"all of it"
            assert ranged_file(path) is None


@pytest.mark.parametrize(
    ("name", "source"), [("robomimic/lift", "robomimic"), ("aloha/sim_insertion_scripted", "aloha")]
)
def test_a_store_that_fails_while_a_folder_is_looked_into_loses_no_file(
    name: str, source: str, small: None, memory: fsspec.AbstractFileSystem, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Whichever of its answers is missing, the error is that of the store."""
    monkeypatch.setattr(fetch, "ATTEMPTS", 1)
    files = sorted(path for path in (Path(__file__).parents[2] / "data" / name).rglob("*") if path.suffix in SUFFIXES)
    for number in range(2):
        memory.pipe_file(f"/bucket/in/episode_{number}.hdf5", files[0].read_bytes())
    read_range, failing = RemoteFolder.read_range, [0]

    def fails(folder: RemoteFolder, name: str, start: int, stop: int) -> bytes:
        failing[0] -= 1
        if failing[0] == 0:
            raise TimeoutError("the store is overloaded")
        return read_range(folder, name, start, stop)

    monkeypatch.setattr(RemoteFolder, "read_range", fails)
    settings = {"allow_missing_shards": True}
    plan_only(source, settings, "memory://bucket/in", tmp_path / "x", IngestSettings(workers=1))
    answers = -failing[0]
    assert answers > 1
    for answer in range(1, answers + 1):
        failing[0] = answer
        with pytest.raises(InputError, match="the store is overloaded") as raised:
            plan_only(source, settings, "memory://bucket/in", tmp_path / "x", IngestSettings(workers=1))
        assert "missing" not in str(raised.value)


def _after(fetches: int, happens: Callable[[], None]) -> Callable[[RangedFile, int, int], bytes]:
    """A fetch before which something happens, once so many have been made."""
    left, fetch_range = [fetches], RangedFile._fetch

    def fetched(file: RangedFile, start: int, stop: int) -> bytes:
        left[0] -= 1
        if not left[0]:
            happens()
        return fetch_range(file, start, stop)

    return fetched


def test_reads_and_memory(memory: fsspec.AbstractFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any read gives what the file has there; what is kept is bounded, and a long read takes few requests."""
    kept = 8 * ranged.BLOCK_BYTES
    monkeypatch.setattr(ranged, "KEPT_BYTES", kept)
    monkeypatch.setattr(ranged, "_blocks", ranged._Blocks())
    data = np.random.default_rng(1).bytes(100 * ranged.BLOCK_BYTES + 17)
    memory.pipe_file("/bucket/in/a.bin", data)
    (tmp_path / "a.bin").write_bytes(b"a placeholder")
    remote = RemoteFolder("memory://bucket/in")
    know_ranged(tmp_path, remote, {"a.bin": ("a.bin", remote.objects()["a.bin"])}.get)
    with open_input(tmp_path / "a.bin") as file:
        for start, size in ((0, 1), (5, 3 * ranged.BLOCK_BYTES), (len(data) - 9, 20), (len(data) + 5, 4), (7, 0)):
            file.seek(start)
            assert file.read(size) == data[start : start + size]
            assert ranged._blocks._size <= kept
        assert file.seek(-10, SEEK_END) == len(data) - 10
        assert file.seek(4, SEEK_CUR) == file.tell() == len(data) - 6
        with pytest.raises(ValueError, match="has no byte -1"):
            file.seek(-1)
        file.seek(0)
        assert file.read() == data
    ranges_read: list[tuple[int, int]] = []
    read_range = RemoteFolder.read_range

    def noted(folder: RemoteFolder, name: str, start: int, stop: int) -> bytes:
        ranges_read.append((start, stop))
        return read_range(folder, name, start, stop)

    monkeypatch.setattr(RemoteFolder, "read_range", noted)
    monkeypatch.setattr(ranged, "KEPT_BYTES", 1 << 26)
    monkeypatch.setattr(ranged, "_blocks", ranged._Blocks())
    with open_input(tmp_path / "a.bin") as file:
        while file.read(1000):
            pass
    assert ranges_read[0] == (0, ranged.BLOCK_BYTES)
    assert len(ranges_read) == 7, "1, 2, 4, 8, 16, 32 and the other blocks"
    assert sum(stop - start for start, stop in ranges_read) == len(data)


def test_hdf5_is_called_by_its_path(memory: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    """Whatever letters are in it: an instruction may be told by the name of a file."""
    made = d4rl(tmp_path / "in" / "grün.hdf5", rows=500)
    memory.pipe_file("/bucket/in/a", made.read_bytes())
    remote, place = RemoteFolder("memory://bucket/in"), tmp_path / "grün.hdf5"
    place.touch()
    known = remote.objects()["a"]
    know_ranged(tmp_path, remote, {place.name: ("a", known)}.get)
    with open_hdf5(place) as root:
        assert root.filename == str(place)
        assert root["observations"].shape == (500, 20)
    know_ranged(tmp_path / "other", remote, {place.name: ("a", replace(known, size=known.size // 2))}.get)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / place.name).touch()
    with pytest.raises(InputError, match="is no HDF5 file, or damaged"), open_hdf5(tmp_path / "other" / place.name):
        pass
