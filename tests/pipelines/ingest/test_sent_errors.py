"""Errors that workers send: one sentence, no frames, where they came from as text."""

import pickle
from collections.abc import Callable
from traceback import extract_tb

import pytest

from gato_data.errors import EpisodeError, GatoError
from gato_pipelines.ingest.sent_errors import SentErrors, WorkerError


def one(depth: int) -> int:
    return other(depth + 1) + 1


def other(depth: int) -> int:
    return one(depth + 1) + 1


def chained(element: int) -> None:
    try:
        one(element)
    except RecursionError as error:
        raise EpisodeError("it is no episode", stage="read") from error


def lines(element: int) -> None:
    raise KeyError(f"of {element}\nand more")


def raised_by(function: Callable[[int], object]) -> GatoError:
    with pytest.raises(GatoError) as raised:
        SentErrors(function)(1)  # type: ignore[arg-type]
    return raised.value


@pytest.mark.parametrize("function", [one, chained, lines])
def test_it_has_no_frames_but_this_one(function: Callable[[int], object]) -> None:
    error = raised_by(function)
    assert len(extract_tb(error.__traceback__)) <= 3, "this test, pytest and the class"
    assert error.__context__ is None or isinstance(error.__context__, WorkerError)
    assert isinstance(error.__cause__, WorkerError)
    assert (error.__cause__.__cause__, error.__cause__.__context__, error.__cause__.__traceback__) == (None,) * 3
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_an_error_of_ours_stays_what_it_is() -> None:
    error = raised_by(chained)
    assert isinstance(error, EpisodeError)
    assert (str(error), error.stage) == ("it is no episode", "read")


def test_another_is_one_sentence() -> None:
    text = "a worker failed (KeyError: 'of 1\\nand more'): --debug shows where; finished shards are kept"
    assert str(raised_by(lines)) == text


def test_where_it_came_from_is_told_within_bounds() -> None:
    """Python itself leaves out lines that repeat, but not pairs of them."""
    text = str(raised_by(one).__cause__)
    assert ", in one\n" in text
    assert text.endswith("RecursionError: maximum recursion depth exceeded\n")
    assert " lines left out\n" in text
    assert len(text.splitlines()) < 210


def test_what_works_is_left_alone() -> None:
    found: list[int] = []
    SentErrors(found.append)(3)
    assert found == [3]
