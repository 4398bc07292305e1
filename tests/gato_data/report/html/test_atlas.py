import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gato_data.report.html.atlas import Atlas, FullAtlasError
from gato_data.report.html.packed import Columns
from tests.gato_data.report.html.unpacking import columns, pictures

NOISE = np.random.default_rng(0).integers(0, 255, (1100, 16, 16, 3), dtype=np.uint8)


def test_a_patch_is_stored_once() -> None:
    atlas = Atlas()
    np.testing.assert_array_equal(atlas.add(NOISE[[3, 5, 3]]), [0, 1, 0])
    np.testing.assert_array_equal(atlas.add(NOISE[[5, 6]]), [1, 2])
    np.testing.assert_array_equal(atlas.pixels(np.array([2, 0])), NOISE[[6, 3]])


def test_sheets_are_exact_where_they_fit() -> None:
    atlas = Atlas()
    atlas.add(NOISE)
    sheets, exact, _ = atlas.sheets(10**7)
    assert exact
    assert len(sheets) == 2
    np.testing.assert_array_equal(pictures({"sheets": sheets})[:1100], NOISE)
    small, exact, ratio = atlas.sheets(700_000)
    assert not exact
    assert ratio <= 1
    assert sum(map(len, small)) < sum(map(len, sheets)) / 2
    none, _, ratio = atlas.sheets(1000)
    assert none == []
    assert ratio > 100
    assert len(atlas.sheets(1000, force=True)[0]) == 2


def test_an_atlas_without_patches_has_no_sheets() -> None:
    assert Atlas().sheets(0) == ([], True, 0.0)


def test_an_atlas_that_is_full() -> None:
    atlas = Atlas(most=3)
    atlas.add(NOISE[:3])
    with pytest.raises(FullAtlasError):
        atlas.add(NOISE[2:4])


@given(st.lists(st.integers(0, 2**32 - 1)), st.integers(1, 3))
def test_columns_come_back(values: list[int], count: int) -> None:
    table = np.tile(np.array(values, np.int64), (count, 1))
    gathered = Columns()
    gathered.add(table)
    gathered.add(np.array([0.5, -2, np.nan], np.float32))
    found = columns(gathered.encoded())
    back = np.cumsum(found[: table.size].reshape(table.shape), axis=-1, dtype=np.uint32)
    np.testing.assert_array_equal(back, table.astype(np.uint32))
    np.testing.assert_array_equal(np.cumsum(found[table.size :], dtype=np.uint32).view(np.float32), [0.5, -2, np.nan])
