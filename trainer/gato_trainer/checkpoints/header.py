"""`checkpoint.json`: what a checkpoint belongs to, where its run stood, and the digests by which damage is found.

The file ends in the SHA-256 of everything before it, so that no byte of it changes unseen.
"""

import hashlib
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from gato_data.errors import SettingError, TrainError
from gato_schemas.dataset import VocabularyInfo
from gato_trainer.config import ModelConfig

FORMAT = 2
HEADER = "checkpoint.json"
_MOST_BYTES = 2**26
_INDENT = 1
_Header = TypeVar("_Header", bound="RunHeader")


class DamagedCheckpointError(TrainError):
    """A file of a checkpoint is not what was written; the checkpoint before may still be whole."""


class SavedFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Size and SHA-256 of one file of a checkpoint, of the bytes that were handed to the disk."""

    size: int
    sha256: str

    @classmethod
    def of(cls, content: bytes) -> "SavedFile":
        """Those of a file of this content."""
        return cls(len(content), hashlib.sha256(content).hexdigest())


class RunHeader(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What `run.json` and every checkpoint say of a run.

    Attributes:
        settings: every field of `TrainSettings` but the model.
        model: its shape, with the vocabulary and the position table of the datasets.
        vocabulary: the id ranges and the text model of the datasets; None where the source cannot
            tell.
        datasets: content of each dataset by name; "" where the source cannot tell.
        parameters: their number. frozen_parameters: of them, those that stay as they are.
        torch: the version.
    """

    settings: dict[str, Any]
    model: ModelConfig
    vocabulary: VocabularyInfo | None
    datasets: dict[str, str]
    parameters: int
    frozen_parameters: int = 0
    torch: str


class CheckpointHeader(RunHeader, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`checkpoint.json`.

    Attributes:
        format: of the checkpoint.
        step: optimizer steps done.
        next_sample: global number of the first window that was not trained on.
        stream: what decides the windows before it, see `batches.identity`.
        usual_loss: windows, mean and variance of the window losses of each dataset, by which
            `--skip-spikes` judges; empty without it.
        files: every other file of the checkpoint.
    """

    format: int = FORMAT
    step: int
    next_sample: int
    stream: dict[str, str]
    usual_loss: dict[str, tuple[float, float, float]] = {}
    files: dict[str, SavedFile] = {}


class _Version(msgspec.Struct):
    format: int = FORMAT
    sha256: str | None = None


def encode_header(header: RunHeader) -> bytes:
    """Readable JSON."""
    return msgspec.json.format(msgspec.json.encode(header), indent=_INDENT) + b"\n"


def seal(encoded: bytes) -> bytes:
    """An encoded header with the digest of itself as its last field."""
    body = encoded.removesuffix(b"\n}\n")
    return body + _seal(body)


def _seal(body: bytes) -> bytes:
    return f',\n "sha256": "{hashlib.sha256(body).hexdigest()}"\n}}\n'.encode()


_SEAL_BYTES = len(_seal(b""))


def read_header(path: Path) -> CheckpointHeader:
    """The header of a checkpoint, whose other files are checked by `check_files`.

    Raises:
        DamagedCheckpointError: it is missing, or not what was written.
        TrainError: it is of another format.
    """
    try:
        with open(path / HEADER, "rb") as stream:
            data = stream.read(_MOST_BYTES)
    except OSError as error:
        raise _damaged(path, f"{HEADER} cannot be read ({error.strerror})") from error
    body, seal = data[:-_SEAL_BYTES], data[-_SEAL_BYTES:]
    sealed = seal == _seal(body)
    _check_format(path, data, sealed)
    if not sealed:
        raise _damaged(path, f"{HEADER} does not match its checksum")
    try:
        header = msgspec.json.decode(body + b"\n}", type=CheckpointHeader)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, SettingError) as error:
        raise _damaged(path, f"{HEADER} is no header of a checkpoint ({error})") from error
    if path.name != f"step-{header.step:08d}" or header.next_sample < 0:
        raise _damaged(path, f"{HEADER} is of step {header.step}, sample {header.next_sample}")
    return header


def _check_format(path: Path, data: bytes, sealed: bool) -> None:
    """Tell a checkpoint of another version from a damaged one: that of format 1 had no checksum."""
    try:
        version = msgspec.json.decode(data, type=_Version)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return
    if version.format != FORMAT and (sealed or version.sha256 is None):
        raise TrainError(
            f"checkpoint {path} has format {version.format}, this version reads format {FORMAT}: continue the run with "
            f"the version of gato-data that wrote it, or start a new one"
        )


def check_files(path: Path, header: CheckpointHeader, part: int = 0, parts: int = 1) -> None:
    """Check the files of a checkpoint against their checksums, in little memory.

    Args:
        path: the checkpoint.
        header: read from it.
        part, parts: which share of the files; every one of several processes checks its own.

    Raises:
        DamagedCheckpointError: a file is missing, damaged, or does not belong to it.
    """
    try:
        strange = {file.name for file in path.glob("*.safetensors")} - set(header.files)
        if strange:
            raise _damaged(path, f"{min(strange)} does not belong to it")
        for name in sorted(header.files)[part::parts]:
            _check_file(path, name, header.files[name])
    except OSError as error:
        raise _damaged(path, f"it cannot be read ({error.strerror})") from error


def _check_file(path: Path, name: str, saved: SavedFile) -> None:
    file = path / name
    if Path(name).name != name or not file.is_file():
        raise _damaged(path, f"{name} is missing")
    size = file.stat().st_size
    if size != saved.size:
        raise _damaged(path, f"{name} has {size} bytes, {saved.size} were written")
    with open(file, "rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != saved.sha256:
        raise _damaged(path, f"{name} does not match its checksum")


def _damaged(path: Path, what: str) -> DamagedCheckpointError:
    return DamagedCheckpointError(f"checkpoint {path} is damaged: {what}")
