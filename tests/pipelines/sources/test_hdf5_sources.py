"""Sources of HDF5 families: what every source keeps to, and settings that answer what no file settles."""

from pathlib import Path
from typing import Any

import pytest

from gato_data.errors import InputError
from gato_pipelines.containers.container import Conventions
from gato_pipelines.plugin import check_source
from gato_pipelines.registry.find import make_source
from tests.pipelines.sources.cases import DATA

INPUTS = {
    "robomimic": (DATA / "robomimic" / "lift", {"split": "train+valid", "observation_keys": ("object",)}, 3),
    "libero": (DATA / "libero" / "libero_spatial", {}, 3),
    "aloha": (DATA / "aloha" / "real_compressed", {"image_size": (32, 48)}, 2),
    "maniskill": (DATA / "maniskill" / "PickCube-v1" / "scripted", {}, 3),
}


@pytest.mark.parametrize("name", INPUTS)
def test_it_keeps_to_the_contract(name: str) -> None:
    folder, settings, episodes = INPUTS[name]
    assert check_source(name, folder, settings) == episodes


@pytest.mark.parametrize(
    ("name", "settings", "wanted"),
    [
        ("robomimic", {}, Conventions()),
        ("rlds", {"episode_length": 3}, Conventions(episode_length=3)),
        (
            "robomimic",
            {"actions": "actions_abs", "instruction": "a"},
            Conventions(actions="actions_abs", instruction="a"),
        ),
        (
            "libero",
            {"image_rows": "rotate", "pairing": "next-action"},
            Conventions(image_rows="rotate", pairing="next-action"),
        ),
        ("aloha", {"colours": "as-stored"}, Conventions(colours="as-stored")),
        ("maniskill", {"success": "any"}, Conventions(success="any")),
    ],
)
def test_settings_answer_what_no_file_settles(name: str, settings: dict[str, Any], wanted: Conventions) -> None:
    source: Any = make_source(name, settings)
    assert source.conventions == wanted


@pytest.mark.parametrize("name", INPUTS)
def test_another_format_is_refused_by_name(name: str) -> None:
    source = make_source(name, {})
    others: list[Path] = [folder for other, (folder, _, _) in INPUTS.items() if other != name]
    for folder in (*others, DATA / "rlds" / "metaworld"):
        with pytest.raises(InputError, match=r"is \w+.*, \w+ \(HDF5\) is wanted: `gato-data ingest rlds` reads any"):
            source.parts(folder)
