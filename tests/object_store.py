"""A store that answers over HTTP like S3, in a process of its own that notes what it was asked."""

import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import pytest

LOCALHOST = "127.0.0.1"
_SERVER = """
import sys
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, run_simple
WSGIRequestHandler.protocol_version = "HTTP/1.1"
WSGIRequestHandler.log = lambda *args: None
inner, log = DomainDispatcherApplication(create_backend_app), open(sys.argv[2], "w", buffering=1)
def noted(environ, start):
    log.write(environ["REQUEST_METHOD"] + " " + environ["PATH_INFO"] + "\\n")
    return inner(environ, start)
run_simple("127.0.0.1", int(sys.argv[1]), noted, threaded=True)
"""


def free_port() -> int:
    with socket.socket() as found:
        found.bind((LOCALHOST, 0))
        return int(found.getsockname()[1])


def wait_for(port: int, process: "subprocess.Popen[Any]") -> None:
    """Wait until a process listens."""
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex((LOCALHOST, port)) == 0:
                return
        assert process.poll() is None
        time.sleep(0.1)
    raise AssertionError(f"nothing listens on port {port}")


@dataclass(frozen=True)
class ObjectStore:
    """A store with one empty bucket; `environment` is what finds it."""

    environment: dict[str, str]
    log: Path

    def asked(self, method: str, within: str) -> Counter[str]:
        """How often which object was asked for."""
        lines = (line.split(" ", 1) for line in self.log.read_text().splitlines())
        return Counter(path for what, path in lines if what == method and within in path)


@contextmanager
def object_store(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    """A store that `s3://bucket` finds while the body runs."""
    pytest.importorskip("moto", reason="needs a store: pip install 'moto[server]' s3fs")
    pytest.importorskip("s3fs", reason="needs s3fs")
    port, log = free_port(), folder / "requests"
    found = {"AWS_ENDPOINT_URL": f"http://{LOCALHOST}:{port}", "AWS_DEFAULT_REGION": "us-east-1"}
    found |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    server = subprocess.Popen([sys.executable, "-c", _SERVER, str(port), str(log)])
    try:
        for name, value in found.items():
            patch.setenv(name, value)
        wait_for(port, server)
        fsspec.filesystem("s3", skip_instance_cache=True).mkdir("bucket")
        yield ObjectStore({**os.environ, **found}, log)
    finally:
        server.kill()
        server.wait()
