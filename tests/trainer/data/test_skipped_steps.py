import pytest

from gato_data.errors import SettingError
from gato_trainer.data.skipped_steps import SkippedSteps


@pytest.mark.parametrize(
    ("text", "steps", "shown"),
    [
        ("", [], ""),
        ("1", [0], "1"),
        ("120:124", [119, 120, 121, 122], "120:124"),
        ("7, 3:5", [2, 3, 6], "3:5,7"),
        ("3:5,4:9,9", [2, 3, 4, 5, 6, 7, 8], "3:10"),
        ("3:5,3:4", [2, 3], "3:5"),
    ],
)
def test_steps_count_from_one(text: str, steps: list[int], shown: str) -> None:
    skipped = SkippedSteps.parse(text)
    assert [step for step in range(200) if step in skipped] == steps
    assert [*skipped.trained(range(10))] == [step for step in range(10) if step not in steps]
    assert str(skipped) == shown
    assert SkippedSteps.parse(shown) == skipped


@pytest.mark.parametrize("text", ["0", "5:5", "9:5", "3:", ":3", "a", "1,,2", "-1", "3.5"])
def test_what_is_no_step_is_refused(text: str) -> None:
    with pytest.raises(SettingError, match=r"are no steps: numbers from 1 and ranges such as 120:124,300"):
        SkippedSteps.parse(text)


def test_steps_of_several_texts() -> None:
    first, second = SkippedSteps.parse("3:5,9"), SkippedSteps.parse("4:8")
    assert str(first | second) == "3:8,9"
    assert str(second.without(first)) == "5:8"
    assert str(SkippedSteps.parse("2:1000000000000").without(first)) == "2,5:9,10:1000000000000"
    assert str(first.before(3)) == "3"
    assert first.before(2) == SkippedSteps()
