"""Which parts are whose: every part is one task's, and no task has many more than another."""

import pytest

from gato_data.errors import SettingError
from gato_pipelines.ingest.array_task import ArrayTask
from gato_pipelines.ingest.settings import IngestSettings


@pytest.mark.parametrize(("parts", "of"), [(0, 1), (1, 4), (7, 3), (12, 4), (5, 5)])
def test_every_part_has_one_task(parts: int, of: int) -> None:
    tasks = [ArrayTask(number, of) for number in range(1, of + 1)]
    mine = [task.mine(parts) for task in tasks]
    assert sorted(part for found in mine for part in found) == list(range(parts))
    assert max(map(len, mine)) - min(map(len, mine)) <= 1
    for task in tasks:
        assert sorted(task.mine(parts) + task.others(parts)) == list(range(parts))
        assert task.owners(task.mine(parts)) == ([task] if task.mine(parts) else [])


def test_no_two_tasks_begin_with_the_same_part_of_the_others() -> None:
    firsts = [ArrayTask(number, 4).others(12)[0] for number in range(1, 5)]
    assert firsts == [1, 2, 3, 0]


@pytest.mark.parametrize(("text", "number", "of"), [("1/1", 1, 1), ("4/4", 4, 4), (" 02/010 ", 2, 10)])
def test_it_is_read(text: str, number: int, of: int) -> None:
    assert ArrayTask.parse(text) == ArrayTask(number, of)


@pytest.mark.parametrize("text", ["0/4", "5/4", "1/0", "0/0", "3/1"])
def test_no_such_task(text: str) -> None:
    with pytest.raises(SettingError) as raised:
        ArrayTask.parse(text)
    assert str(raised.value) == (
        f"array-task {text} is not possible: I counts from 1 to N, the number of processes of the whole array"
    )


@pytest.mark.parametrize("text", ["1", "/", "1/", "a/b", "-1/4", "1/4/4", "1.0/4", "1/1234567", "¹/4"])
def test_not_of_that_form(text: str) -> None:
    with pytest.raises(SettingError, match=r"is not I/N: say which of how many processes this one is, such as 1/4$"):
        ArrayTask.parse(text)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"runner": "array"}, "wants an array-task: which of how many processes this one is, such as"),
        ({"array_task": "1/4"}, "array-task 1/4 is for runner array, this one is local: give both or none"),
        ({"runner": "dask", "array_task": "1/4"}, "this one is dask"),
        ({"runner": "array", "array_task": "1/4", "overwrite": True}, "are for one process alone"),
        ({"runner": "array", "array_task": "1/4", "append": True}, "are for one process alone"),
        ({"runner": "array", "array_task": "1/4", "retry_dead_letters": True}, "are for one process alone"),
    ],
)
def test_what_does_not_go_together(asked: dict[str, object], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        IngestSettings(**asked)  # type: ignore[arg-type]
