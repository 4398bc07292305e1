"""Tasks of an array that do not do the same: whatever the order, at least one of two notices."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import fsspec
import pytest

from gato_data.errors import OutputError
from gato_data.remote.folder import RemoteFolder
from gato_pipelines.ingest.agreement import TASKS, Agreement
from gato_pipelines.ingest.array_task import ArrayTask
from gato_schemas.dataset import WORK
from tests.remote_folders import empty_memory

memory = pytest.fixture(empty_memory)


@pytest.fixture(params=["folder", "store"])
def there(request: pytest.FixtureRequest, memory: fsspec.AbstractFileSystem) -> RemoteFolder | None:
    """Where the notes of all tasks are: the output folder itself, or a store that it is a copy of."""
    return RemoteFolder("memory://bucket/arm") if request.param == "store" else None


def agreement(folder: Path, task: str, there: RemoteFolder | None) -> Agreement:
    """One task's own, in a folder of its own where a store is what they share."""
    out = folder / "arm" if there is None else folder / task.replace("/", "-") / "arm"
    (out / WORK / TASKS).mkdir(parents=True, exist_ok=True)
    return Agreement(ArrayTask.parse(task), out, there)


def test_those_that_agree(tmp_path: Path, there: RemoteFolder | None) -> None:
    for task in ("1/3", "2/3", "3/3", "2/3"):
        one = agreement(tmp_path, task, there)
        with one.noted():
            one.check("asked", {"a": 1, "b": [2]})
            one.check("plan", {"c": 3})
    assert one.begun() == {1, 2, 3}


def test_another_setting_is_named(tmp_path: Path, there: RemoteFolder | None) -> None:
    agreement(tmp_path, "1/2", there).check("asked", {"holdout": 0.1, "name": "arm"})
    two = agreement(tmp_path, "2/2", there)
    with pytest.raises(OutputError) as raised, two.noted():
        two.check("asked", {"holdout": 0.2, "name": "arm"})
    assert str(raised.value) == (
        f"task 1/2 of {two.out} does something else than 2/2 (holdout was 0.1, now 0.2): give all tasks the same "
        f"input, settings and versions, or remove {two.out}/.ingest/tasks where no other one is running any more"
    )
    assert two.begun() == {1}, "the one that was refused stands in nobody's way"


def test_another_count_of_tasks(tmp_path: Path, there: RemoteFolder | None) -> None:
    agreement(tmp_path, "1/4", there).check("asked", {"a": 1})
    two = agreement(tmp_path, "2/5", there)
    with pytest.raises(OutputError) as raised, two.noted():
        two.check("asked", {"a": 1})
    assert str(raised.value) == (
        f"{two.out} is written by 4 tasks, and this one is 2/5: give every task the same N, or remove "
        f"{two.out}/.ingest/tasks where no other one is running any more"
    )


def test_a_plan_is_compared_with_plans(tmp_path: Path, there: RemoteFolder | None) -> None:
    one, two = (agreement(tmp_path, task, there) for task in ("1/2", "2/2"))
    one.check("asked", {"a": 1})
    one.check("plan", {"libraries": {"deflate": "0.9"}})
    two.check("asked", {"a": 1})
    with pytest.raises(OutputError, match=r'\(libraries\.deflate was "0\.9", now "0\.8"\)'):
        two.check("plan", {"libraries": {"deflate": "0.8"}})


def test_a_task_that_begins_again_forgets_what_it_did(tmp_path: Path, there: RemoteFolder | None) -> None:
    one = agreement(tmp_path, "1/4", there)
    one.check("asked", {"a": 1})
    again = agreement(tmp_path, "1/5", there)
    with again.noted():
        again.check("asked", {"a": 2})


def test_of_two_at_once_one_notices(
    tmp_path: Path, there: RemoteFolder | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    both, put = Barrier(2), Agreement._put

    def together(found: Agreement, name: str, content: bytes) -> None:
        both.wait(60)
        put(found, name, content)
        both.wait(60)

    monkeypatch.setattr(Agreement, "_put", together)
    with ThreadPoolExecutor(2) as threads:
        tasks = [agreement(tmp_path, task, there) for task in ("1/2", "2/2")]
        ends = [threads.submit(task.check, "asked", {"number": task.task.number}) for task in tasks]
        errors = [end.exception() for end in ends]
    assert all(isinstance(error, OutputError) for error in errors)


def test_what_is_no_note_is_passed_over(tmp_path: Path) -> None:
    one = agreement(tmp_path, "1/2", None)
    (one.out / WORK / TASKS / "asked-00002-of-00003.json").write_text("{}")
    (one.out / WORK / TASKS / "notes.txt").write_text("")
    one.check("asked", {"a": 1})
