"""Beam runners by name: run one function over many elements, with a pipeline that has a single leaf.

Nothing but the elements crosses Beam, and results go to files: such a pipeline is executed
correctly by every runner.
"""

import argparse
import logging
import os
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

from gato_data.errors import GatoError, MissingPackageError, SettingError
from gato_pipelines.ingest.dead_workers import Deaths, TrackedCall
from gato_pipelines.ingest.sent_errors import SentErrors, worker_failed
from gato_pipelines.ingest.settings import EngineName

_AUGMENTED = " [while running '"
"""What Beam appends to the message of an error."""
_RAISED = re.compile(r"^gato_(?:data|schemas|pipelines)(?:\.\w+)*\.\w*Error: (.*)$", re.MULTILINE)
_INTERRUPTED = re.compile(r"^KeyboardInterrupt\b", re.MULTILINE)
"""What a user's Ctrl-C makes of a worker in this process."""
_MAX_LINES, _MAX_REASON = 8, 300
_SECONDS = 30
"""In which a job service that is said to run has to answer, unless its option says otherwise."""
_BEAM_NAMES = {
    "portable": "PortableRunner",
    "flink": "FlinkRunner",
    "spark": "SparkRunner",
    "dataflow": "DataflowRunner",
}


def run_over(
    elements: Sequence[Any],
    function: Callable[[Any], None],
    runner: EngineName,
    options: Sequence[str] = (),
    workers: int | None = None,
    log: Path | None = None,
    name: Callable[[Any], str] = str,
) -> None:
    """Call `function` once for every element, on the workers of a Beam runner.

    Args:
        elements: small picklable values.
        function: picklable; leaves its results in files, and may be called again for the same
            element.
        runner: "local" uses `workers` processes of this machine, as many as it may use cores by default.
        options: further Beam options, each "name=value".
        workers: for the local runner.
        log: where the local runner's processes write what Beam has to say; beside it they note what
            they work on.
        name: what an element is called in errors.

    Raises:
        GatoError: what the function raised; or a worker died, or the runner failed.
        KeyboardInterrupt: the user stopped it.
        SettingError: there is no such option.
        MissingPackageError: Beam, or what the runner needs, is not installed.
    """
    beam = _import_beam()
    import grpc
    from apache_beam.options.pipeline_options import PipelineOptions

    flags, count = _flags(runner, options), 1
    if runner == "local":
        count = min(workers or _cores(), max(len(elements), 1))
        flags += [f"--direct_num_workers={count}", "--default_sdk_harness_log_level=ERROR"]
    notes = log.parent if count > 1 and log is not None else None
    deaths = Deaths(elements, name, notes)
    try:
        chosen = _chosen(runner, elements, count, log)
        with _quiet_beam(), beam.Pipeline(runner=chosen, options=PipelineOptions(flags)) as pipeline:
            created = pipeline | "Create" >> beam.Create(list(elements), reshuffle=False)
            if runner != "local" or count > 1:  # one worker has nobody to share with: half of Beam's own time
                created |= "Reshuffle" >> beam.Reshuffle()
            created | "Call" >> beam.Map(_called(function, runner, notes))
    except GatoError as error:
        error.args = (str(error).split(_AUGMENTED)[0], *error.args[1:])
        raise
    except grpc.FutureTimeoutError as error:
        raise GatoError(f"no job service answers ({_endpoint(options)}): start it, or give where it is") from error
    except (RuntimeError, ValueError, OSError) as error:
        if _INTERRUPTED.search(str(error)):
            raise KeyboardInterrupt from error
        if runner == "local" and not isinstance(error, RuntimeError):
            raise  # a worker in this process shows its own error
        raise _explain(error, runner, deaths) from error


def _called(function: Callable[[Any], None], runner: EngineName, notes: Path | None) -> Callable[[Any], None]:
    """What a worker calls, of a function."""
    if runner == "dask":
        return SentErrors(function)
    return function if notes is None else TrackedCall(function, notes)


def _cores() -> int:
    """How many cores this process may use: a batch system gives it some of the machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _import_beam() -> Any:
    try:
        import apache_beam
    except ImportError as error:
        raise MissingPackageError("ingest needs Apache Beam: pip install 'gato-data[ingest]'") from error
    return apache_beam


def _flags(runner: EngineName, options: Sequence[str]) -> list[str]:
    """Command-line flags for Beam.

    Raises:
        SettingError: an option is not written as NAME=VALUE, or Beam does not take it.
        MissingPackageError: what the runner needs is not installed.
    """
    from apache_beam.options.pipeline_options import PipelineOptions

    if runner == "dask" and find_spec("distributed") is None:
        raise MissingPackageError("runner dask needs Dask: pip install 'gato-data[ingest,dask]'")
    if runner == "dask":
        # only then does Beam know its options
        import_module("apache_beam.runners.dask.dask_runner")
    if runner == "portable" and not _endpoint(options):
        raise SettingError("runner portable wants --beam-option job_endpoint=HOST:PORT: where the job service is")
    for option in options:
        if not re.match(r"\w+=", option):
            raise SettingError(f"--beam-option {option!r} is not of the form NAME=VALUE")
    if not options:
        return []  # Beam's own parser takes a tenth of a second to make
    waits = [f"--job_server_timeout={_SECONDS}"] if _endpoint(options) else []
    flags = waits + [f"--{option}" for option in options]
    parser = _FlagParser(add_help=False, allow_abbrev=False, conflict_handler="resolve")
    for group in PipelineOptions.__subclasses__():
        group._add_argparse_args(parser)
    _, unknown = parser.parse_known_args(flags)
    if unknown and runner in ("local", "dask"):  # the others pass them on
        raise SettingError(
            f"Beam has no pipeline option {unknown[0][2:].partition('=')[0]!r}: its documentation lists them"
        )
    return flags


def _endpoint(options: Sequence[str]) -> str:
    """The option that says where a job service is; empty where none does."""
    return next((option for option in options if option.startswith("job_endpoint=")), "")


class _FlagParser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise SettingError(f"--beam-option is not as Beam wants it: {message.removeprefix('argument --')}")


def _chosen(runner: EngineName, elements: Sequence[Any], count: int, log: Path | None) -> Any:
    """A runner of Beam's, or its name."""
    if runner == "local":
        return _local_runner(count, log)
    if runner == "dask":
        from gato_pipelines.ingest.dask_runner import SpreadDaskRunner

        return SpreadDaskRunner(elements)
    return _BEAM_NAMES[runner]


def _local_runner(count: int, log: Path | None) -> Any:
    """This machine: inside this process for one worker, otherwise in `count` processes of their own."""
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner
    from apache_beam.transforms.environments import EmbeddedPythonEnvironment

    if count == 1:
        return FnApiRunner(EmbeddedPythonEnvironment.default())
    from gato_pipelines.ingest.worker_processes import WatchedEnvironment

    return FnApiRunner(WatchedEnvironment(log or Path(os.devnull)))


@contextmanager
def _quiet_beam() -> Iterator[None]:
    """Keep Beam's own log lines and its threads' last words off the screen: an error that matters is raised as well."""
    logger, hook = logging.getLogger("apache_beam"), threading.excepthook
    before = logger.level
    if not logging.root.isEnabledFor(logging.INFO):
        logger.setLevel(logging.CRITICAL + 1)
        threading.excepthook = lambda what: None if what.exc_type.__module__ == "grpc" else hook(what)
    try:
        yield
    finally:
        logger.setLevel(before)
        threading.excepthook = hook


def _explain(error: BaseException, runner: EngineName, deaths: Deaths) -> GatoError:
    """What a failed pipeline means to its user; of a GatoError in another process only the text arrives."""
    text = str(error)
    found = _RAISED.findall(text)
    if found:
        return GatoError(found[-1].split(_AUGMENTED)[0].strip())
    dead = deaths.explain(text)
    if dead is not None:
        return dead
    lines = [line.strip() for line in text.splitlines() if line.strip()] or [type(error).__name__]
    if runner == "local":
        return worker_failed(lines[-1])
    reason = "; ".join(lines if len(lines) <= _MAX_LINES else lines[-1:])[:_MAX_REASON]
    return GatoError(f"runner {runner} failed ({reason}): its options are given with --beam-option NAME=VALUE")
