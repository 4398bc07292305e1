"""Which record leaves a cache first."""

from gato_data.remote.leaving import Leaving, Record

A, B, C = (0, 0), (0, 1), (1, 0)


def order(leaving: Leaving) -> list[Record]:
    """All records in the order in which they go."""
    found = []
    while (record := leaving.first()) is not None:
        found.append(record)
        leaving.remove(record)
        assert record not in leaving
    return found


def test_what_is_needed_last_goes_first() -> None:
    leaving = Leaving()
    for record, time in ((A, 5), (B, 9), (C, 7), (B, 10)):
        leaving.expect(record, time)
    for record in (A, B, C):
        leaving.add(record)
    assert order(leaving) == [B, C, A]
    assert leaving.first() is None


def test_what_nobody_needs_goes_before_that_and_the_one_used_last_first() -> None:
    leaving = Leaving()
    leaving.expect(A, 3)
    for record in (A, B, C):
        leaving.add(record)
    assert leaving.first() == C
    leaving.add(B)  # used once more
    assert order(leaving) == [B, C, A]


def test_uses_move_a_record_that_is_there() -> None:
    leaving = Leaving()
    for record in (A, B):
        leaving.add(record)
    leaving.expect(B, 4)
    assert leaving.first() == A
    for time in (1, 8):
        leaving.expect(A, time)
    assert leaving.first() == B
    leaving.used(A, 1)
    assert leaving.first() == A
    leaving.used(B, 4)
    assert leaving.first() == B
    assert A in leaving
    assert C not in leaving


def test_what_is_touched_often_takes_no_room() -> None:
    leaving = Leaving()
    for time in range(10_000):
        leaving.add(A)
        leaving.add((2, time % 3))
    assert len(leaving._heap) < 3000
    assert order(leaving) == [(2, 0), A, (2, 2), (2, 1)]
