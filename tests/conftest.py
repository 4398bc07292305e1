"""What all tests share: quiet TensorFlow, hypothesis without time limits, and one recorded and ingested game."""

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from gato_data.remote import folder
from tests.object_store import Bucket, ObjectStore, serve

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before anything imports TensorFlow

if importlib.util.find_spec("triton") and importlib.util.find_spec("torch"):
    import torch

    if not torch.cuda.is_available():
        os.environ["TRITON_INTERPRET"] = "1"  # kernels run on the CPU; chosen before Triton is imported
    import triton.language  # noqa: F401 - before TensorFlow, after which importing Triton crashes: both bring LLVM

settings.register_profile("default", deadline=None)  # a busy machine is no failure
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six short games of Breakout as RLDS, in three shards: 31 timesteps each, the last one a placeholder."""
    pytest.importorskip("ale_py", reason="needs ale-py, of the extra [simulators]")
    from gato_pipelines.recorders.atari import Recorder

    out = tmp_path_factory.mktemp("recording") / "rlds"
    return Recorder("breakout", max_frames=120).record(6, out, shards=3).directory.path


@pytest.fixture(scope="session")
def breakout(recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recording as a dataset of tokens, some of its episodes in the validation split; not to be changed."""
    from gato_pipelines.ingest.run import IngestSettings, run

    out = tmp_path_factory.mktemp("dataset") / "breakout"
    run("atari", {}, recording, out, IngestSettings(holdout=0.55, workers=1))
    return out


@pytest.fixture(scope="session")
def array_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five parts of two episodes, for the tasks of an array; not to be changed."""
    from tests.rlds_inputs import moving, write

    return write(tmp_path_factory.mktemp("array") / "rlds", [moving(n, length=20) for n in range(10)], shards=5)


@pytest.fixture(scope="session")
def array_wanted(array_source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What one process makes of them."""
    from tests.rlds_inputs import digests, ingest

    out = tmp_path_factory.mktemp("alone") / "arm"
    ingest(array_source, out, source="rlds", holdout=0.3)
    return digests(out)


@pytest.fixture(scope="session")
def object_store() -> Iterator[ObjectStore]:
    """An object store over HTTP, for all tests."""
    with serve() as store:
        yield store


@pytest.fixture
def bucket(object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """An empty bucket of it, which s3fs finds with credentials of the environment and without patience."""
    import s3fs  # type: ignore[import-untyped]

    for name, value in {**object_store.environment, "AWS_MAX_ATTEMPTS": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    s3fs.S3FileSystem.clear_instance_cache()
    folder._system_of.cache_clear()
    yield Bucket.made(object_store)
    s3fs.S3FileSystem.clear_instance_cache()
    folder._system_of.cache_clear()
