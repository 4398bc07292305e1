from pathlib import Path

import pytest

from gato_pipelines.rlds.directory import Directory, open_directory
from gato_schemas.tfrecord import read_records

DATA = Path(__file__).parents[2] / "data" / "rlds"
DATASETS = ("rlu_atari", "babyai", "metaworld", "rlu_control_suite/cartpole_swingup", "sokoban")


@pytest.fixture(scope="session")
def rlds_data() -> Path:
    return DATA


@pytest.fixture(params=DATASETS)
def dataset(request: pytest.FixtureRequest) -> Directory:
    return open_directory(DATA / request.param)


@pytest.fixture(scope="session")
def breakout() -> Directory:
    return open_directory(DATA / "rlu_atari")


@pytest.fixture(scope="session")
def breakout_records(breakout: Directory) -> list[bytes]:
    return [raw.data for shard in breakout.split("train").shards for raw in read_records(shard.path)]
