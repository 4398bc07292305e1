"""Cuts of any episode: each target in one window, windows within the context, phases that move."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gato_data.errors import SettingError
from gato_data.permutation import combine, key
from gato_data.reading.packing import pack
from gato_data.reading.windows import Spans, cut, span


def numbers(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def spans(tokens: int, timesteps: int, context: int, mode: str, epoch: int = 0) -> tuple[Spans, int]:
    """All windows of one episode in one epoch, and the unit of its cuts."""
    one = cut(numbers(tokens), numbers(timesteps), context, mode)  # type: ignore[arg-type]
    count = int(one.windows[0])
    again = np.zeros(count, np.int64)
    phase = combine(key(epoch, "phase"), again)
    return span(one.take(again), np.full(count, tokens), np.arange(count), phase, context), int(one.unit[0])


@given(
    st.integers(1, 400),
    st.integers(0, 60),
    st.sampled_from(["timestep", "token"]),
    st.integers(1, 70),
    st.integers(0, 3),
    st.integers(0, 30),
)
def test_every_target_is_in_one_window(
    timesteps: int, period: int, mode: str, context: int, epoch: int, rest: int
) -> None:
    """Regular episodes (rest 0), irregular ones, and documents (period 0)."""
    tokens = timesteps * max(period, 1) + (rest if period else 0)
    windows, unit = spans(tokens, timesteps if period else 0, context, mode, epoch)
    if tokens < 2:
        assert not len(windows.first)
        return
    assert windows.first[0] == windows.start[0] == 0
    assert windows.last[-1] == tokens - 1
    assert np.array_equal(windows.first[1:], windows.last[:-1])
    assert (windows.first < windows.last).all()
    assert (windows.start <= windows.first).all()
    assert (windows.last - windows.start <= context).all()
    assert (windows.start % unit == 0).all()
    assert (windows.first % unit == 0).all()


@pytest.mark.parametrize(("timesteps", "period", "context"), [(909, 22, 1024), (1000, 31, 1024), (990, 31, 1024)])
def test_whole_timesteps_fill_the_context(timesteps: int, period: int, context: int) -> None:
    windows, unit = spans(timesteps * period, timesteps, context, "timestep")
    assert unit == period
    whole = context // period
    assert int((windows.last - windows.first).max()) == whole * period
    assert len(windows.first) <= timesteps / whole + 1.3
    assert windows.last[-1] - windows.start[-1] > context - period  # the last one reaches back for context


def test_phases_move_the_cuts() -> None:
    seen = {tuple(spans(990 * 31, 990, 1024, "timestep", epoch)[0].first.tolist()) for epoch in range(40)}
    assert len(seen) > 5
    assert len({tuple(spans(5000, 0, 1024, "token", epoch)[0].first.tolist()) for epoch in range(40)}) > 30


def test_a_timestep_longer_than_the_context_is_cut_at_tokens() -> None:
    windows, unit = spans(10 * 300, 10, 128, "timestep")
    assert unit == 1
    assert (windows.last - windows.start <= 128).all()


def test_without_context_there_are_no_windows() -> None:
    with pytest.raises(SettingError, match="context length 0"):
        cut(numbers(5), numbers(0), 0, "token")


@given(st.lists(st.integers(1, 50), max_size=200), st.integers(50, 64))
def test_bins_hold_everything_once(lengths: list[int], capacity: int) -> None:
    number, bins = pack(np.array(lengths, np.int64), capacity)
    loads = np.bincount(number, weights=lengths, minlength=bins) if lengths else np.zeros(0)
    assert len(loads) == bins
    assert (loads <= capacity).all()
    assert (loads > 0).all()
    # any two bins together overflow one, as with every fit-decreasing rule
    assert np.sort(loads)[:2].sum() > capacity or bins < 2


def test_packing_is_tight_and_quick_for_millions() -> None:
    lengths = np.random.default_rng(0).integers(20, 400, 200_000)
    number, bins = pack(lengths, 1025)
    assert bins <= lengths.sum() / 1025 * 1.01
    assert np.bincount(number, weights=lengths).max() <= 1025
