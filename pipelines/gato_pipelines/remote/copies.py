"""Whole files of an address on this machine: tried again while the store fails, refused where they have changed."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from gato_data.errors import InputError
from gato_data.remote.fetch import FINAL, attempts
from gato_data.remote.folder import RemoteFolder, RemoteObject
from gato_pipelines.remote.ranged import check_same
from gato_pipelines.remote.scratch import roomy

AT_ONCE = 256
"""Files that are fetched together, and up to which the store is asked for each what it is now; of more it lists all."""
_SIDE_BY_SIDE = 16


def copy_files(remote: RemoteFolder, known: Mapping[str, RemoteObject], paths: Mapping[str, Path], work: Path) -> None:
    """Copy files, and put each in its place when all of them are here and what they were.

    Args:
        remote: where they are.
        known: what they were when they were listed, by name.
        paths: where they belong, by name.
        work: a folder of the same disk.

    Raises:
        InputError: one does not come after several attempts, or is another one by now; it is named.
        OutputError: the disk has no room for them.
    """
    names = list(known)
    with roomy(), TemporaryDirectory(dir=work, ignore_cleanup_errors=True) as folder:
        fresh: list[Path] = []
        for first in range(0, len(names), AT_ONCE):
            fresh += _together(remote, {name: known[name] for name in names[first : first + AT_ONCE]}, Path(folder))
        _check_all(remote, known)
        for name, path in zip(names, fresh, strict=True):
            path.replace(paths[name])


def _together(remote: RemoteFolder, known: Mapping[str, RemoteObject], folder: Path) -> Sequence[Path]:
    """Fetch some files, those alone that do not come so.

    After an error others may still be on their way to where they were sent, so each is sent somewhere else then.
    """
    fresh = [folder / uuid4().hex for _ in known]
    try:
        remote.get(list(known), fresh)
    except InputError:
        return [_alone(remote, name, was, folder) for name, was in known.items()]
    return [
        path if path.stat().st_size == was.size else _alone(remote, name, was, folder)
        for path, (name, was) in zip(fresh, known.items(), strict=True)
    ]


def _alone(remote: RemoteFolder, name: str, known: RemoteObject, folder: Path) -> Path:
    failed = None
    for _ in attempts():
        path = folder / uuid4().hex
        try:
            remote.get([name], [path])
        except InputError as error:
            failed = error
            if isinstance(error.__cause__, FINAL):
                break
            continue
        if (found := path.stat().st_size) == known.size:
            return path
        check_same(remote, name, known)
        where = f"{remote.shown}/{name}" if name else remote.shown
        failed = InputError(
            f"{where} cannot be read ({found} of {known.size} bytes came): check the connection, then run the same "
            "command again"
        )
    assert failed is not None
    raise failed


def _check_all(remote: RemoteFolder, known: Mapping[str, RemoteObject]) -> None:
    """Check that files are what they were, as `check_same`."""
    suspects = list(known)
    if len(known) > AT_ONCE:
        now = remote.objects()
        suspects = [name for name, was in known.items() if now.get(name) != was]
    with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        for _ in pool.map(lambda name: check_same(remote, name, known[name]), suspects):
            pass
