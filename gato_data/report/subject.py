"""What a path is to `inspect`: a shard, a dataset or a mixture, or else which command looks at it."""

from pathlib import Path
from typing import Literal, TypeAlias

from gato_data.errors import InputError
from gato_schemas.dataset import MANIFEST, WORK

Subject: TypeAlias = Literal["shard", "dataset", "mixture"]
_RUN = "a run of gato-data train: its figures are in log.jsonl, its curve is loss.png"
_FOLDERS = {
    "run.json": f"is {_RUN}",
    "checkpoint.json": "is a checkpoint of gato-data train: --resume and --init-from take it",
    "features.json": "holds episodes that are no tokens yet: gato-data ingest rlds reads them, with --dry-run it shows "
    "what is in them",
}
_FILES = {
    "run.json": f"belongs to {_RUN}",
    "log.jsonl": f"belongs to {_RUN}",
    "dead_letters.jsonl": "lists what the dataset in its folder leaves out: give the folder",
    "dataset.json": "describes the dataset in its folder: give the folder",
    "features.json": "describes the dataset in its folder: give the folder",
    "dataset_info.json": "describes the dataset in its folder: give the folder",
}
_WANTED = "a shard, a dataset's folder or a mixture was wanted"


def subject_at(address: str) -> Subject:
    """What an address is, by its last name."""
    name = address.rpartition("/")[2]
    return "shard" if ".tfrecord-" in name else "mixture" if name.endswith(".json") else "dataset"


def subject_of(path: Path) -> Subject:
    """What a path is.

    Raises:
        InputError: nothing that inspect looks at; the message says what else it is.
    """
    if path.is_dir():
        return _of_folder(path)
    if not path.exists():
        raise InputError(f"{path} does not exist: {_WANTED}")
    if path.name in _FILES:
        raise InputError(f"{path} {_FILES[path.name]}")
    if ".tfrecord" in path.name:
        return "shard"
    if path.suffix == ".json":
        return "mixture"
    if path.suffix == ".model":
        raise InputError(f"{path} looks like a text model: gato-data vocabulary show {path} looks at it")
    raise InputError(f"{path} is nothing that inspect looks at: {_WANTED}")


def _of_folder(folder: Path) -> Subject:
    if (folder / MANIFEST).exists() or (folder / WORK).exists() or any(folder.glob("*.tfrecord-*.index")):
        return "dataset"
    for name, what in _FOLDERS.items():
        if (folder / name).exists():
            raise InputError(f"{folder} {what}")
    inside = sorted(path.parent.name for path in folder.glob(f"*/{MANIFEST}"))
    if inside:
        shown = ", ".join(inside[:5]) + (", ..." if len(inside) > 5 else "")
        raise InputError(f"{folder} holds several datasets ({shown}): give one of these folders")
    raise InputError(f"{folder} holds nothing that inspect looks at: {_WANTED}")
