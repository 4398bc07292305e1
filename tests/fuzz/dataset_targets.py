"""Files of a dataset that somebody may have changed, as functions of bytes: every command that looks at one meets them.

The checksums of a manifest and of an index are made anew after a mutation ("-sealed"), as somebody would who means it.
"""

import hashlib
import json
import os
import shutil
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import google_crc32c
import msgspec
import numpy as np

from gato_schemas.dataset import DEAD_LETTERS, MANIFEST, MANIFEST_COPY, TFDS_FEATURES, manifest_checksum
from gato_schemas.index import encode_index, read_index
from tests.fuzz.dataset_commands import COMMANDS, DATASET, INDEX, MIXTURE, whole
from tests.fuzz.targets import Target

_MANIFEST, _COPY, _LETTERS, _FEATURES = (
    f"{DATASET}/{name}" for name in (MANIFEST, MANIFEST_COPY, DEAD_LETTERS, TFDS_FEATURES)
)
_INDEX_HEAD = struct.Struct("<8sI")

OF_MIXTURE = ("mixture", "mixture-json", "mixture-page", "explain", "explain-json", "read", "train-dry-run")
OF_LETTERS = ("verify", "verify-json", "repair", "repair-force", "inspect")


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
    except (msgspec.MsgspecError, LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError):
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
