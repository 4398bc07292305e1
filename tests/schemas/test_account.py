from gato_schemas.account import MAX_NOTES, Note, merge_notes


def test_equal_notes_add_up_by_kind_and_then_as_they_came() -> None:
    notes = [
        Note("short", "b"),
        Note("passed-over", "z", 2),
        Note("passed-over", "a"),
        Note("read", "x"),
        Note("passed-over", "z", 3),
        Note("missing", "z"),
    ]
    assert merge_notes(notes) == [
        Note("read", "x"),
        Note("passed-over", "z", 5),
        Note("passed-over", "a"),
        Note("missing", "z"),
        Note("short", "b"),
    ]
    assert merge_notes(merge_notes(notes)) == merge_notes(notes)


def test_many_kinds_of_notes_are_one_beyond_the_limit() -> None:
    found = merge_notes(Note("left-out", str(number), 2) for number in range(MAX_NOTES + 5))
    assert len(found) == MAX_NOTES + 1
    assert found[-1] == Note("left-out", "and others", 10)
