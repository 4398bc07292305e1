"""Inflated streams: right bytes, within the bound, whatever is asked for in whatever order."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gato_data.errors import FormatError
from gato_data.reading.inflated import ENTRY_BYTES, Inflated
from gato_schemas.compression import deflate_block


def content(number: int) -> bytes:
    """Of stream `number`: 0 to 90 bytes."""
    return bytes([number % 251]) * (10 * (number % 10))


def get(kept: Inflated, number: int) -> bytes:
    """Stream `number` of shard 3."""
    raw = content(number)
    return bytes(kept.get(3, number, len(raw), lambda: deflate_block(raw, 6)))


@given(st.integers(0, 4000), st.lists(st.integers(0, 40), max_size=120))
def test_right_bytes_within_the_bound(limit: int, numbers: list[int]) -> None:
    kept = Inflated(limit)
    for number in numbers:
        assert get(kept, number) == content(number)
        assert 0 <= kept.held <= limit
    assert kept.held == sum(ENTRY_BYTES + len(content(number)) for number in range(41) if (3, number) in kept)


def test_the_one_used_longest_ago_goes_first() -> None:
    kept = Inflated(100 + 2 * ENTRY_BYTES)
    for number in (3, 4, 3, 5):  # 30 + 40 bytes, 3 used again, then 50 more
        get(kept, number)
    assert [(3, number) in kept for number in (3, 4, 5)] == [True, False, True]


def test_what_is_kept_is_not_read_again() -> None:
    kept, reads = Inflated(1000), []

    def read() -> bytes:
        reads.append(1)
        return deflate_block(content(7), 6)

    for _ in range(3):
        kept.get(0, 8, 70, read)
    kept.get(1, 8, 70, read)
    assert len(reads) == 2
    kept.clear()
    assert kept.held == 0
    kept.get(0, 8, 70, read)
    assert len(reads) == 3


def test_a_damaged_stream_is_an_error_and_not_kept() -> None:
    kept = Inflated(1000)
    for stream, size in ((b"no stream", 5), (deflate_block(b"five!", 6), 6), (deflate_block(b"five!", 6), 4)):
        with pytest.raises(FormatError):
            kept.get(0, 0, size, lambda stream=stream: stream)  # type: ignore[misc]
    assert (0, 0) not in kept


def test_many_threads() -> None:
    kept = Inflated(3000)
    with ThreadPoolExecutor(8) as pool:
        numbers = [number % 37 for number in range(4000)]
        assert list(pool.map(lambda number: get(kept, number), numbers)) == [content(number) for number in numbers]
    assert kept.held <= 3000
