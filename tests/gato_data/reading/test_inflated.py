"""What was inflated: right bytes, within the bound, whatever is asked for in whatever order."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gato_data.reading.inflated import ENTRY_BYTES, Inflated


def content(number: int) -> NDArray[np.uint8]:
    """Of stream `number`: 0 to 90 bytes."""
    return np.full(10 * (number % 10), number % 251, np.uint8)


def get(kept: Inflated, number: int) -> bytes:
    """Block `number` of the streams at 7 of shard 3, made where it is not kept."""
    found = kept.find(3, 7, number)
    if found is None:
        found = content(number)
        kept.keep(3, 7, found, number)
    return found.tobytes()


@given(st.integers(0, 4000), st.lists(st.integers(0, 40), max_size=120))
def test_right_bytes_within_the_bound(limit: int, numbers: list[int]) -> None:
    kept = Inflated(limit)
    for number in numbers:
        assert get(kept, number) == content(number).tobytes()
        assert 0 <= kept.held <= limit
    there = [number for number in range(41) if kept.find(3, 7, number) is not None]
    assert kept.held == sum(ENTRY_BYTES + len(content(number)) for number in there)


def test_the_one_used_longest_ago_goes_first() -> None:
    kept = Inflated(100 + 2 * ENTRY_BYTES)
    for number in (3, 4, 3, 5):  # 30 + 40 bytes, 3 used again, then 50 more
        get(kept, number)
    assert [kept.find(3, 7, number) is not None for number in (3, 4, 5)] == [True, False, True]


def test_a_stream_is_told_by_shard_offset_and_block() -> None:
    kept = Inflated(1000)
    kept.keep(1, 2, content(7), 3)
    assert all(kept.find(*other) is None for other in ((1, 2), (1, 3, 3), (2, 2, 3), (1, 2, 4)))
    found = kept.find(1, 2, 3)
    assert found is not None
    assert found.tobytes() == content(7).tobytes()
    kept.clear()
    assert kept.held == 0
    assert kept.find(1, 2, 3) is None


def test_what_is_too_large_is_not_kept() -> None:
    kept = Inflated(ENTRY_BYTES + 89)
    kept.keep(0, 0, content(9))
    assert kept.find(0, 0) is None
    assert kept.held == 0


def test_many_threads() -> None:
    kept = Inflated(3000)
    with ThreadPoolExecutor(8) as pool:
        numbers = [number % 37 for number in range(4000)]
        assert list(pool.map(lambda n: get(kept, n), numbers)) == [content(n).tobytes() for n in numbers]
    assert kept.held <= 3000


def test_what_was_asked_for_before_is_known_until_much_else_was() -> None:
    kept = Inflated(1000)
    assert [kept.asked_before(1, 2, block) for block in (0, 1, 0, 1)] == [False, False, True, True]
    for offset in range(200_000):
        kept.asked_before(0, offset)
    assert sum(kept.asked_before(2, offset) for offset in range(1000)) < 600
