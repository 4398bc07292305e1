from collections.abc import Callable

import pytest
import torch

from gato_data.errors import SettingError
from gato_trainer.config import ModelConfig, TrainSettings
from gato_trainer.model.freezing import choose_trained, count_frozen, told
from gato_trainer.model.transformer import Gato

Make = Callable[..., TrainSettings]


def chosen(config: ModelConfig, settings: TrainSettings) -> Gato:
    with torch.device("meta"):
        model = Gato(config)
    choose_trained(model, settings)
    return model


def test_globs_freeze_parameters_by_name(small: ModelConfig, small_settings: Make) -> None:
    model = chosen(small, small_settings(freeze=["embedding.patch.*", "*.gain"]))
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    assert frozen == {name for name, _ in model.named_parameters() if "patch." in name or name.endswith(".gain")}
    assert count_frozen(model) == sum(
        parameter.numel() for name, parameter in model.named_parameters() if name in frozen
    )
    assert count_frozen(chosen(small, small_settings())) == 0


@pytest.mark.parametrize(
    ("globs", "message"),
    [
        (["embeding.*"], r"--freeze embeding.\* fits no parameter of the model: there are embedding.\*"),
        (["norm.*", "blocks.0.atention.*"], r"blocks.0.atention.\* fits no parameter .* blocks.0.attention.\*"),
        (["?"], r"--freeze \? fits no parameter of the model: there are embedding.table, norm.bias"),
        (["embedding.*", "[bn]*"], r"--freeze embedding.\* --freeze \[bn\]\* leaves nothing to train"),
    ],
)
def test_globs_that_cannot_be_meant_are_refused(
    globs: list[str], message: str, small: ModelConfig, small_settings: Make
) -> None:
    with pytest.raises(SettingError, match=message):
        chosen(small, small_settings(freeze=globs))


def test_what_is_trained_is_told_apart() -> None:
    assert told(4_900_000, 0) == "4.9M parameters"
    assert told(4_900_000, 4_000_000) == "4.9M parameters (900,000 trained, 4,000,000 frozen)"
