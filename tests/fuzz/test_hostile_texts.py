"""Names and texts that steer terminals, browsers and eyes are shown as their escapes, wherever they stand."""

import dataclasses
import json
from pathlib import Path

import pytest

from gato_schemas.dataset import MANIFEST, MANIFEST_COPY, encode_manifest, read_manifest
from gato_schemas.episode import Episode, EpisodeSpec, Field
from gato_schemas.tfds import tfds_files
from tests.fuzz.dataset_commands import COMMANDS, DATASET, RefusedError, call, make_dataset, mix
from tests.gato_data.report.folders import ROBOT, Folder, robot_episode
from tests.sealed import write_sealed

STEERING = "\x1b[2J\x1b]0;owned\x07\x9b31m\r\n\b\x7f\u2028\u200b\ufeff"
REORDERING = "\u202egnp.\u2066exe\u200f\u061c"
MARKUP = "<script>alert(1)</script><img src=x onerror=alert(1)>&lt;--><!--]]>[bold red]:boom:[/]"
TEXTS = {"all": MARKUP + STEERING + REORDERING + "\0", "long": 20_000 * "\x1b\u202e<script>"}
IN_NAMES = "\x1b[31m\n\r\u202e\u2066<script>&[red]"
"""What may stand in a file's name."""


def renamed(text: str) -> Folder:
    """The small robot dataset in which whatever can have a name has this one."""

    def named(field: Field) -> Field:
        return dataclasses.replace(field, name=field.name + text)

    spec = EpisodeSpec(tuple(map(named, ROBOT.observations)), tuple(map(named, ROBOT.actions)))

    def episode(number: int) -> Episode:
        raw = robot_episode(number, 3, f"lift {text}")
        return dataclasses.replace(
            raw,
            task="robot" + text,
            source_episode_id=text,
            observations={name + text: values for name, values in raw.observations.items()},
            actions={name + text: values for name, values in raw.actions.items()},
        )

    return Folder(
        name="arm",
        family="robots" + text,
        specs={"robot" + text: spec},
        splits={"train": [[episode(0), episode(1)], [episode(2)]], "validation": [[episode(3)]]},
        agents=["agent" + text],
    )


def speak(path: Path, text: str) -> None:
    """Put the text into every place of the manifest and of its copy that only people read."""
    content = json.loads((path / MANIFEST).read_bytes())
    content["name"] += text
    content["source"] = {
        "name": text,
        "settings": {text: [text, {text: text}], "image_size": text},
        "inputs": [text] * 4,
        "licence": text,
    }
    content["libraries"] = {text: text}
    content["account"] = [
        {"kind": kind, "text": text, "count": 2}
        for kind in ("read", "left-out", "passed-over", "missing", "unknown", "clipped", "short")
    ]
    (task,) = content["tasks"].values()
    task["left_out"] = {text: text}
    task["final_step"] = {"policy": "drop", "reason": text}
    task["filter"] = {"require_success": text, "min_return": 1.0, "kept": 1, "dropped": 2}
    write_sealed(path, content)
    manifest = read_manifest(path)
    data = encode_manifest(manifest)
    for name, file in {MANIFEST: data, MANIFEST_COPY: data, **tfds_files(manifest)}.items():
        (path / name).write_bytes(file)


@pytest.fixture(scope="module", params=TEXTS)
def hostile(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a whole dataset full of such a text, and a mixture of it."""
    root = tmp_path_factory.mktemp("hostile")
    text = TEXTS[request.param]
    make_dataset(root / DATASET, renamed(text[:500]), reason=text)
    speak(root / DATASET, text)
    mix(root)
    return root


@pytest.mark.parametrize("name", COMMANDS)
def test_no_text_of_the_data_steers_what_shows_it(name: str, hostile: Path) -> None:
    COMMANDS[name](hostile)


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with such a name, and files with such names in it."""
    root = tmp_path_factory.mktemp("named") / IN_NAMES
    content = dataclasses.replace(renamed(""), name="arm" + IN_NAMES)
    make_dataset(root / DATASET, content)
    (root / DATASET / IN_NAMES).write_text("what is this")
    mix(root)
    return root


@pytest.mark.parametrize("name", COMMANDS)
def test_no_name_of_a_file_steers_what_shows_it(name: str, named: Path) -> None:
    COMMANDS[name](named)


@pytest.mark.parametrize(
    "arguments",
    [
        ["verify"],
        ["verify", "--repair"],
        ["inspect"],
        ["inspect", "dataset"],
        ["inspect", "shard"],
        ["inspect", "mixture"],
        ["mix", "explain", "--step", "0"],
        ["mix", "--weights", "uniform", "--out", "x.json"],
        ["train", "--out", "run", "--mixture"],
        ["ingest", "rlds", "--out", "never"],
        ["vocabulary", "show"],
    ],
    ids=" ".join,
)
def test_no_argument_steers_the_error_that_names_it(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RefusedError, match=r"x1b\[31m"):
        call(*arguments, IN_NAMES)
