"""An object store on this machine, over real HTTP: moto's server, with a wait before every answer and faults on demand.

`python tests/object_store.py SECONDS` serves until its standard input closes, and prints its port. What it has sent is
counted by object; `PUT /-/fault` lets coming answers go wrong.
"""

import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

Answer: TypeAlias = Literal["throttle", "cut", "reset"]
KEY, SECRET = "AKIAWATCHEDKEY", "watched/secret+key"


@dataclass(frozen=True)
class ObjectStore:
    """A server that is running.

    Attributes:
        url: of it.
    """

    url: str

    @property
    def environment(self) -> dict[str, str]:
        """What s3fs and boto find it by."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def sent(self, within: str = "") -> tuple[int, int]:
        """Answers with content of objects, and bytes of them, as far as the path of the object begins with `within`."""
        found = json.loads(self._ask("GET", "sent"))
        counts = [count for path, count in found.items() if path.startswith(f"/{within}")]
        return sum(count for count, _ in counts), sum(size for _, size in counts)

    def fail(self, answer: Answer, times: int, within: str = "") -> None:
        """Let the next so many answers go wrong that have content of objects whose path holds `within`."""
        self._ask("PUT", "fault", {"answer": answer, "left": times, "within": within})

    def _ask(self, method: str, what: str, body: object = None) -> bytes:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/-/{what}", data, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            found: bytes = answer.read()
            return found


@dataclass(frozen=True)
class Bucket:
    """A bucket of its own for one test."""

    store: ObjectStore
    name: str

    @staticmethod
    def made(store: ObjectStore) -> "Bucket":
        """A new one."""
        name = f"bucket-{time.monotonic_ns()}"
        _files().mkdir(name)
        return Bucket(store, name)

    def put(self, folder: Path, name: str) -> str:
        """Copy all files of a folder there; the address of what they are then."""
        for path in folder.rglob("*"):
            if path.is_file():
                self.write(f"{name}/{path.relative_to(folder).as_posix()}", path.read_bytes())
        return f"s3://{self.name}/{name}"

    def write(self, name: str, data: bytes) -> None:
        """Write one object."""
        _files().pipe_file(f"{self.name}/{name}", data)

    def remove(self, folder: str) -> None:
        """Remove all objects below a folder."""
        _files().rm(f"{self.name}/{folder}", recursive=True)

    def names(self, folder: str) -> list[str]:
        """Names of all objects below a folder."""
        return [path.removeprefix(f"{self.name}/") for path in _files().find(f"{self.name}/{folder}")]

    def sent(self, folder: str) -> tuple[int, int]:
        """As `ObjectStore.sent` of a folder."""
        return self.store.sent(f"{self.name}/{folder}")


def _files() -> Any:
    import fsspec

    return fsspec.filesystem("s3")


@contextmanager
def serve(seconds: float = 0.0) -> Iterator[ObjectStore]:
    """A server in a process of its own, which answers so many seconds late."""
    command = [sys.executable, str(Path(__file__)), str(seconds)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield ObjectStore(f"http://127.0.0.1:{int(process.stdout.readline())}")
        finally:
            process.kill()


class _Server:
    """The application: moto's, late, counted, and with faults."""

    def __init__(self, seconds: float) -> None:
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

        self._inner: Any = DomainDispatcherApplication(create_backend_app)
        self._seconds, self._lock = seconds, threading.Lock()
        self._count: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()
        self._fault: dict[str, Any] = {"answer": "", "left": 0, "within": ""}

    def __call__(self, environ: dict[str, Any], start: Any) -> Iterator[bytes]:
        path, is_get = environ["PATH_INFO"], environ["REQUEST_METHOD"] == "GET"
        if path.startswith("/-/"):
            yield self._told(path, environ, start)
            return
        time.sleep(self._seconds)
        is_content = is_get and path.count("/") > 1 and "list-type" not in environ["QUERY_STRING"]
        answer = self._next_fault(path) if is_content else ""
        if answer == "throttle":
            start("503 Slow Down", [("Content-Type", "application/xml")])
            yield b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
            return
        if answer == "reset":
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            start("200 OK", [])  # which never arrives
            return
        body = b"".join(self._inner(environ, start))
        if is_content:
            with self._lock:
                self._count[path] += 1
                self._bytes[path] += len(body)
        yield body[: len(body) // 2] if answer == "cut" else body
        if answer == "cut":
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)

    def _next_fault(self, path: str) -> str:
        with self._lock:
            if not self._fault["left"] or self._fault["within"] not in path:
                return ""
            self._fault["left"] -= 1
            return str(self._fault["answer"])

    def _told(self, path: str, environ: dict[str, Any], start: Any) -> bytes:
        with self._lock:
            if path == "/-/fault":
                self._fault = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
            counts = {path: (self._count[path], self._bytes[path]) for path in self._count}
        start("200 OK", [("Content-Type", "application/json")])
        return json.dumps(counts).encode()


def _main() -> None:
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Handler(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"

        def log(self, *_: Any) -> None:
            """Nothing."""

    server = make_server("127.0.0.1", 0, _Server(float(sys.argv[1])), threaded=True, request_handler=Handler)
    print(server.port, flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    _main()
