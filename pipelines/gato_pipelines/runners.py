"""Beam runners by name: run one function over many elements, with a pipeline that has a single leaf.

Nothing but the elements crosses Beam, and results go to files: such a pipeline is executed correctly by every runner.
"""

import os
from collections.abc import Callable, Sequence
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
) -> None:
    """Call `function` once for every element, on the workers of a Beam runner.

    Args:
        elements: small picklable values.
        function: picklable; leaves its results in files, and may be called again for the same element.
        runner: "local" uses `workers` processes of this machine, all cores by default.
        options: further Beam options, each "name=value".
        workers: for the local runner.

    Raises:
        GatoError: what the function raised; or a worker failed.
    """
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    flags = [f"--{option}" for option in options]
    if runner == "local":
        from apache_beam.runners.portability.fn_api_runner import FnApiRunner

        count = min(workers or os.cpu_count() or 1, max(len(elements), 1))
        mode = "in_memory" if count == 1 else "multi_processing"
        flags += [f"--direct_num_workers={count}", f"--direct_running_mode={mode}"]
        chosen: Any = FnApiRunner()
    elif runner in _BEAM_NAMES:
        chosen = _BEAM_NAMES[runner]
    else:
        raise SettingError(f"no runner named {runner!r}: there are {', '.join(RUNNERS)}")
    try:
        with beam.Pipeline(runner=chosen, options=PipelineOptions(flags)) as pipeline:
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
