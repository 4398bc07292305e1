"""A dataset that TFDS knows by name, downloaded and prepared by TFDS; from then on it is read like any other folder."""

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from gato_data.errors import InputError, MissingPackageError
from gato_pipelines.rlds.library import import_rlds


def prepare(name: str, report: Callable[[str], None] = lambda line: None, *, documents: bool = False) -> Path:
    """Folder of a prepared TFDS dataset, such as "rlu_atari/Pong_run_1"; downloads what is not there yet.

    With `documents` it may hold texts instead of episodes, such as "wikipedia". TFDS keeps its
    datasets in `~/tensorflow_datasets`, or where TFDS_DATA_DIR says.

    Raises:
        InputError: TFDS has no such dataset, it is no RLDS dataset, or it cannot be downloaded.
        MissingPackageError: TFDS or TensorFlow is not installed.
    """
    with quiet_stderr():
        try:
            import tensorflow as tf
            import tensorflow_datasets as tfds
        except ImportError as error:
            raise MissingPackageError(f"--tfds-name needs {error.name}: pip install 'gato-data[ingest]'") from error
    try:
        builder = tfds.builder(name)
    except (tfds.core.DatasetNotFoundError, ValueError, OSError) as error:
        raise InputError(f"TFDS has no dataset {name!r} ({_reason(error)}): its catalogue lists the names") from error
    if not documents:
        _check_rlds(name, builder.info.features)
    report(f"TFDS prepares {name} in {builder.data_path}")
    try:
        _prepare_quietly(tfds, builder)
    except (OSError, RuntimeError, ImportError, tf.errors.OpError, tfds.download.DownloadError) as error:
        raise InputError(
            f"TFDS could not download or prepare {name!r} ({_reason(error)}): connect to the network, or give the "
            "folder of a prepared dataset as INPUT"
        ) from error
    return Path(builder.data_path)


def import_tfds() -> Any:
    """TensorFlow Datasets, where a dataset on disk cannot be read without it.

    Raises:
        MissingPackageError: it, or TensorFlow, is not installed.
    """
    try:
        with quiet_stderr():
            import tensorflow  # noqa: F401  (TFDS imports it late, and then says less)
            import tensorflow_datasets as tfds
    except ImportError as error:
        raise MissingPackageError(f"this input needs {error.name}: pip install 'gato-data[ingest]'") from error
    return tfds


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Keep what native code says to stderr off the screen: TensorFlow's start-up messages heed no setting."""
    if logging.root.isEnabledFor(logging.INFO):
        yield
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


def _check_rlds(name: str, features: Any) -> None:
    """Refuse a dataset whose records are not episodes of steps."""
    rlds = import_rlds()
    steps = features[rlds.STEPS] if rlds.STEPS in features else None  # noqa: SIM401 - a FeaturesDict has no get()
    inner = getattr(steps, "feature", {})
    wanted = (rlds.OBSERVATION, rlds.ACTION, rlds.IS_FIRST, rlds.IS_LAST)
    missing = [key for key in wanted if key not in inner]
    if steps is None or missing:
        what = f"its steps lack {', '.join(missing)}" if steps is not None else f"it has no {rlds.STEPS!r}"
        raise InputError(f"TFDS's {name!r} is not an RLDS dataset ({what}): a dataset of episodes is wanted")


def _prepare_quietly(tfds: Any, builder: Any) -> None:
    """Prepare in this process; stdout stays free, progress shows on a terminal only, errors are raised and not logged.

    Some of TFDS's builders run on Beam; its default runner would first try to download another one.
    """
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner

    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    config = tfds.download.DownloadConfig(beam_runner=FnApiRunner(), beam_options=PipelineOptions([]))
    loggers = {name: logging.getLogger(name) for name in ("apache_beam", "absl")}
    before = {name: logger.level for name, logger in loggers.items()}
    for logger in loggers.values():
        logger.setLevel(logging.CRITICAL)
    try:
        with redirect_stdout(sys.stderr):
            builder.download_and_prepare(download_config=config)
    finally:
        for name, logger in loggers.items():
            logger.setLevel(before[name])


def _reason(error: BaseException) -> str:
    """The most telling part of a long error: what is behind its last "error details:", or its first line."""
    text = str(error).strip()
    if "error details:" in text:
        text = text.rsplit("error details:", 1)[1].strip()
    return next(iter(text.splitlines()), type(error).__name__)[:200].rstrip(". ")
