"""The same bytes on other engines: a Dask cluster of two worker processes, and Beam's portable job service."""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from textwrap import dedent

import pytest

from gato_data.errors import GatoError, SettingError
from tests.ports import LOCALHOST, free_port, wait_for
from tests.rlds_inputs import digests, ingest, moving, write


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four parts of two episodes."""
    folder = tmp_path_factory.mktemp("engines") / "rlds"
    return write(folder, [moving(number, length=30) for number in range(8)], shards=4)


@pytest.fixture(scope="module")
def wanted(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the local runner makes of them."""
    out = tmp_path_factory.mktemp("local") / "arm"
    ingest(source, out, source="rlds", holdout=0.3)
    return digests(out)


def run(source: Path, out: Path, *options: str) -> None:
    """The ingest as a user types it."""
    program = str(Path(sys.executable).with_name("gato-data"))
    command = [program, "ingest", "rlds", str(source), "--out", str(out), "--holdout", "0.3", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Address of a Dask scheduler with two worker processes."""
    distributed = pytest.importorskip("distributed", reason="needs Dask, of the extra [dask]")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host=LOCALHOST
    ) as made:
        made.wait_for_workers(2)
        yield made.scheduler_address


@pytest.mark.parametrize("partitions", [1, 4])
def test_dask(source: Path, wanted: dict[str, str], tmp_path: Path, cluster: str, partitions: int) -> None:
    address, pieces = f"dask_client_address={cluster}", f"dask_npartitions={partitions}"
    run(source, tmp_path / "arm", "--runner", "dask", "--beam-option", address, "--beam-option", pieces)
    assert digests(tmp_path / "arm") == wanted


SPREAD = """
    import os, sys, time
    from functools import partial
    from pathlib import Path
    from gato_pipelines.ingest.runners import run_over
    def note(folder, element):
        time.sleep(0.05)
        Path(folder, str(element)).write_text(str(os.getpid()))
    for folder in sys.argv[2:]:
        run_over(range(64), partial(note, folder), "dask", [f"dask_client_address={sys.argv[1]}"])
"""


def test_dask_gives_work_to_all_workers_and_again_to_those_that_had_it(cluster: str, tmp_path: Path) -> None:
    """Without an option for it; by the number of parts, since how long one takes is the machine's."""
    folders = [tmp_path / "scan", tmp_path / "write"]
    for folder in folders:
        folder.mkdir()
    command = [sys.executable, "-c", dedent(SPREAD), cluster, *map(str, folders)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    scanned, written = ({path.name: path.read_text() for path in folder.iterdir()} for folder in folders)
    for found in (scanned, written):
        first, second = Counter(found.values()).values()
        assert first + second == 64
        assert 26 <= first <= 38, "an idle worker may take a few that are another's"
    assert sum(written[part] == scanned[part] for part in scanned) >= 52


FAILS = """
    import sys
    from gato_data.errors import GatoError, OutputError
    from gato_pipelines.ingest.runners import run_over
    def deeper(depth):
        return deeper(depth + 1) + 1
    def plainly(element):
        raise OutputError(f"part {element} cannot be written: free space")
    def of_a_recursion(element):
        try:
            deeper(0)
        except RecursionError as error:
            raise OutputError(f"part {element} cannot be written: free space") from error
    def endlessly(element):
        deeper(0)
    def oddly(element):
        raise KeyError("first\\nlast", lambda: element)
    for fail in (plainly, of_a_recursion, endlessly, oddly):
        try:
            run_over([1], fail, "dask", [f"dask_client_address={sys.argv[1]}"])
        except GatoError as error:
            print(f"{type(error).__name__}: {error}")
            assert f", in {fail.__name__}\\n" in str(error.__cause__)
"""


def test_an_error_of_a_dask_worker_is_one_sentence(cluster: str) -> None:
    """Also one that cannot be sent, such as one with too deep a traceback; and where it was raised is told."""
    command = [sys.executable, "-c", dedent(FAILS), cluster]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr
    plain, of_a_recursion, endless, odd = done.stdout.splitlines()
    assert plain == of_a_recursion == "OutputError: part 1 cannot be written: free space"
    where = "): --debug shows where; finished shards are kept"
    assert endless == "GatoError: a worker failed (RecursionError: maximum recursion depth exceeded" + where
    assert odd.startswith("GatoError: a worker failed (KeyError: ('first\\nlast', <function ")
    assert odd.endswith(where)


@contextmanager
def serving(log: Path, module: str, *options: str) -> Iterator[str]:
    """Address of one of Beam's services, in a process of its own."""
    pytest.importorskip("apache_beam", reason="needs Apache Beam, of the extra [ingest]")
    port = free_port()
    command = [sys.executable, "-m", f"apache_beam.runners.{module}", *options[:-1], f"{options[-1]}={port}"]
    path = os.pathsep.join(
        (str(Path(sys.executable).parent), os.environ["PATH"])
    )  # a pool starts what is called python
    with log.open("w") as file:
        service = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env={**os.environ, "PATH": path})
    try:
        wait_for(port, service)
        yield f"{LOCALHOST}:{port}"
    finally:
        service.send_signal(signal.SIGINT)  # at which a pool ends its workers
        with suppress(subprocess.TimeoutExpired):
            service.wait(30)
        service.kill()
        service.wait()


@pytest.fixture(scope="module")
def job_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Beam's portable job service, whose protocol the job servers of Flink and Spark speak."""
    log = tmp_path_factory.mktemp("service") / "log"
    with serving(log, "portability.local_job_service_main", "--port") as address:
        yield address


@pytest.fixture(scope="module")
def worker_pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A pool of workers, as a machine of a cluster has one."""
    log = tmp_path_factory.mktemp("pool") / "log"
    with serving(log, "worker.worker_pool_main", "--service_port") as address:
        yield address


@pytest.mark.parametrize("environment", ["LOOPBACK", "EXTERNAL"])
def test_the_portable_job_service(
    source: Path, wanted: dict[str, str], tmp_path: Path, job_service: str, worker_pool: str, environment: str
) -> None:
    """The workers are in the process of the command, or in a pool that has nothing of it but what the job says."""
    options = [f"job_endpoint={job_service}", f"environment_type={environment}"]
    if environment == "EXTERNAL":
        options.append(f"environment_config={worker_pool}")
    run(source, tmp_path / "arm", "--runner", "portable", *(word for o in options for word in ("--beam-option", o)))
    assert digests(tmp_path / "arm") == wanted


def test_no_job_service(source: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingError) as raised:
        ingest(source, tmp_path / "arm", source="rlds", runner="portable")
    assert str(raised.value) == "runner portable wants --beam-option job_endpoint=HOST:PORT: where the job service is"
    nobody = f"job_endpoint={LOCALHOST}:{free_port()}"
    with pytest.raises(GatoError) as refused:
        ingest(
            source,
            tmp_path / "arm",
            source="rlds",
            runner="portable",
            beam_options=(nobody, "environment_type=LOOPBACK", "job_server_timeout=1"),
        )
    assert str(refused.value) == f"no job service answers ({nobody}): start it, or give where it is"
