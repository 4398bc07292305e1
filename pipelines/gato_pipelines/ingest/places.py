"""Where an ingest reads and writes: paths, and folders of this machine that stand for remote ones."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

from gato_data.errors import GatoError, InputError, OutputError, SettingError
from gato_data.remote.address import address_of, is_remote, last_name, redacted, without_query
from gato_data.remote.folder import RemoteFolder
from gato_pipelines.ingest.inputs import InputFolders, find_inputs
from gato_pipelines.ingest.settings import IngestSettings
from gato_pipelines.remote.input import Mirror, mirror
from gato_pipelines.remote.output import RemoteOutput
from gato_pipelines.remote.scratch import new_scratch, using
from gato_pipelines.remote.work_files import WorkFiles
from gato_pipelines.source import Source


@dataclass(frozen=True, slots=True)
class Places:
    """Inputs and output of an ingest, all on this machine.

    Attributes:
        inputs: folders and files.
        out: the dataset's folder.
        mirrors: by path, the inputs whose files come when they are read.
        remote: what copies the dataset to where it belongs; None where it is there already.
    """

    inputs: list[Path]
    out: Path
    mirrors: Mapping[Path, Mirror] = field(default_factory=dict)
    remote: RemoteOutput | None = None

    @property
    def work(self) -> WorkFiles:
        """The work folder."""
        return WorkFiles(self.remote or self.out)

    def find(self, source: Source) -> InputFolders:
        """The inputs by the names that they call themselves.

        Raises:
            InputError: one is missing or cannot be read, or is given twice.
            OutputError: the output is an input, or inside one.
        """
        folders = find_inputs(source, self.inputs)
        self._check_apart(folders.values())
        return InputFolders({name: self.mirrors.get(path, path) for name, path in folders.items()})

    def _check_apart(self, inputs: Iterable[Path]) -> None:
        """Check that the output is not an input or inside one, which is never written."""
        if self.remote is None:
            pairs = [(str(path), path.resolve(), self.out.resolve()) for path in inputs]
        else:
            given = [each.remote.address for each in self.mirrors.values()]
            there = Path(self.remote.remote.address)
            pairs = [(address, Path(address), there) for address in given]
        for shown, source, out in pairs:
            if out.is_relative_to(source):
                raise OutputError(
                    f"{self.out} is {'' if out == source else 'inside '}the input {shown}, which "
                    "is never written: choose another --out"
                )


@contextmanager
def places(source: Source, given: Path | str | Sequence[Path | str], out: Path | str) -> Iterator[Places]:
    """Inputs and output, of which the remote ones get a folder of this machine.

    It lies in TMPDIR, and is removed at the end.

    Raises:
        InputError: a remote place cannot be read, is given twice, or is no address of a folder.
        MissingPackageError: a package that reads it is not installed.
    """
    every = [given] if isinstance(given, Path | str) else list(given)
    if not any(map(is_remote, [*every, out])):
        yield Places([Path(place) for place in every], Path(out))
        return
    with new_scratch() as run:
        output = None
        if is_remote(out):
            address = _writable(address_of(str(out)))
            output = RemoteOutput(RemoteFolder(address), run, last_name(address))
            output.pull()
        inputs, mirrors = _inputs(source, every, run, WorkFiles(output or Path(out)))
        with at_addresses(mirrors.values(), output):
            yield Places(inputs, Path(out) if output is None else output.out, mirrors, output)


def _writable(address: str) -> str:
    if address.lower().startswith("hf://"):
        name = address[len("hf://") :].removeprefix("datasets/")
        raise OutputError(
            f"{address} is only read, since every file written there would be a commit of its own: ingest to a folder, "
            f"then run `hf upload {name} FOLDER . --repo-type dataset`"
        )
    return address


@contextmanager
def at_addresses(mirrors: Iterable[Mirror], output: RemoteOutput | None) -> Iterator[None]:
    """Let errors name addresses, and not the folders of this machine that stand for them."""
    try:
        yield
    except GatoError as error:
        text = str(error)
        for found in mirrors:
            text = text.replace(str(found.place), found.remote.shown)
            if is_remote(around := found.remote.shown.rpartition("/")[0]):
                text = text.replace(str(found.place.parent), around)
        if output is not None:
            text = text.replace(str(output.out), output.remote.shown)
        error.args = (text, *error.args[1:])
        raise


@contextmanager
def at_work(inputs: InputFolders, work: WorkFiles) -> Iterator[None]:
    """Keep on this machine what a worker needs of addresses while the body runs."""
    output = work.out if isinstance(work.out, RemoteOutput) else None
    mirrors = [*inputs.mirrors.values()]
    runs = [found.run for found in mirrors] if output is None else [output.run]
    with using(runs[0]) if runs else nullcontext(), at_addresses(mirrors, output):
        yield


def _inputs(
    source: Source, given: Sequence[Path | str], run: str, work: WorkFiles
) -> tuple[list[Path], dict[Path, Mirror]]:
    inputs: list[Path] = []
    mirrors: dict[Path, Mirror] = {}
    seen: set[str] = set()
    for place in given:
        if not is_remote(place):
            inputs.append(Path(place))
            continue
        for address in map(address_of, _expand(str(place))):
            if address in seen:
                raise InputError(f"{redacted(address)} is given twice: give every input once")
            seen.add(address)
            found = mirror(source, address, run, len(seen), work)
            inputs.append(found.path)
            mirrors[found.path] = found
    return inputs, mirrors


def _expand(address: str) -> list[str]:
    if not any(sign in without_query(address) for sign in "*?"):
        return [address]
    if not (found := RemoteFolder(address).matches()):
        raise InputError(f"nothing matches {redacted(address)}: give folders or files that are there")
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
