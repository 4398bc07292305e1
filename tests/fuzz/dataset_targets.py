"""Files of a dataset that somebody may have changed, as functions of bytes: every command that looks at one meets them.

The checksums of a manifest and of an index are made anew after a mutation ("-sealed"), as somebody would who means it.
"""

import hashlib
import json
import os
import shutil
import struct
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import google_crc32c
import msgspec
import numpy as np
from click.testing import CliRunner

from gato_cli.main import cli
from gato_data.errors import GatoError
from gato_data.reading.reader import open_mixture
from gato_schemas.dataset import DEAD_LETTERS, MANIFEST, MANIFEST_COPY, TFDS_FEATURES, manifest_checksum, read_manifest
from gato_schemas.index import SUFFIX, DeadLetter, encode_index, read_index
from tests.fuzz.run_targets import settings_of
from tests.fuzz.targets import Target
from tests.gato_data.report.folders import Folder, robot_folder, write_folder
from tests.gato_data.verify.planted import write_manifest

DATASET, MIXTURE, PAGE = "arm", "mixture.json", "page.html"
SHARD = "arm-train.tfrecord-00000-of-00002"
INDEX = SHARD + SUFFIX
_MANIFEST, _COPY, _LETTERS, _FEATURES = (
    f"{DATASET}/{name}" for name in (MANIFEST, MANIFEST_COPY, DEAD_LETTERS, TFDS_FEATURES)
)
_INDEX_HEAD = struct.Struct("<8sI")
_FOLDERS: list[TemporaryDirectory[str]] = []


class RefusedError(GatoError):
    """A command ended with a sentence of ours."""


@cache
def whole() -> Path:
    """A folder with a dataset of four records (text, images, states and actions) and a mixture of it."""
    folder = TemporaryDirectory(prefix="gato-dataset-")
    _FOLDERS.append(folder)
    root = Path(folder.name)
    make_dataset(root / DATASET, robot_folder("pick up the cube"))
    mix(root)
    return root


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
    from gato_trainer.train import dry_run as plan

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

OF_MIXTURE = ("mixture", "mixture-json", "mixture-page", "explain", "explain-json", "read", "train-dry-run")
OF_LETTERS = ("verify", "verify-json", "repair", "repair-force", "inspect")


def copied(folder: Path) -> Path:
    """A copy of the folder with the dataset and the mixture, to be changed."""
    return Path(shutil.copytree(whole(), folder / "root"))


def changed(files: Callable[[bytes], dict[str, bytes]], command: Callable[[Path], object], data: bytes) -> object:
    """Give some files of the folder another content, and run a command on it."""
    with TemporaryDirectory(prefix="gato-changed-") as folder:
        root = Path(folder, "root")
        shutil.copytree(whole(), root, copy_function=os.link)
        for name, content in files(data).items():
            (root / name).unlink()
            (root / name).write_bytes(content)
        return command(root)


def sealed_manifest(data: bytes) -> bytes:
    """A manifest whose checksum and content id fit, if it can have any."""
    try:
        content = msgspec.json.decode(data)
        content["content_id"] = _content_id(content)
        text = msgspec.json.encode({**content, "checksum": manifest_checksum(content)}, order="sorted")
        return msgspec.json.format(text, indent=2) + b"\n"
    except (
        msgspec.MsgspecError,
        UnicodeDecodeError,
        RecursionError,
        TypeError,
        KeyError,
        AttributeError,
        OverflowError,
    ):
        return data


def _content_id(content: Any) -> str:
    splits = sorted(content["splits"].items())
    lines = (f"{split} {shard['digest']}\n" for split, info in splits for shard in info["shards"])
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def sealed_index(data: bytes) -> bytes:
    """An index with this header, the sections of the small dataset, and a checksum that fits."""
    stored = (whole() / DATASET / INDEX).read_bytes()
    magic, length = _INDEX_HEAD.unpack_from(stored)
    sections = stored[-(-(_INDEX_HEAD.size + length) // 64) * 64 : -4]
    head = _INDEX_HEAD.pack(magic, len(data)) + data
    body = head + bytes(-len(head) % 64) + sections
    return body + google_crc32c.value(body).to_bytes(4, "little")


def index_arrays() -> bytes:
    """The arrays of an index, as JSON."""
    return json.dumps(
        {name: array.tolist() for name, array in read_index(whole() / DATASET / INDEX).arrays.items()}
    ).encode()


def index_of_arrays(data: bytes) -> bytes:
    """An index with these arrays, as far as arrays can hold them."""
    index = read_index(whole() / DATASET / INDEX)
    try:
        values = json.loads(data)
        arrays = {
            name: np.array(values[name], old.dtype).reshape(-1, *old.shape[1:]) for name, old in index.arrays.items()
        }
        return encode_index(index.header, arrays)
    except (LookupError, TypeError, ValueError, OverflowError, RecursionError):
        return stored(f"{DATASET}/{INDEX}")[0]


def index_header() -> bytes:
    """The JSON of an index."""
    stored = (whole() / DATASET / INDEX).read_bytes()
    return stored[_INDEX_HEAD.size : _INDEX_HEAD.size + _INDEX_HEAD.unpack_from(stored)[1]]


def stored(name: str) -> list[bytes]:
    """A file of the folder."""
    return [(whole() / name).read_bytes()]


def letter_lines(data: bytes) -> dict[str, bytes]:
    """A list whose first line is changed."""
    _, rest = stored(_LETTERS)[0].split(b"\n", 1)
    return {_LETTERS: data.replace(b"\n", b" ") + b"\n" + rest}


_ALL = tuple(COMMANDS)
_KINDS: dict[str, tuple[Callable[[bytes], dict[str, bytes]], Callable[[], list[bytes]], tuple[str, ...]]] = {
    "manifest": (lambda data: {_MANIFEST: data}, lambda: stored(_MANIFEST), _ALL),
    "manifest-sealed": (lambda data: {_MANIFEST: sealed_manifest(data)}, lambda: stored(_MANIFEST), _ALL),
    "manifests-sealed": (
        lambda data: dict.fromkeys((_MANIFEST, _COPY), sealed_manifest(data)), lambda: stored(_MANIFEST), _ALL
    ),
    "index-sealed": (lambda data: {f"{DATASET}/{INDEX}": sealed_index(data)}, lambda: [index_header()], _ALL),
    "index-arrays": (lambda data: {f"{DATASET}/{INDEX}": index_of_arrays(data)}, lambda: [index_arrays()], _ALL),
    "mixture": (lambda data: {MIXTURE: data}, lambda: stored(MIXTURE), OF_MIXTURE),
    "letters": (letter_lines, lambda: stored(_LETTERS)[0].splitlines()[:1], OF_LETTERS),
    "features": (lambda data: {_FEATURES: data}, lambda: stored(_FEATURES), OF_LETTERS),
}  # fmt: skip

DATASET_TARGETS = {
    f"{kind}/{command}": Target(partial(changed, files, COMMANDS[command]), seeds)
    for kind, (files, seeds, commands) in _KINDS.items()
    for command in commands
}
"""Targets of `mutate_json.mutate` by the kind of file that is changed and the command that meets it."""
