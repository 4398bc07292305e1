"""A small dataset with a mixture of it, and every command that looks at one: it ends well, or by an error of ours."""

import hashlib
import json
import shutil
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

import msgspec
from click.testing import CliRunner

from gato_cli.main import cli
from gato_data.errors import GatoError
from gato_data.reading.reader import open_mixture
from gato_schemas.dataset import DEAD_LETTERS, read_manifest
from gato_schemas.index import SUFFIX, DeadLetter, encode_index, read_index
from tests.fuzz.run_targets import kept, settings_of
from tests.gato_data.report.folders import Folder, robot_folder, write_folder
from tests.gato_data.verify.planted import write_manifest

DATASET, MIXTURE, PAGE = "arm", "mixture.json", "page.html"
SHARD = "arm-train.tfrecord-00000-of-00002"
INDEX = SHARD + SUFFIX


class RefusedError(GatoError):
    """A command ended with a sentence of ours."""


@cache
def whole() -> Path:
    """A folder with a dataset of four records (text, images, states and actions) and a mixture of it."""
    root = kept("dataset")
    make_dataset(root / DATASET, robot_folder("pick up the cube"))
    mix(root)
    return root


def copied(folder: Path) -> Path:
    """A copy of the folder with the dataset and the mixture, to be changed."""
    return Path(shutil.copytree(whole(), folder / "root"))


def make_dataset(path: Path, content: Folder, reason: str = "a bad PNG") -> Path:
    """A whole dataset: its copy, its list of dead letters and the files for TFDS are there."""
    write_folder(path, content)
    letters = [DeadLetter("made", "1", "decode", reason), DeadLetter("made", "2", "read", "cut off", 3)]
    for beside in sorted(path.glob("*" + SUFFIX)):
        index = read_index(beside)
        told = letters if beside.name.endswith("train.tfrecord-00000-of-00002" + SUFFIX) else []
        header = msgspec.structs.replace(index.header, dead_letters=told)
        beside.write_bytes(encode_index(header, index.arrays))
    lines = b"".join(msgspec.json.encode(letter) + b"\n" for letter in letters)
    (path / DEAD_LETTERS).write_bytes(lines)
    left_out = {"dead_letters": 4, "dead_letters_digest": hashlib.sha256(lines).hexdigest()}
    write_manifest(path, msgspec.structs.replace(read_manifest(path), **left_out))
    return path


def call(*arguments: str) -> str:
    """Run a command of `gato-data`; what it prints is plain text.

    Raises:
        RefusedError: it ended with an error of ours.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        result = CliRunner().invoke(cli, arguments, env={"COLUMNS": "160"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert_plain(result.output)
    if result.exit_code:
        assert result.exit_code == 1, result.output
        assert result.stderr.splitlines()[-1].startswith("Error: "), result.stderr
        raise RefusedError(result.stderr)
    return result.stdout


def assert_plain(text: str) -> None:
    """Nothing steers a terminal, reorders a line, or is invisible."""
    found = {c for c in text if not c.isprintable() and c != "\n"}
    assert not found, f"unescaped in the output: {sorted(map(ascii, found))}"


def page(root: Path, *arguments: str) -> None:
    """A page is written, and nothing in it came from the data as markup."""
    with suppress(FileNotFoundError):
        (root / PAGE).unlink()
    call("inspect", *arguments, "--html", str(root / PAGE))
    text = (root / PAGE).read_text(encoding="utf-8")
    assert_plain(text)
    assert text.lower().count("<script") == text.lower().count("</script") == 2, "markup of the data is on the page"


def dataset_of(root: Path) -> str:
    """The dataset's folder."""
    return str(root / DATASET)


def shard_of(root: Path) -> str:
    """Its first shard."""
    return str(min((root / DATASET).glob("*-00000-of-00002")))


def mix(root: Path) -> None:
    """A mixture of the dataset."""
    call("mix", "--weights", "uniform", "--out", str(root / MIXTURE), dataset_of(root))


def repaired(root: Path, *options: str) -> None:
    """A repair, and a check after it."""
    call("verify", dataset_of(root), "--repair", *options)
    call("verify", dataset_of(root))


def dry_run(root: Path) -> object:
    """`train --dry-run` on the mixture."""
    from gato_trainer.run.train import dry_run as plan

    made = plan(root / MIXTURE, settings_of(root / "never", context_length=64))
    for line in made.lines():
        assert_plain(line)
    return json.dumps(made.to_json())


def read(root: Path) -> None:
    """A batch of a mixture, with every check of its content."""
    with open_mixture(root / MIXTURE) as reader:
        reader.batch(range(4))


def mixed_anew(root: Path) -> None:
    """A mixture that is made of the dataset as it is now, and all that reads it."""
    (root / MIXTURE).unlink()
    mix(root)
    call("mix", "explain", str(root / MIXTURE), "--step", "0", "--batch-size", "4")
    dry_run(root)
    read(root)


COMMANDS: dict[str, Callable[[Path], object]] = {
    "verify": lambda root: call("verify", dataset_of(root)),
    "verify-json": lambda root: call("verify", "--json", dataset_of(root)),
    "repair": repaired,
    "repair-force": lambda root: repaired(root, "--force"),
    "inspect": lambda root: call("inspect", "dataset", dataset_of(root)),
    "inspect-json": lambda root: call("inspect", "dataset", "--json", dataset_of(root)),
    "inspect-page": lambda root: page(root, "dataset", dataset_of(root)),
    "shard": lambda root: call("inspect", "shard", shard_of(root)),
    "shard-json": lambda root: call("inspect", "shard", "--json", shard_of(root)),
    "shard-page": lambda root: page(root, "shard", shard_of(root)),
    "record": lambda root: call("inspect", "shard", "--record", "1", shard_of(root)),
    "record-json": lambda root: call("inspect", "shard", "--record", "1", "--json", shard_of(root)),
    "mix": mixed_anew,
    "mixture": lambda root: call("inspect", "mixture", str(root / MIXTURE)),
    "mixture-json": lambda root: call("inspect", "mixture", "--json", str(root / MIXTURE)),
    "mixture-page": lambda root: page(root, "mixture", str(root / MIXTURE)),
    "explain": lambda root: call("mix", "explain", str(root / MIXTURE), "--step", "0", "--batch-size", "4"),
    "explain-json": lambda root: call(
        "mix", "explain", str(root / MIXTURE), "--step", "0", "--batch-size", "4", "--json"
    ),
    "read": read,
    "train-dry-run": dry_run,
}
"""What is done with a folder that holds a dataset and a mixture of it."""
