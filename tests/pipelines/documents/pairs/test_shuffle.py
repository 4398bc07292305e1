"""The order of pairs: a permutation, the same everywhere, in which a picture's captions stand apart."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gato_pipelines.documents.pairs import shuffle
from gato_pipelines.documents.pairs.shuffle import deal, draw, within_windows

PICTURES = st.lists(st.integers(0, 12), max_size=80).map(lambda ids: np.unique(ids, return_inverse=True)[1])


@given(pictures=PICTURES, seed=st.integers(0, 99), apart=st.integers(1, 6))
def test_every_pair_has_one_place(pictures: np.ndarray[tuple[int], np.dtype[np.int64]], seed: int, apart: int) -> None:
    order = deal(pictures.astype(np.int64), seed, apart)
    assert sorted(order.tolist()) == list(range(len(pictures)))
    assert (order == deal(pictures.astype(np.int64), seed, apart)).all()


@given(captions=st.integers(1, 7), images=st.integers(9, 40), seed=st.integers(0, 999))
def test_five_in_a_row_never_show_a_picture_twice(captions: int, images: int, seed: int) -> None:
    shown = np.repeat(np.arange(images), captions)
    order = shown[deal(shown, seed, 5)]
    assert all(len(set(order[at : at + 5])) == 5 for at in range(len(order) - 4))


def test_a_round_holds_every_picture_once() -> None:
    shown = np.repeat(np.arange(1000), 5)
    order = shown[deal(shown, 0, 5)]
    assert all(len(set(order[at : at + 1000])) == 1000 for at in range(0, 5000, 1000))
    assert not np.array_equal(order[:1000], order[1000:2000])


def test_seeds_give_different_orders_and_golden_ones() -> None:
    shown = np.repeat(np.arange(4), 3)
    assert deal(shown, 0, 2).tolist() == GOLDEN
    assert deal(shown, 1, 2).tolist() != GOLDEN


GOLDEN = [5, 1, 8, 11, 2, 3, 7, 9, 0, 4, 6, 10]


def test_nothing_to_deal() -> None:
    assert deal(np.zeros(0, np.int64), 0, 5).tolist() == []


@pytest.mark.parametrize("total", [1, 7, 5000])
def test_a_draw_is_the_same_in_pieces(total: int) -> None:
    whole = draw(0, total, total, 3, "rows")
    assert sorted(whole.tolist()) == list(range(total))
    pieces = [draw(first, 4, total, 3, "rows") for first in range(0, total, 4)]
    assert np.concatenate(pieces).tolist() == whole.tolist()
    assert total < 3 or draw(0, total, total, 4, "rows").tolist() != whole.tolist()
    assert total < 3 or draw(0, total, total, 3, "others").tolist() != whole.tolist()


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 30])
def test_rows_are_shuffled_within_windows(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shuffle, "WINDOW_ROWS", 8)
    rows = list(within_windows(iter(range(count)), 0, lambda row: 1, "a.parquet", "0"))
    for first in range(0, count, 8):
        window = rows[first : first + 8]
        assert sorted(window) == list(range(first, min(first + 8, count)))
    assert rows == list(within_windows(iter(range(count)), 0, lambda row: 1, "a.parquet", "0"))
    assert count < 7 or rows != list(range(count)) != list(within_windows(range(count), 1, lambda row: 1, "b", "0"))


def test_large_rows_make_small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shuffle, "WINDOW_BYTES", 10)
    held: list[int] = []
    rows = within_windows((held.append(row) or row for row in range(9)), 0, lambda row: 5, "a")  # type: ignore[func-returns-value]
    assert sorted((next(rows), next(rows))) == [0, 1]
    assert held == [0, 1]
