import json

import msgspec
import pytest

from gato_schemas.errors import FormatError
from gato_schemas.mixture import Mixture, MixtureDataset, MixtureRun, MixtureStage, encode_mixture, read_mixture
from tests.schemas.test_dataset import PAPER

DATASETS = [
    MixtureDataset(
        name=name,
        path=f"../{name}",
        family="dm_control",
        fingerprint="00ff",
        content_id="0f" * 32,
        parts={"vocabulary": "ab"},
        digests={"train": "0f1f2f3f"},
        episodes=3,
        tokens=300,
        loss_tokens=30,
    )
    for name in ("reach", "walk")
]
STAGES = [
    MixtureStage(weights=[0.25, 0.75]),
    MixtureStage(first_sample=1000, measure="loss-tokens", weights=[0, 1]),
]
MIXTURE = Mixture(vocabulary=PAPER, max_observation_tokens=512, datasets=DATASETS, stages=STAGES)


def test_round_trip(tmp_path):
    path = tmp_path / "mixture.json"
    path.write_bytes(encode_mixture(MIXTURE))
    assert read_mixture(path) == MIXTURE
    assert MIXTURE.vocabulary_size == 33025
    assert list(json.loads(path.read_bytes())) == sorted(json.loads(path.read_bytes()))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(version=2), "has mixture version 2, this program reads version 3: make the mixture again"),
        (lambda m: m.update(datasets=[]), "different datasets, at least one, are wanted, it has none"),
        (lambda m: m["datasets"][1].update(name="reach"), "different datasets.* it has reach, reach"),
        (lambda m: m.update(stages=[]), r"stages start at samples \[\]"),
        (lambda m: m["stages"][0].update(first_sample=1), r"stages start at samples \[1, 1000\]"),
        (lambda m: m["stages"][1].update(first_sample=0), r"stages start at samples \[0, 0\]"),
        (lambda m: m["stages"][1].update(weights=[1]), "a stage has 1 weights for 2 datasets"),
        (lambda m: m["stages"][1].update(weights=[0, 0]), "are no shares"),
        (lambda m: m["stages"][1].update(weights=[2, -1]), "are no shares"),
        (lambda m: m["stages"][1].update(weights=[None, 1]), "is not a mixture file"),
        (lambda m: m["stages"][1].update(measure="steps"), "is not a mixture file"),
        (lambda m: m.update(run={"steps": 0}), "is not a mixture file"),
        (lambda m: m.update(run={"context_length": 2**31}), "is not a mixture file"),
        (lambda m: m.update(seed=1), "is not a mixture file .*unknown field `seed`"),
    ],
)
def test_a_mixture_that_is_none(tmp_path, change, message):
    content = json.loads(encode_mixture(MIXTURE))
    change(content)
    (tmp_path / "mixture.json").write_text(json.dumps(content))
    with pytest.raises(FormatError, match=message):
        read_mixture(tmp_path / "mixture.json")


def test_a_mixture_may_say_what_run_it_is_for(tmp_path):
    path = tmp_path / "mixture.json"
    path.write_bytes(encode_mixture(msgspec.structs.replace(MIXTURE, run=MixtureRun(steps=50, batch_size=8))))
    assert json.loads(path.read_bytes())["run"] == {"batch_size": 8, "steps": 50}
    assert read_mixture(path).run.told == {"steps": 50, "batch_size": 8}
    content = json.loads(path.read_bytes())
    del content["run"]  # of a file that says nothing
    path.write_text(json.dumps(content))
    assert read_mixture(path).run.told == {}


@pytest.mark.parametrize("data", [b"", b"7", b'{"\xff":1}', b'{"version":2,"stages":' + b"[" * 100_000, b'{"x":NaN}'])
def test_bytes_that_are_no_json(tmp_path, data):
    (tmp_path / "mixture.json").write_bytes(data)
    with pytest.raises(FormatError, match=r"mixture\.json (is not a mixture file|has mixture version)"):
        read_mixture(tmp_path / "mixture.json")


def test_no_mixture_file(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere", tmp_path / "a" / "b"):
        with pytest.raises(FormatError, match="there is no mixture file"):
            read_mixture(path)
