"""Where an ingest reads and writes: paths as they are, and folders of this machine that stand for remote ones."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from gato_data.errors import GatoError, InputError, SettingError
from gato_pipelines.ingest_settings import IngestSettings
from gato_pipelines.remote import RemoteFolder, is_remote, last_name
from gato_pipelines.remote_input import Mirror, mirror
from gato_pipelines.remote_output import RemoteOutput
from gato_pipelines.source import Source


@dataclass(frozen=True, slots=True)
class Places:
    """Inputs and output of an ingest, all on this machine.

    Attributes:
        inputs: folders and files.
        out: the dataset's folder.
        mirrors: by path, the inputs whose files come when they are read.
        output: what copies the dataset to where it belongs; None where it is there already.
    """

    inputs: list[Path]
    out: Path
    mirrors: Mapping[Path, Mirror] = field(default_factory=dict)
    output: RemoteOutput | None = None


@contextmanager
def places(source: Source, given: Path | str | Sequence[Path | str], out: Path | str) -> Iterator[Places]:
    """Inputs and output, of which the remote ones get a folder of this machine (in TMPDIR) that is removed at the end.

    Raises:
        InputError: a remote place cannot be read, or is given twice.
        MissingPackageError: a package that reads it is not installed.
    """
    every = [given] if isinstance(given, Path | str) else list(given)
    if not any(map(is_remote, [*every, out])):
        yield Places([Path(place) for place in every], Path(out))
        return
    with TemporaryDirectory(prefix="gato-data-", ignore_cleanup_errors=True) as scratch:
        inputs, mirrors = _inputs(source, every, Path(scratch))
        if not is_remote(out):
            yield Places(inputs, Path(out), mirrors)
            return
        address = str(out).rstrip("/")
        output = RemoteOutput(RemoteFolder(address), Path(scratch) / "out" / (last_name(address) or "dataset"))
        output.out.parent.mkdir()
        output.pull()
        try:
            yield Places(inputs, output.out, mirrors, output)
        except GatoError as error:
            output.reword(error)
            raise


def _inputs(source: Source, given: Sequence[Path | str], scratch: Path) -> tuple[list[Path], dict[Path, Mirror]]:
    inputs: list[Path] = []
    mirrors: dict[Path, Mirror] = {}
    seen: set[str] = set()
    for place in given:
        if not is_remote(place):
            inputs.append(Path(place))
            continue
        for address in _expand(str(place)):
            if address in seen:
                raise InputError(f"{address} is given twice: give every input once")
            seen.add(address)
            path, found = mirror(source, address, scratch / f"input-{len(seen)}")
            inputs.append(path)
            mirrors[path] = found
    return inputs, mirrors


def _expand(address: str) -> list[str]:
    if not any(sign in address for sign in "*?"):
        return [address.rstrip("/")]
    if not (found := RemoteFolder(address).matches()):
        raise InputError(f"nothing matches {address}: give folders or files that are there")
    return found


def fitting(ingest: IngestSettings, given: Path | str | Sequence[Path | str], out: Path | str) -> IngestSettings:
    """The settings with the number of workers that the places allow: `memory://` is one process's own.

    Raises:
        SettingError: several processes are asked for, or another runner.
    """
    every = [given] if isinstance(given, Path | str) else list(given)
    if not any(str(place).startswith("memory://") for place in [*every, out]):
        return ingest
    if ingest.runner != "local" or ingest.workers not in (None, 1):
        raise SettingError("memory:// is seen by one process alone: use the local runner with --workers 1")
    return replace(ingest, workers=1)
