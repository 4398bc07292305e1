import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from gato_data.errors import SettingError
from gato_trainer.config import ModelConfig, TrainSettings
from gato_trainer.data.inputs import prepare
from gato_trainer.model.freezing import choose_trained, count_frozen
from gato_trainer.model.initialize import initialize
from gato_trainer.model.lora import changed, is_change, named_parameters
from gato_trainer.model.transformer import Gato, count_parameters
from tests.trainer.synthetic import SyntheticSource

Make = Callable[..., TrainSettings]


def lora(make: Make, rank: int = 2, **options: object) -> TrainSettings:
    return make(lora=rank, init_from=Path("base"), **options)


def adapted(model: Gato, settings: TrainSettings) -> Gato:
    """The model with changes; its parameters keep their values."""
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    choose_trained(model, settings)
    initialize(model, 0)
    with torch.no_grad():
        for name, parameter in named_parameters(model):
            if name in before:
                parameter.copy_(before[name])
    return model


def test_a_changed_model_begins_as_the_model_to_the_bit(
    small: ModelConfig, build: Callable[..., Gato], small_settings: Make, source: SyntheticSource
) -> None:
    plain, model = build(small), adapted(build(small), lora(small_settings, lora_alpha=16.0))
    inputs = prepare(source.batch(range(4)), small, None)
    assert torch.equal(model(inputs)[0], plain(inputs)[0])
    with torch.no_grad():
        for name, parameter in named_parameters(model):
            if name.endswith("lora_up"):
                parameter += 1
    assert not torch.equal(model(inputs)[0], plain(inputs)[0])


def test_only_changes_are_trained(
    small: ModelConfig, build: Callable[..., Gato], small_settings: Make, source: SyntheticSource
) -> None:
    plain = [name for name, _ in build(small).named_parameters()]
    model = adapted(build(small), lora(small_settings))
    model(prepare(source.batch(range(4)), small, None))[0].sum().backward()
    parameters = dict(named_parameters(model))
    assert sorted(name for name in parameters if not is_change(name)) == sorted(plain)
    assert {name for name, parameter in parameters.items() if parameter.grad is not None} == {
        f"blocks.{block}.{matrix}.lora_{part}"
        for block in range(2)
        for matrix in (
            "attention.qkv",
            "attention.output",
            "attention.distance",
            "feed_forward.up",
            "feed_forward.down",
        )
        for part in ("up", "down")
    }
    assert count_parameters(model) - count_frozen(model) == sum(
        parameter.numel() for name, parameter in parameters.items() if is_change(name)
    )


def test_any_matrix_can_be_changed(
    small: ModelConfig, build: Callable[..., Gato], small_settings: Make, source: SyntheticSource
) -> None:
    model = adapted(build(small), lora(small_settings, lora_on=["embedding.table", "*.projection.weight"]))
    model(prepare(source.batch(range(4)), small, None))[0].sum().backward()
    trained = [name for name, parameter in named_parameters(model) if parameter.grad is not None]
    assert {name.rsplit(".", 1)[0] for name in trained} == {"embedding.table", "embedding.patch.projection.weight"}


def test_a_change_is_scaled_by_alpha_over_the_rank(
    small: ModelConfig, build: Callable[..., Gato], small_settings: Make
) -> None:
    model = adapted(build(small), lora(small_settings, 4, lora_alpha=2.0, lora_on=["blocks.0.attention.qkv"]))
    parameters = {name: parameter.detach() for name, parameter in named_parameters(model)}
    down = parameters["blocks.0.attention.qkv.lora_down"]
    up = parameters["blocks.0.attention.qkv.lora_up"].normal_()
    wanted = changed(parameters["blocks.0.attention.qkv"], up, down, 0.5)
    assert torch.equal(model.get_submodule("blocks.0.attention").qkv, wanted)  # type: ignore[arg-type]
    torch.testing.assert_close(wanted, parameters["blocks.0.attention.qkv"] + 0.5 * up @ down)


def test_a_compiled_block_reads_the_changed_matrix(
    small: ModelConfig, build: Callable[..., Gato], small_settings: Make, source: SyntheticSource
) -> None:
    model = adapted(build(small), lora(small_settings))
    inputs = prepare(source.batch(range(2)), small, None)
    wanted = model(inputs)[0]
    model.blocks[0].compile(dynamic=False, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(model(inputs)[0], wanted)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": 33}, "--lora 33 is above the rank of blocks.0.attention.qkv, which is 96 x 32: give at most 32"),
        ({"lora_on": ["*.qvk"]}, r"--lora-on \*.qvk fits no matrix of the model: there are \*.qkv"),
        ({"lora_on": ["*.up_bias"]}, r"--lora-on \*.up_bias fits no matrix"),
        ({"freeze": ["norm.*"]}, "leave out --freeze"),
    ],
)
def test_changes_that_cannot_be_made_are_refused(
    options: dict[str, object], message: str, small: ModelConfig, small_settings: Make
) -> None:
    with torch.device("meta"), pytest.raises(SettingError, match=message):
        choose_trained(Gato(small), lora(small_settings, **options))  # type: ignore[arg-type]


def test_changes_need_a_model_to_start_from(small_settings: Make) -> None:
    with pytest.raises(SettingError, match=r"--lora changes a trained model: .* --init-from"):
        small_settings(lora=2)
    assert small_settings(lora=2, resume="yes").lora == 2
    with pytest.raises(SettingError, match=r"--lora-alpha and --lora-on .* --lora RANK as well"):
        small_settings(lora_alpha=2.0)
    assert dataclasses.replace(small_settings(lora_on=["*"], lora=1, init_from=Path("x")), lora=3).lora_on == ("*",)
