"""What the log says of actions: accuracy beside what repeating the action before would have."""

from pathlib import Path

import numpy as np
import pytest
import torch

from gato_data.mixing.make import plan_mixture
from gato_schemas.mixture import encode_mixture
from gato_schemas.sequence import POSITION_ACTION
from gato_trainer.config import ModelConfig
from gato_trainer.data.batches import open_sources, window_pieces
from gato_trainer.data.inputs import TARGET_MODALITIES, Targets, prepare
from gato_trainer.model.loss import LossTotals
from tests.gato_data.reading.folders import episodes, write_dataset
from tests.trainer.synthetic import SyntheticSource


@pytest.fixture(scope="module")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Actions of one and two tokens, timesteps of one length and of many, chunks, a document."""
    folder = tmp_path_factory.mktemp("mixture")
    write_dataset(folder / "pong", {"train": [episodes("pong", [30, 25, 7], seed=1)]}, chunk_tokens=100)
    write_dataset(folder / "walker", {"train": [episodes("walker", [30, 9, 4], seed=2)]})
    write_dataset(folder / "told", {"train": [episodes("told", [20, 9, 3], seed=3)]})
    write_dataset(folder / "captions", {"train": [episodes("captions", [30, 50], seed=4)]})
    names = ["pong", "walker", "told", "captions"]
    path = folder / "mixture.json"
    weights = ",".join(f"{name}=1" for name in names)
    path.write_bytes(encode_mixture(plan_mixture([folder / name for name in names], weights, folder=folder)))
    return path


def slow_before(tokens: list[int], position: list[int], begins: set[int]) -> list[int]:
    """Token by token: the tokens of the action before, where it is whole and of the same piece."""
    found = [-1] * len(tokens)
    now: list[int] = []
    earlier: list[int] = []
    at_begin = False
    for slot, code in enumerate(position):
        if slot in begins:
            now, earlier, at_begin = [], [], True
        if code == POSITION_ACTION:
            if len(now) < len(earlier):
                found[slot] = earlier[len(now)]
            now.append(tokens[slot])
        elif now:
            earlier, now = ([] if at_begin else now), []
            at_begin = False
        else:
            at_begin = False
    return found


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"prompt_share": 1.0},
        {"prompt_share": 1.0, "window": "token"},
        {"pack": True},
    ],
)
def test_the_action_before_is_that_of_the_same_episode(mixture: Path, options: dict[str, object]) -> None:
    config = ModelConfig(width=32, blocks=1, heads=2, feed_forward=64, patch_channels=32)
    source, _ = open_sources(mixture, 50, 0, **options)
    known = 0
    for first in range(0, 240, 24):
        batch = source.batch(range(first, first + 24))
        assert len(batch.piece_slot) == sum(map(len, window_pieces(source, range(first, first + 24))))
        targets = prepare(batch, config, None).targets
        window, offset = np.divmod(targets.rows.numpy(), 50)
        for row in range(24):
            begins = set((batch.piece_slot[batch.piece_slot // 51 == row] % 51).tolist())
            assert 0 in begins
            wanted = slow_before(batch.tokens[row].tolist(), batch.position[row].tolist(), begins)
            here = window == row
            assert targets.before.numpy()[here].tolist() == [wanted[at + 1] for at in offset[here]]
            known += sum(value >= 0 for value in wanted)
    source.close()
    assert known > 200


def test_shares_of_actions() -> None:
    """Two datasets: of the first three of four actions repeat, of the second no action has one before it."""
    actions = len(TARGET_MODALITIES) - 3  # the group of discrete values
    targets = Targets(
        rows=torch.arange(7),
        ids=torch.tensor([5, 5, 5, 6, 9, 8, 8]),
        dataset=torch.tensor([0, 0, 0, 0, 0, 1, 1]),
        modality=torch.tensor([actions] * 4 + [0] + [actions] * 2),
        is_action=torch.tensor([True] * 4 + [False] + [True] * 2),
        before=torch.tensor([5, 5, 5, 5, -1, -1, -1]),
    )
    totals = LossTotals.zeros(("first", "second"), torch.device("cpu"))
    row_loss, correct = torch.arange(7.0), torch.tensor([True, True, True, False, True, True, False])
    totals.add(targets, row_loss, correct)
    assert totals.report(totals.stacked()) == {
        "loss": 3.0,
        "accuracy": 5 / 7,
        "action_accuracy": 4 / 6,
        "repeated_actions": 0.75,
        "changed_action_accuracy": 0.0,
        "supervised_tokens": 7,
        "dataset_loss": {"first": 2.0, "second": 5.5},
        "modality_loss": {"text": 4.0, "discrete": 17 / 6},
        "dataset_actions": {
            "first": {"accuracy": 0.75, "repeated": 0.75, "changed_accuracy": 0.0},
            "second": {"accuracy": 0.5, "repeated": None, "changed_accuracy": None},
        },
        "modality_actions": {"discrete": {"accuracy": 4 / 6, "repeated": 0.75, "changed_accuracy": 0.0}},
    }
    totals.add(targets, row_loss, ~correct)
    assert totals.report(totals.stacked())["changed_action_accuracy"] == 0.5


def test_text_has_no_actions(small: ModelConfig) -> None:
    source = SyntheticSource(context_length=24, vocabulary_size=1200, patches=4, text_every=1)
    inputs = prepare(source.batch(range(2)), small, None)
    totals = LossTotals.zeros(source.dataset_names, torch.device("cpu"))
    count = len(inputs.targets.rows)
    totals.add(inputs.targets, torch.ones(count), torch.ones(count, dtype=torch.bool))
    report = totals.report(totals.stacked())
    assert (report["action_accuracy"], report["repeated_actions"], report["dataset_actions"]) == (None, None, {})
