import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gato_data.errors import TrainError
from gato_schemas.sequence import POSITION_ACTION, POSITION_NONE, POSITION_SEPARATOR
from gato_trainer.config import ModelConfig
from gato_trainer.data.inputs import Randomness, local_rows, patch_positions, prepare
from gato_trainer.data.randomness import dropout, row_keys, sample_keys, uniform
from tests.trainer.synthetic import SyntheticSource

# 64 x 80 pixels in patches of 16, as in the paper's example.
ROWS = [(0, 32), (32, 64), (64, 96), (96, 128)]
COLUMNS = [(0, 26), (26, 51), (51, 77), (77, 102), (102, 128)]
GRID = np.array([(*row, *column) for row in ROWS for column in COLUMNS])
OFFSET = np.arange(20)


def test_evaluation_takes_the_mean_of_the_paper_example() -> None:
    row, column = patch_positions(GRID, np.zeros(20, np.int64), OFFSET, None)
    assert row.reshape(4, 5)[:, 0].tolist() == [16, 48, 80, 112]
    assert column[:5].tolist() == [13, 38, 64, 90, 115]


@given(st.integers(0, 2**40), st.integers(0, 10**6), st.integers(0, 2**50))
def test_training_draws_inside_the_interval(seed: int, step: int, sample: int) -> None:
    row, column = patch_positions(GRID, np.full(20, sample, np.int64), OFFSET, Randomness(seed, step))
    assert ((GRID[:, 0] <= row) & (row < GRID[:, 1])).all()
    assert ((GRID[:, 2] <= column) & (column < GRID[:, 3])).all()


def test_draws_cover_the_interval_evenly() -> None:
    interval = np.tile([[32, 64, 51, 77]], (20_000, 1))
    row, column = patch_positions(interval, np.arange(20_000), np.zeros(20_000, np.int64), Randomness(0, 0))
    counts = np.bincount(row)[32:64]
    assert len(counts) == 32
    assert counts.min() > 0.8 * 625
    assert counts.max() < 1.2 * 625
    assert set(column) == set(range(51, 77))
    assert abs(np.corrcoef(row, column)[0, 1]) < 0.03


def test_an_empty_interval_at_the_edge_stays_in_the_table() -> None:
    interval = np.array([[128, 128, 5, 5]])
    for randomness_of in (None, Randomness(0, 0)):
        row, column = patch_positions(interval, np.zeros(1, np.int64), np.zeros(1, np.int64), randomness_of)
        assert (row[0], column[0]) == (127, 5)


def test_training_takes_the_mean_where_it_is_asked_to(small: ModelConfig, source: SyntheticSource) -> None:
    batch = source.batch(range(2))
    evaluated = prepare(batch, small, None)
    sampled, mean = (
        prepare(batch, dataclasses.replace(small, patch_position=position), Randomness(0, 0))
        for position in ("sampled", "mean")
    )
    assert torch.equal(mean.patch_row, evaluated.patch_row)
    assert torch.equal(mean.patch_column, evaluated.patch_column)
    assert not torch.equal(sampled.patch_row, mean.patch_row)


def test_random_choices_depend_on_seed_step_and_sample_only(small: ModelConfig, source: SyntheticSource) -> None:
    config = dataclasses.replace(small, dropout=0.1, stochastic_depth=0.5)
    together = prepare(source.batch(range(8)), config, Randomness(3, 5))
    alone = prepare(source.batch(range(6, 7)), config, Randomness(3, 5))
    mine = together.patch_slot // 24 == 6
    assert torch.equal(together.patch_row[mine], alone.patch_row)
    assert torch.equal(together.patch_column[mine], alone.patch_column)
    assert together.keep is not None
    assert alone.keep is not None
    assert torch.equal(together.keep[:, 6:7], alone.keep)
    assert together.dropout_key is not None
    assert alone.dropout_key is not None
    assert torch.equal(together.dropout_key[6:7], alone.dropout_key)
    for other in (Randomness(3, 6), Randomness(4, 5)):
        changed = prepare(source.batch(range(8)), config, other)
        assert not torch.equal(changed.patch_row, together.patch_row)
        assert not torch.equal(changed.keep, together.keep)


def test_equal_patches_draw_positions_of_their_own(small: ModelConfig, source: SyntheticSource) -> None:
    drawn = prepare(source.batch(range(8)), small, Randomness(0, 0))
    background = drawn.patch_index == drawn.patch_index.mode().values
    assert background.sum() > 20
    assert len(drawn.patch_row[background].unique()) > 10
    each = prepare(dataclasses.replace(source, merged=False).batch(range(8)), small, Randomness(0, 0))
    assert torch.equal(drawn.patch_row, each.patch_row)
    assert torch.equal(drawn.patch_column, each.patch_column)


def test_stochastic_depth_skips_its_share_and_keeps_the_mean(small: ModelConfig) -> None:
    config = dataclasses.replace(small, stochastic_depth=0.1)
    source = SyntheticSource(context_length=4, vocabulary_size=1200, patches=1)
    keep = prepare(source.batch(range(3000)), config, Randomness(0, 0)).keep
    assert keep is not None
    assert (keep == 0).float().mean().item() == pytest.approx(0.1, abs=0.01)
    assert keep.mean().item() == pytest.approx(1.0, abs=0.01)


def test_targets_are_the_next_tokens_under_the_mask(small: ModelConfig, source: SyntheticSource) -> None:
    batch = source.batch(range(8))
    inputs = prepare(batch, small, None)
    window, target = np.nonzero(batch.loss_mask[:, 1:])
    assert inputs.targets.rows.tolist() == (window * 24 + target).tolist()
    assert inputs.targets.ids.tolist() == batch.tokens[window, target + 1].tolist()
    assert inputs.targets.dataset.tolist() == batch.dataset[window].tolist()
    assert inputs.targets.is_action.sum() == (batch.position[window, target + 1] == POSITION_ACTION).sum()


def test_a_patch_that_is_only_a_target_is_left_out(small: ModelConfig) -> None:
    source = SyntheticSource(context_length=24, vocabulary_size=1200, patches=4, text_every=0)
    batch = source.batch(range(2))
    assert (batch.patch_slot % 25 == 24).any(), "slot 24 of the windows holds a patch"
    inputs = prepare(batch, small, None)
    assert len(inputs.patch_index) == len(batch.patches) - 2
    assert inputs.patch_slot.max() < 48
    inside = batch.patch_slot % 25 < 24
    assert np.array_equal(inputs.distinct_patches[inputs.patch_index], batch.patches[inside])


def test_the_table_of_patches_has_few_sizes_and_is_padded_with_zeros(small: ModelConfig) -> None:
    source = SyntheticSource(context_length=24, vocabulary_size=1200, patches=4, text_every=2)
    batches = [source.batch(range(windows)) for windows in (3, 9, 11, 27, 39)]
    assert [batch.num_distinct for batch in batches] == [13, 28, 33, 73, 103]
    sizes = [len(prepare(batch, small, None).distinct_patches) for batch in batches]
    assert sizes == [64, 64, 64, 80, 112]
    assert not any(batch.distinct_patches[batch.num_distinct :].any() for batch in batches)
    without = prepare(source.batch(range(1, 2)), small, None)
    assert (len(without.distinct_patches), len(without.patch_index)) == (0, 0)


def test_local_rows(small: ModelConfig) -> None:
    position = np.array([[0, 5, POSITION_SEPARATOR, POSITION_ACTION, POSITION_NONE]], np.int32)
    assert local_rows(position, small).tolist() == [[0, 5, -1, 512, -1]]
    other = dataclasses.replace(small, action_position="none", separator_position="own")
    assert local_rows(position, other).tolist() == [[0, 5, 513, -1, -1]]


def test_data_outside_the_tables_are_refused(small: ModelConfig, source: SyntheticSource) -> None:
    narrow = dataclasses.replace(small, local_positions=3)
    with pytest.raises(TrainError, match=r"at least 4 tokens.*3 rows.*--max-observation-tokens 4"):
        prepare(source.batch(range(1)), narrow, None)
    with pytest.raises(TrainError, match=r"the id 1\d\d\d, .* rows for ids 0 to 999;"):
        prepare(source.batch(range(1)), dataclasses.replace(small, vocabulary_size=1000), None)


def test_uniform_numbers_are_uniform_and_repeatable() -> None:
    draws = uniform(sample_keys(1, 2, np.arange(100_000), 3))
    assert draws.min() >= 0
    assert draws.max() < 1
    assert abs(draws.mean() - 0.5) < 0.005
    assert abs(np.corrcoef(draws[:-1], draws[1:])[0, 1]) < 0.01
    assert uniform(sample_keys(0, 0, np.arange(2), 1)).tolist() == GOLDEN_DRAWS


def test_dropout_is_a_function_of_token_site_and_feature() -> None:
    keys = row_keys(torch.tensor([11, 12]), 50)
    x = torch.ones(100, 64)
    out = dropout(x, 0.25, keys, 3)
    assert (out == 0).float().mean().item() == pytest.approx(0.25, abs=0.02)
    assert out.max().item() == pytest.approx(4 / 3)
    assert torch.equal(dropout(x[7:8], 0.25, keys[7:8], 3), out[7:8])
    assert not torch.equal(dropout(x, 0.25, keys, 4), out)


GOLDEN_DRAWS = [0.6698289064400957, 0.7991309296534175]
