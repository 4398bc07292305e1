"""`--init-from`: parameters of the same model go on, those of another one are refused by name."""

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from gato_data.errors import OutputError, SettingError, TrainError
from gato_data.vocabulary import Vocabulary
from gato_schemas.dataset import VocabularyInfo
from gato_trainer.checkpoints.export import export
from gato_trainer.config import TrainSettings
from gato_trainer.run.train import run
from tests.trainer.synthetic import SyntheticSource

Make = Callable[..., TrainSettings]


@dataclasses.dataclass(frozen=True)
class Told(SyntheticSource):
    """A source that knows its vocabulary, as that of a mixture does."""

    text_model: str | None = None

    @property
    def vocabulary(self) -> VocabularyInfo:
        return Vocabulary(self.vocabulary_size - 1025, text_model=self.text_model).info


@pytest.fixture
def told() -> Told:
    return Told(context_length=24, vocabulary_size=2200, patches=4, text_model="a" * 64)


@pytest.fixture
def first(small_settings: Make, told: Told) -> TrainSettings:
    settings = small_settings("first", steps=2)
    run(settings, told, quiet=True)
    return settings


@pytest.fixture
def file(first: TrainSettings) -> Path:
    return export(first.out, first.out.parent / "model.safetensors")


def metadata_of(path: Path) -> dict[str, str]:
    with safe_open(path, framework="pt") as opened:
        found: dict[str, str] = opened.metadata()
        return found


def test_an_export_says_whose_parameters_it_holds(first: TrainSettings, file: Path, told: Told) -> None:
    found = {name: json.loads(text) for name, text in metadata_of(file).items()}
    assert found == {
        "model": {**dataclasses.asdict(first.model), "vocabulary_size": 2200, "id_ranges": []},
        "vocabulary": msgspec.to_builtins(told.vocabulary),
        "context_length": 24,
        "step": 2,
        "datasets": {"control": "", "text": ""},
    }


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_an_export_has_ordinary_permissions(umask: int, mode: int, first: TrainSettings, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        made = export(first.out, tmp_path / "exports" / "model.safetensors")
    finally:
        os.umask(before)
    assert made.stat().st_mode & 0o777 == mode
    assert [path.name for path in made.parent.iterdir()] == ["model.safetensors"]


def test_an_export_that_cannot_be_written_leaves_nothing(first: TrainSettings, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(OutputError, match=r"cannot write .*taken"):
        export(first.out, tmp_path / "taken")
    assert not list(tmp_path.glob(".taken*"))


def test_what_no_parameter_depends_on_may_change(
    first: TrainSettings, file: Path, told: Told, small_settings: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    free = dataclasses.replace(first.model, dropout=0.1, stochastic_depth=0.0, patch_position="mean")
    without_text = dataclasses.replace(told, text_model=None)
    longer = dataclasses.replace(told, context_length=30)
    for number, source in enumerate((told, without_text, longer)):
        length = source.context_length
        for start in (first.out, file):
            name = f"{number}-{start.name}"
            settings = small_settings(name, model=free, init_from=start, steps=1, context_length=length)
            run(settings, source)
            said = capsys.readouterr().err.splitlines()[0]
            assert said.startswith(f"parameters of {start}")
            assert said.endswith(
                ", trained for 2 steps with a context of 24 tokens; --dropout is 0.0 there, 0.1 here; "
                "--stochastic-depth is 0.1 there, 0.0 here; --patch-position is sampled there, mean here"
            )


def test_nothing_is_said_of_what_is_the_same(
    file: Path, told: Told, small_settings: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    run(small_settings("second", init_from=file, steps=1), told)
    said = capsys.readouterr().err.splitlines()[0]
    assert said == f"parameters of {file}, trained for 2 steps with a context of 24 tokens"


def test_first_values_are_of_a_new_model(told: Told, small_settings: Make, tmp_path: Path) -> None:
    """A run goes on from one that began with others, and does not ask for values that it would not get."""
    settings = small_settings("first", steps=1)
    narrow = dataclasses.replace(settings.model, initialization="fan-in")
    run(dataclasses.replace(settings, model=narrow), told, quiet=True)
    file = export(settings.out, tmp_path / "model.safetensors")
    for start in (settings.out, file):
        run(small_settings(f"from-{start.name}", init_from=start, steps=1), told, quiet=True)
    with pytest.raises(SettingError, match=r"--initialization fan-in is of a new model, and --init-from .*: give one"):
        small_settings("other", model=narrow, init_from=file, steps=1)


def test_parameters_of_another_model_are_refused(
    first: TrainSettings, file: Path, told: Told, small_settings: Make
) -> None:
    rope = dataclasses.replace(first.model, positions="rope")
    wide = dataclasses.replace(first.model, feed_forward=128)
    other_text = dataclasses.replace(told, text_model="b" * 64)
    other_size = dataclasses.replace(told, vocabulary_size=2300)
    for model, source, differs in (
        (rope, told, "--positions is transformer-xl there, rope here"),
        (wide, told, "--feed-forward is 64 there, 128 here"),
        (first.model, other_text, f"text_model is {'a' * 64} there, {'b' * 64} here"),
        (
            first.model,
            other_size,
            "vocabulary_size is 2200 there, 2300 here; text_size is 1175 there, 1275 here; continuous_offset is 1175 "
            "there, 1275 here; separator is 2199 there, 2299 here; size is 2200 there, 2300 here",
        ),
    ):
        for start in (first.out, file):
            settings = small_settings("second", model=model, init_from=start)
            with pytest.raises(TrainError) as caught:
                run(settings, source, quiet=True)
            assert str(caught.value) == f"{start} holds another model: {differs}"
            assert not settings.out.exists()


def test_a_foreign_file_is_compared_by_names_and_shapes(
    file: Path, told: Told, small_settings: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    foreign = tmp_path / "foreign.safetensors"
    values = load_file(file)
    save_file({name: value.bfloat16() for name, value in values.items()}, foreign, {"format": "pt"})
    run(small_settings("second", init_from=foreign, steps=1), told)
    assert capsys.readouterr().err.splitlines()[0] == (
        f"parameters of {foreign}: it says nothing of its model, so only names and shapes were compared, "
        "not the vocabulary or the text model"
    )
    table = values["embedding.table"]
    for changed, message in (
        ({**values, "head": table.clone()}, "head would not be used"),
        ({name: value for name, value in values.items() if name != "norm.gain"}, "norm.gain is not there"),
        (
            {**values, "embedding.table": torch.zeros(7, 32)},
            "embedding.table has shape (7, 32), (2200, 32) is wanted",
        ),
        ({f"model.{name}": value for name, value in values.items()}, "(and 39 more) would not be used; blocks.0."),
    ):
        save_file(changed, foreign)
        with pytest.raises(TrainError) as caught:
            run(small_settings("third", init_from=foreign), told, quiet=True)
        assert str(caught.value).startswith(f"{foreign} holds another model: ")
        assert message in str(caught.value)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"model": "{"}, "has metadata that cannot be read (Input data was truncated): export it again"),
        ({"model": "[" * 5000}, "has metadata that cannot be read"),
        ({"model": "{}"}, "does not say which model it holds (Object missing required field `width` - at `$.model`)"),
        ({"model": '{"width": 0, "blocks": 1, "heads": 0, "feed_forward": 1}'}, "a model with width 0 is not possible"),
    ],
)
def test_metadata_that_cannot_be_read_is_refused(
    metadata: dict[str, str], message: str, file: Path, told: Told, small_settings: Make
) -> None:
    save_file(load_file(file), file, metadata)
    with pytest.raises(TrainError) as caught:
        run(small_settings("second", init_from=file), told, quiet=True)
    assert message in str(caught.value)


def test_a_file_that_is_no_safetensors_file_is_refused(told: Told, small_settings: Make, tmp_path: Path) -> None:
    for content in (b"", b"\xff" * 16, b"PK" * 100):
        path = tmp_path / "model.safetensors"
        path.write_bytes(content)
        with pytest.raises(TrainError, match=r"cannot read .*model.safetensors"):
            run(small_settings(init_from=path), told, quiet=True)
    with pytest.raises(TrainError, match=r"cannot read .*none"):
        run(small_settings(init_from=tmp_path / "none"), told, quiet=True)


def test_a_damaged_run_is_no_beginning(first: TrainSettings, told: Told, small_settings: Make) -> None:
    tensors = next(first.out.rglob("*.safetensors"))
    data = bytearray(tensors.read_bytes())
    data[-100] ^= 1
    tensors.write_bytes(data)
    with pytest.raises(TrainError, match=r"is damaged: .*does not match its checksum; move it away"):
        run(small_settings("second", init_from=first.out), told, quiet=True)
