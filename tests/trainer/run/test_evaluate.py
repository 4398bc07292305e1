"""As many windows of every dataset, whatever its weight, and one loss that compares with training's."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gato_data.mixing.make import plan_mixture
from gato_schemas.mixture import encode_mixture
from gato_trainer.config import ModelConfig, TrainSettings
from gato_trainer.data.batches import BatchSource, open_sources, windows_each
from gato_trainer.data.inputs import prepare
from gato_trainer.model.transformer import Gato
from gato_trainer.run.evaluate import evaluate, evaluation_cost
from gato_trainer.world import World
from tests.gato_data.reading.folders import episodes, write_dataset
from tests.trainer.synthetic import SyntheticSource

Make = Callable[..., TrainSettings]
WEIGHTS = {"pong": 90, "walker": 9, "captions": 1}
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Part(World):
    """One of several processes, which takes its own sums for those of all and remembers them."""

    told: list[Tensor] = field(default_factory=list)

    def sum(self, values: list[int]) -> list[int]:
        return values

    def sum_tensor(self, tensor: Tensor) -> Tensor:
        self.told.append(tensor)
        return tensor


@pytest.fixture(scope="module")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mixture")
    for number, (name, sizes) in enumerate({"pong": [30, 25], "walker": [30, 9, 4], "captions": [30, 50]}.items()):
        made = episodes(name, sizes, seed=number)
        write_dataset(folder / name, {"train": [made], "validation": [made]})
    path = folder / "mixture.json"
    weights = ",".join(f"{name}={weight}" for name, weight in WEIGHTS.items())
    path.write_bytes(encode_mixture(plan_mixture([folder / name for name in WEIGHTS], weights, folder=folder)))
    return path


def validation_of(mixture: Path, each: int | None = None) -> BatchSource:
    source, validation = open_sources(mixture, 40, 0, each=each)
    source.close()
    assert validation is not None
    return validation


def test_every_dataset_has_its_windows_and_its_weight(
    mixture: Path, small_settings: Make, build: Callable[..., Gato]
) -> None:
    config = ModelConfig(width=32, blocks=1, heads=2, feed_forward=64, patch_channels=32)
    model, settings = build(config), small_settings(context_length=40, micro_batch_size=3)
    with closing(validation_of(mixture, 5)) as source:
        first = source.first_windows
        assert first is not None
        counts = dict(zip(WEIGHTS, first.windows, strict=True))
        assert first.windows == tuple(min(5, windows) for windows in source.dataset_windows)
        assert min(first.windows) < 5 == max(first.windows)
        one = Part(0, 1, CPU)
        report = evaluate(model, [], source, settings, one)
        parts = [Part(rank, 2, CPU) for rank in range(2)]
        for part in parts:
            evaluate(model, [], source, settings, part)
        inputs = prepare(source.batch(range(first.total)), config, None)
    assert torch.allclose(one.told[0], parts[0].told[0] + parts[1].told[0], rtol=1e-14, atol=0)
    assert report["dataset_windows"] == counts
    assert (report["windows"], report["supervised_tokens"]) == (first.total, len(inputs.targets.rows))
    with torch.no_grad():
        row_loss, _ = model(inputs)
    whole = torch.zeros(2)
    for number, (name, weight) in enumerate(WEIGHTS.items()):
        mine = row_loss[inputs.targets.dataset == number]
        assert report["dataset_loss"][name] == pytest.approx(float(mine.mean()), rel=1e-5)
        whole += weight / counts[name] * torch.tensor([float(mine.sum()), len(mine)])
    assert report["loss"] == pytest.approx(float(whole[0] / whole[1]), rel=1e-5)
    assert {*report["modality_loss"]} == {"text", "discrete", "continuous"}
    assert {*report["modality_actions"]} == {"discrete", "continuous"}
    assert {*report["dataset_actions"]} == {"pong", "walker"}


def test_what_an_evaluation_costs_is_said(mixture: Path, small_settings: Make, source: SyntheticSource) -> None:
    settings = small_settings()
    with closing(validation_of(mixture, 5)) as validation:
        assert validation.first_windows is not None
        total = validation.first_windows.total
        assert evaluation_cost(validation, settings) == (
            f"an evaluation reads {total} windows, as much work as {total / 12:.1f} steps: up to 5 of each of the 3 "
            "datasets with a validation split"
        )
    assert evaluation_cost(source, settings) == "an evaluation reads 128 windows, as much work as 10.7 steps"


@pytest.mark.parametrize(("datasets", "each"), [(1, 64), (128, 64), (129, 63), (604, 13), (1024, 8), (9999, 8)])
def test_many_datasets_have_fewer_windows_each(datasets: int, each: int) -> None:
    assert windows_each(datasets) == each
