"""Beam runners by name: run one function over many elements, with a pipeline that has a single leaf.

Nothing but the elements crosses Beam, and results go to files: such a pipeline is executed correctly by every runner.
"""

import logging
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeAlias

from gato_data.errors import GatoError, SettingError

RunnerName: TypeAlias = Literal["local", "dask", "flink", "spark", "dataflow"]
RUNNERS: tuple[RunnerName, ...] = ("local", "dask", "flink", "spark", "dataflow")
_BEAM_NAMES = {"dask": "DaskRunner", "flink": "FlinkRunner", "spark": "SparkRunner", "dataflow": "DataflowRunner"}


def run_over(
    elements: Sequence[Any],
    function: Callable[[Any], None],
    runner: RunnerName,
    options: Sequence[str] = (),
    workers: int | None = None,
    log: Path | None = None,
) -> None:
    """Call `function` once for every element, on the workers of a Beam runner.

    Args:
        elements: small picklable values.
        function: picklable; leaves its results in files, and may be called again for the same element.
        runner: "local" uses `workers` processes of this machine, all cores by default.
        options: further Beam options, each "name=value".
        workers: for the local runner.
        log: where the local runner's processes write what Beam has to say.

    Raises:
        GatoError: what the function raised; or a worker failed.
    """
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    flags = [f"--{option}" for option in options]
    if runner == "local":
        count = min(workers or os.cpu_count() or 1, max(len(elements), 1))
        flags += [f"--direct_num_workers={count}", "--default_sdk_harness_log_level=ERROR"]
        chosen = _local_runner(count, log)
    elif runner in _BEAM_NAMES:
        chosen = _BEAM_NAMES[runner]
    else:
        raise SettingError(f"no runner named {runner!r}: there are {', '.join(RUNNERS)}")
    try:
        with _quiet_beam(), beam.Pipeline(runner=chosen, options=PipelineOptions(flags)) as pipeline:
            _ = (
                pipeline
                | "Create" >> beam.Create(list(elements), reshuffle=False)
                | "Reshuffle" >> beam.Reshuffle()
                | "Call" >> beam.Map(function)
            )
    except GatoError:
        raise
    except RuntimeError as error:
        raise _first_cause(error) from error


def _local_runner(count: int, log: Path | None) -> Any:
    """This machine: inside this process for one worker, otherwise in `count` processes of their own."""
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner
    from apache_beam.transforms.environments import EmbeddedPythonEnvironment, SubprocessSDKEnvironment

    if count == 1:
        return FnApiRunner(EmbeddedPythonEnvironment.default())
    target = shlex.quote(str(log) if log else os.devnull)
    command = f"{shlex.quote(sys.executable)} -m apache_beam.runners.worker.sdk_worker_main 2>>{target}"
    return FnApiRunner(SubprocessSDKEnvironment(command_string=command))


@contextmanager
def _quiet_beam() -> Iterator[None]:
    """Keep Beam's own log lines off the screen: an error that matters is raised as well."""
    logger = logging.getLogger("apache_beam")
    before = logger.level
    if not logging.root.isEnabledFor(logging.INFO):
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def _first_cause(error: BaseException) -> GatoError:
    """The GatoError that a worker raised, out of Beam's wrapping; its text is all that crosses a process."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, GatoError):
            return cause
        cause = cause.__cause__ or cause.__context__
    marker = "gato_data.errors."
    for line in reversed(str(error).splitlines()):
        if marker in line and ": " in line:
            text = line.split(marker, 1)[1].split(": ", 1)[1]
            return GatoError(text.split(" [while running")[0].strip())
    last = next((line.strip() for line in reversed(str(error).splitlines()) if line.strip()), repr(error))
    return GatoError(f"a worker failed ({last}): run the same command again, finished shards are kept")
