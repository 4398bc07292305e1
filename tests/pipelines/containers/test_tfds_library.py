"""Datasets that TFDS knows by name; the builders here stand in for those of its catalogue, without a network."""

import functools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gato_data.errors import InputError, MissingPackageError
from gato_pipelines.containers.tfds_library import prepare, quiet_stderr
from gato_schemas.dataset import read_manifest
from tests.rlds_inputs import ingest

tfds = pytest.importorskip("tensorflow_datasets", reason="needs TFDS, of the extra [ingest]")
beam = pytest.importorskip("apache_beam", reason="needs Apache Beam, of the extra [ingest]")

STEPS = tfds.features.Dataset(
    {
        "observation": tfds.features.FeaturesDict({"state": tfds.features.Tensor(shape=(3,), dtype=np.float32)}),
        "action": tfds.features.Tensor(shape=(2,), dtype=np.float32),
        "reward": np.float32,
        "discount": np.float32,
        "is_first": np.bool_,
        "is_last": np.bool_,
        "is_terminal": np.bool_,
    }
)


def example(number: int) -> dict[str, Any]:
    """One episode of four timesteps."""
    return {
        "steps": [
            {
                "observation": {"state": np.full(3, number / 10, np.float32)},
                "action": np.full(2, t / 10, np.float32),
                "reward": np.float32(1),
                "discount": np.float32(1),
                "is_first": t == 0,
                "is_last": t == 3,
                "is_terminal": t == 3,
            }
            for t in range(4)
        ]
    }


class StandInArm(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version("1.0.0")
    code_path = Path(__file__)  # TFDS cannot tell: this folder is no package

    def _info(self) -> Any:
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict({"steps": STEPS}))

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        return {"train": self._generate_examples()}

    def _generate_examples(self) -> Iterator[tuple[str, Any]]:
        for number in range(3):
            yield str(number), example(number)


class StandInArmOnBeam(StandInArm):
    def _generate_examples(self) -> Any:
        return "Create" >> beam.Create(range(3)) | "Make" >> beam.Map(lambda number: (number, example(number)))


class StandInDigits(StandInArm):
    def _info(self) -> Any:
        features = tfds.features.FeaturesDict({"image": tfds.features.Image(shape=(8, 8, 1)), "label": np.int64})
        return tfds.core.DatasetInfo(builder=self, features=features)


class StandInFlat(StandInArm):
    def _info(self) -> Any:
        steps = tfds.features.Dataset({"observation": np.int64, "action": np.int64})
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict({"steps": steps}))


class StandInOffline(StandInArm):
    def _generate_examples(self) -> Iterator[tuple[str, Any]]:
        raise ConnectionError("Could not resolve host: storage.googleapis.com")
        yield


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where TFDS puts its datasets."""
    monkeypatch.setattr(tfds, "builder", functools.partial(tfds.builder, data_dir=str(tmp_path)))
    return tmp_path


@pytest.mark.parametrize("name", ["stand_in_arm", "stand_in_arm_on_beam"])
def test_a_dataset_is_prepared_and_then_read_like_any_other(
    data_dir: Path, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    told: list[str] = []
    folder = prepare(name, report=told.append)
    assert folder == data_dir / name / "1.0.0"
    assert told == [f"TFDS prepares {name} in {folder}"]
    printed = capfd.readouterr()
    assert printed.out == "", "stdout is for results"
    assert "WARNING" not in printed.err
    assert prepare(name) == folder, "what is there already is used"
    made = ingest(folder, data_dir / "out").manifest
    assert made.splits["train"].totals.timesteps == 12
    assert made.splits["train"].totals.tokens == 12 * (3 + 1 + 2)
    assert read_manifest(data_dir / "out").source.inputs == [f"{name}/1.0.0"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("stand_in_nothing", "Dataset stand_in_nothing not found"),
        ("stand_in_arm/no_such_config", ".*no_such_config.*"),
        ("../arm", "Parsing builder name string .* failed"),
        ("", "Parsing builder name string .* failed"),
    ],
)
def test_an_unknown_name(data_dir: Path, name: str, reason: str) -> None:
    with pytest.raises(
        InputError, match=rf"^TFDS has no dataset '{name}' \({reason}\): its catalogue lists the names$"
    ):
        prepare(name)
    assert list(data_dir.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("stand_in_digits", "it has no 'steps'"),
        ("stand_in_flat", "its steps lack is_first, is_last"),
    ],
)
def test_a_dataset_without_episodes_is_not_downloaded(data_dir: Path, name: str, what: str) -> None:
    with pytest.raises(InputError) as raised:
        prepare(name)
    assert str(raised.value) == f"TFDS's {name!r} is not an RLDS dataset ({what}): a dataset of episodes is wanted"
    assert list(data_dir.iterdir()) == []


def test_without_a_network_it_is_one_sentence(data_dir: Path) -> None:
    with pytest.raises(InputError) as raised:
        prepare("stand_in_offline")
    assert str(raised.value) == (
        "TFDS could not download or prepare 'stand_in_offline' (Could not resolve host: storage.googleapis.com): "
        "connect to the network, or give the folder of a prepared dataset as INPUT"
    )


@pytest.mark.parametrize("package", ["tensorflow", "tensorflow_datasets"])
def test_without_the_packages_it_says_which_to_install(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingPackageError) as raised:
        prepare("stand_in_arm")
    assert str(raised.value) == f"--tfds-name needs {package}: pip install 'gato-data[ingest]'"


def test_native_messages_are_kept_off_the_screen_and_come_back(capfd: pytest.CaptureFixture[str]) -> None:
    import os

    with quiet_stderr():
        os.write(2, b"a start-up message\n")
    os.write(2, b"an error\n")
    assert capfd.readouterr().err == "an error\n"
