from pathlib import Path

import pytest

from tests.gato_data.report.folders import caption_folder, robot_folder, write_folder


@pytest.fixture(scope="session")
def arm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("datasets") / "arm", robot_folder())


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("datasets") / "told", robot_folder("pick up the cube"))


@pytest.fixture(scope="session")
def captions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("datasets") / "captions", caption_folder())
