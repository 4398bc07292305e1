"""The folder that a merge or a drop writes: nobody else's, locked, without a manifest until it is whole."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from gato_data.card.files import files_of_manifest
from gato_data.dataset_names import check_name, dataset_name
from gato_data.errors import OutputError
from gato_data.files import locked, refuse_links, write_durably
from gato_schemas.dataset import DEAD_LETTERS, MANIFEST, TEXT_MODEL, WORK, Manifest

_MARK = "copying"
"""File in the work folder by which a folder that was left half written is known."""


@contextmanager
def new_folder(out: Path, inputs: Sequence[Path]) -> Iterator[None]:
    """Hold an empty folder; what an error or Ctrl-C leaves in it is removed, what a kill leaves by the next try.

    Raises:
        OutputError: it is an input or inside one, holds something, is in use, or cannot be written.
    """
    for path in inputs:
        if out.resolve().is_relative_to(path.resolve()):
            raise OutputError(f"{out} is {path} or lies in it, which is only read: choose another --out")
    existed = out.exists()
    try:
        _check_free(out)
        out.mkdir(parents=True, exist_ok=True)
        with locked(out, "written"):
            _check_free(out)
            _empty(out)
            (out / WORK).mkdir()
            (out / WORK / _MARK).touch()
            try:
                yield
                shutil.rmtree(out / WORK)
            except BaseException:
                _empty(out)
                if not existed:
                    with suppress(OSError):
                        out.rmdir()
                raise
    except OSError as error:
        raise OutputError(
            f"{out} cannot be written ({error.strerror or error}): mend that, or choose another"
        ) from error


def _check_free(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file: --out wants a folder")
    names = sorted(path.name for path in out.iterdir()) if out.exists() else []
    if MANIFEST in names:
        raise OutputError(f"{out} holds a dataset: choose another --out, or remove it")
    if names and not (out / WORK / _MARK).is_file():
        raise OutputError(f"{out} is not empty (it holds {names[0]!r}): choose another --out")
    if names:
        refuse_links(out)


def _empty(out: Path) -> None:
    """Remove what was written before the manifest; the mark goes last."""
    for path in out.iterdir():
        if path.name != WORK:
            path.unlink()
    shutil.rmtree(out / WORK, ignore_errors=True)


def name_of(out: Path, asked: str | None) -> str:
    """The name that is asked for, or the folder's.

    Raises:
        SettingError: TFDS does not allow it.
    """
    if asked is None:
        return dataset_name(out)
    check_name(asked)
    return asked


def write_manifest(out: Path, manifest: Manifest, letters: bytes, text_model: bytes | None) -> None:
    """Write everything but the shards, the manifest last: from then on the dataset is complete."""
    if text_model is not None:
        write_durably(out / TEXT_MODEL, text_model)
    for name, content in {DEAD_LETTERS: letters, **files_of_manifest(out, manifest)}.items():
        write_durably(out / name, content)
