"""Loaded by a Dask worker before it begins: it is killed when it has written one part and is given another."""

import os
import signal

from gato_pipelines.ingest import job_file
from gato_pipelines.ingest.job import Job
from gato_pipelines.ingest.shards import write_part

written: list[int] = []


def killed_at_the_second(job: Job, number: int) -> None:
    if written:
        os.kill(os.getpid(), signal.SIGKILL)
    write_part(job, number)
    written.append(number)


job_file.write_part = killed_at_the_second
