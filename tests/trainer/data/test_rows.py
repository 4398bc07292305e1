"""`--vocabulary used`: a table without the rows of modalities that do not come."""

import dataclasses
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from gato_data.errors import SettingError, TrainError
from gato_data.mixing.make import plan_mixture
from gato_data.vocabulary import Vocabulary
from gato_schemas.mixture import encode_mixture
from gato_schemas.sequence import Modality
from gato_trainer.checkpoints.export import export
from gato_trainer.checkpoints.origin import of_metadata
from gato_trainer.checkpoints.saving import whole_checkpoint
from gato_trainer.config import ModelConfig, TrainSettings
from gato_trainer.data.batches import open_sources
from gato_trainer.data.inputs import prepare
from gato_trainer.data.rows import TableRows
from gato_trainer.model.transformer import Gato
from gato_trainer.run.train import run, train
from tests.gato_data.reading.folders import episodes, write_dataset
from tests.trainer.checkpoints.test_initial_parameters import metadata_of
from tests.trainer.synthetic import SyntheticSource

Make = Callable[..., TrainSettings]
DISCRETE, CONTINUOUS = {Modality.DISCRETE, Modality.SEPARATOR}, {Modality.CONTINUOUS, Modality.SEPARATOR}


@pytest.mark.parametrize(
    ("modalities", "discrete_ids", "ranges"),
    [
        (DISCRETE | {Modality.PATCH}, "paper", ((0, 1024), (33024, 33025))),
        (DISCRETE, "separate", ((33024, 34049),)),
        (CONTINUOUS, "paper", ((32000, 33025),)),
        (CONTINUOUS | DISCRETE, "paper", ((0, 1024), (32000, 33025))),
        (CONTINUOUS | DISCRETE, "separate", ((32000, 34049),)),
        (DISCRETE | {Modality.TEXT}, "paper", ((0, 32000), (33024, 33025))),
        (set(Modality), "paper", ((0, 33025),)),
        (set(Modality), "separate", ((0, 34049),)),
    ],
)
def test_modalities_have_their_ranges(
    modalities: set[Modality], discrete_ids: str, ranges: tuple[tuple[int, int], ...]
) -> None:
    vocabulary = Vocabulary(discrete_ids=discrete_ids)  # type: ignore[arg-type]
    used = TableRows.used(vocabulary.info, modalities)
    assert used.ranges == ranges
    every = np.concatenate([np.arange(*bounds) for bounds in ranges])
    assert used.size == len(every)
    assert used.ids(np.arange(used.size)).tolist() == every.tolist()
    rows = used.rows(np.arange(-2, vocabulary.size + 2))
    assert rows[every + 2].tolist() == list(range(used.size))
    assert (rows >= 0).sum() == used.size


@pytest.mark.parametrize("ranges", [((0, 600),), ((600, 1800), (0, 0)), ((0, 700), (600, 1100)), ((-1, 1199),)])
def test_ranges_that_are_not_those_of_the_rows_are_refused(
    ranges: tuple[tuple[int, int], ...], small: ModelConfig
) -> None:
    with pytest.raises(SettingError, match="are not those of 1200 rows"):
        dataclasses.replace(small, id_ranges=ranges)


@pytest.fixture
def mixture(tmp_path: Path) -> Path:
    """Discrete actions and frames; a validation split."""
    made = episodes("pong", [30, 25, 20], seed=1)
    write_dataset(tmp_path / "pong", {"train": [made[:2]], "validation": [made[2:]]})
    path = tmp_path / "mixture.json"
    path.write_bytes(encode_mixture(plan_mixture([tmp_path / "pong"], "pong=1", folder=tmp_path)))
    return path


def settings_for(small_settings: Make, name: str, **options: object) -> TrainSettings:
    return small_settings(name, **{"context_length": 40, "vocabulary": "used", "stochastic_depth": 0, **options})


def test_losses_are_those_of_the_whole_table_over_the_same_ids(
    mixture: Path, small: ModelConfig, build: Callable[..., Gato]
) -> None:
    ranges = ((0, 1024), (33024, 33025))
    whole = build(dataclasses.replace(small, vocabulary_size=33025))
    used = build(dataclasses.replace(small, vocabulary_size=1025, id_ranges=ranges))
    ids = torch.from_numpy(used.config.rows.ids(np.arange(1025)))
    values = whole.state_dict()
    used.load_state_dict({**values, "embedding.table": values["embedding.table"][ids]})
    with closing(open_sources(mixture, 40, 0)[0]) as source:  # type: ignore[type-var]
        batch = source.batch(range(8))
    full, narrow = prepare(batch, whole.config, None), prepare(batch, used.config, None)
    assert len(narrow.targets.rows) > 8
    assert narrow.targets.ids.equal(full.targets.ids)  # actions, whose ids come first in both tables
    assert set(narrow.tokens.unique().tolist()) - {1024} == set(full.tokens.unique().tolist()) - {33024}
    with torch.no_grad():
        hidden = whole.hidden(full)
        assert used.hidden(narrow).equal(hidden)
        logits = F.linear(hidden, values["embedding.table"])[:, ids]
        wanted = F.cross_entropy(logits, narrow.targets.ids, reduction="none")
        assert torch.allclose(used(narrow)[0], wanted, atol=1e-5)


def test_the_rows_are_in_checkpoints_and_exports(mixture: Path, small_settings: Make) -> None:
    settings = settings_for(small_settings, "used", steps=2)
    assert train(mixture, settings, quiet=True).validation is not None
    checkpoint, header = whole_checkpoint(settings.out)
    assert header.model.rows.ranges == ((0, 1024), (33024, 33025))
    tensors = load_file(next(checkpoint.glob("*.safetensors")))
    assert tensors["model.embedding.table"].shape == (header.model.vocabulary_size, 32) == (1025, 32)
    file = export(settings.out, settings.out.parent / "model.safetensors")
    origin = of_metadata(metadata_of(file), file)
    assert origin is not None
    assert origin.model == header.model
    assert train(mixture, settings_for(small_settings, "next", init_from=file, steps=1), quiet=True).step == 1


def test_a_run_does_not_go_on_with_other_rows(mixture: Path, small_settings: Make) -> None:
    settings = settings_for(small_settings, "used", steps=2)
    train(mixture, settings, quiet=True)
    file = export(settings.out, settings.out.parent / "model.safetensors")
    was = r"vocabulary_size {} 1025, {} 33025; id_ranges {} \(\(0, 1024\), \(33024, 33025\)\), {} \(\)"
    resumed = dataclasses.replace(settings, vocabulary="all", resume="yes")
    with pytest.raises(TrainError, match=was.format("was", "now", "was", "now")):
        train(mixture, resumed, quiet=True)
    for start in (settings.out, file):
        message = r"vocabulary_size is 1025 there, 33025 here; id_ranges is .* there, \(\) here"
        with pytest.raises(TrainError, match=message):
            train(mixture, settings_for(small_settings, "next", init_from=start, vocabulary="all"), quiet=True)


def test_a_file_that_lies_about_its_rows_is_refused(mixture: Path, small_settings: Make) -> None:
    settings = settings_for(small_settings, "used", steps=1)
    train(mixture, settings, quiet=True)
    file = export(settings.out, settings.out.parent / "model.safetensors")
    told = metadata_of(file)
    save_file(load_file(file), file, {**told, "model": told["model"].replace("33024,33025", "33024,33026")})
    with pytest.raises(TrainError, match=r"does not say which model it holds \(id_ranges .* not those of 1025 rows"):
        train(mixture, settings_for(small_settings, "next", init_from=file), quiet=True)


def test_ids_without_a_row_are_refused(small: ModelConfig, source: SyntheticSource) -> None:
    only_text = dataclasses.replace(small, vocabulary_size=201, id_ranges=((1000, 1200), (1300, 1301)))
    text = prepare(source.batch(range(3, 4)), only_text, None)
    assert text.tokens.min() == 0
    assert text.targets.ids.max() < 100
    with pytest.raises(TrainError, match=r"the id \d, the model's table has rows for ids 1000 to 1199, 1300 to 1300;"):
        prepare(source.batch(range(1)), only_text, None)


def test_a_reader_that_does_not_know_its_ids_is_refused(small_settings: Make, source: SyntheticSource) -> None:
    settings = small_settings(vocabulary="used")
    with pytest.raises(TrainError, match="does not say which ids its datasets use: leave out --vocabulary used"):
        run(settings, source, quiet=True)
    assert not settings.out.exists()
