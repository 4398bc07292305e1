"""A dataset that TFDS knows by name, downloaded and prepared by TFDS; from then on it is read like any other folder."""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gato_data.errors import InputError, MissingPackageError
from gato_pipelines.rlds_import import import_rlds


def prepare(name: str, report: Callable[[str], None] = lambda line: None) -> Path:
    """Folder of a prepared TFDS dataset, such as "rlu_atari/Pong_run_1"; downloads what is not there yet.

    TFDS keeps its datasets in `~/tensorflow_datasets`, or where TFDS_DATA_DIR says.

    Raises:
        InputError: TFDS has no such dataset, it is no RLDS dataset, or it cannot be downloaded.
        MissingPackageError: TFDS or TensorFlow is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        import tensorflow as tf
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise MissingPackageError(f"--tfds-name needs {error.name}: pip install 'gato-data[ingest]'") from error
    try:
        builder = tfds.builder(name)
    except (tfds.core.DatasetNotFoundError, ValueError) as error:
        reason = next(iter(str(error).splitlines()), "").rstrip(".")
        raise InputError(f"TFDS has no dataset {name!r} ({reason}): its catalogue lists the names") from error
    _check_rlds(name, builder.info.features)
    report(f"TFDS prepares {name} in {builder.data_path}")
    try:
        _prepare_quietly(builder)
    except (OSError, RuntimeError, ImportError, tf.errors.OpError, tfds.download.DownloadError) as error:
        raise InputError(
            f"TFDS could not download or prepare {name!r} ({_reason(error)}): connect to the network, or give the "
            "folder of a prepared dataset as INPUT"
        ) from error
    return Path(builder.data_path)


def _check_rlds(name: str, features: Any) -> None:
    """Refuse a dataset whose records are not episodes of steps."""
    rlds = import_rlds()
    steps = features.get(rlds.STEPS)
    inner = getattr(steps, "feature", {})
    wanted = (rlds.OBSERVATION, rlds.ACTION, rlds.IS_FIRST, rlds.IS_LAST)
    missing = [key for key in wanted if key not in inner]
    if steps is None or missing:
        what = f"its steps lack {', '.join(missing)}" if steps is not None else f"it has no {rlds.STEPS!r}"
        raise InputError(f"TFDS's {name!r} is not an RLDS dataset ({what}): a dataset of episodes is wanted")


def _prepare_quietly(builder: Any) -> None:
    """Prepare, without the tracebacks that Beam logs of an error that is raised as well."""
    logger = logging.getLogger("apache_beam")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        builder.download_and_prepare()
    finally:
        logger.setLevel(before)


def _reason(error: BaseException) -> str:
    """The most telling part of a long error: what is behind its last "error details:", or its first line."""
    text = str(error).strip()
    if "error details:" in text:
        text = text.rsplit("error details:", 1)[1].strip()
    return next(iter(text.splitlines()), type(error).__name__)[:200].rstrip(". ")
