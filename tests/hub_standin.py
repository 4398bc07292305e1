"""A hub of this machine: the few answers of the Hugging Face hub that reading a repository asks for, from a folder."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

_API = re.compile(r"/api/datasets/([^/]+/[^/]+)(?:/(revision|tree|paths-info)/([^/]+)(?:/(.*))?)?")
_FILE = re.compile(r"/datasets/([^/]+/[^/]+)/resolve/([^/]+)/(.*)")


@dataclass
class Hub:
    """Where it is, and what was asked of it: method, path and bytes sent, in order."""

    url: str
    root: Path
    asked: list[tuple[str, str, int]] = field(default_factory=list)

    def sent(self, ending: str) -> int:
        """Bytes sent of files whose path ends so."""
        return sum(size for method, path, size in self.asked if method == "GET" and path.endswith(ending))


@contextmanager
def hub_of(root: Path) -> Iterator[Hub]:
    """Serve ROOT/owner/name as the dataset owner/name, of one revision, main."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    hub = Hub(f"http://127.0.0.1:{server.server_address[1]}", root)
    server.hub = hub  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = unquote(urlsplit(self.path).path)
        hub: Hub = self.server.hub  # type: ignore[attr-defined]
        if found := _FILE.fullmatch(path):
            self._file(hub, *found.groups())
        elif found := _API.fullmatch(path):
            self._api(hub, body, *found.groups())
        else:
            self._json({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})

    def _api(self, hub: Hub, body: bytes, name: str, kind: str | None, revision: str | None, below: str | None) -> None:
        repository = hub.root / name
        if not repository.is_dir():
            self._json({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})
        elif revision not in (None, "main"):
            self._json({"error": "Invalid rev id"}, 404, {"X-Error-Code": "RevisionNotFound"})
        elif kind == "tree":
            folder = repository / (below or "")
            if not folder.is_dir():
                self._json({"error": "not found"}, 404, {"X-Error-Code": "EntryNotFound"})
                return
            recursive = "recursive=true" in self.path.lower()
            found = folder.rglob("*") if recursive else folder.iterdir()
            self._json([_entry(repository, path) for path in sorted(found)])
        elif kind == "paths-info":
            paths = json.loads(body)["paths"] if body.startswith(b"{") else _form(body)
            self._json([_entry(repository, repository / path) for path in paths if (repository / path).exists()])
        else:
            self._json({"_id": "0", "id": name, "sha": "0" * 40, "private": False, "tags": [], "siblings": []})

    def _file(self, hub: Hub, name: str, revision: str, file: str) -> None:
        path = hub.root / name / file
        if not path.is_file():
            self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
            return
        data, headers, status = path.read_bytes(), {"ETag": f'"{_oid(path)}"', "Accept-Ranges": "bytes"}, 200
        if span := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            first, last = int(span[1]), min(int(span[2] or len(data)), len(data) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
            data, status = data[first : last + 1], 206
        self._send(status, data, headers)

    def _json(self, content: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self._send(status, json.dumps(content).encode(), {"Content-Type": "application/json", **(headers or {})})

    def _send(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        hub: Hub = self.server.hub  # type: ignore[attr-defined]
        hub.asked.append((self.command, urlsplit(self.path).path, len(data)))
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(data)), "X-Repo-Commit": "0" * 40}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def _entry(repository: Path, path: Path) -> dict[str, Any]:
    name = path.relative_to(repository).as_posix()
    if path.is_dir():
        return {"type": "directory", "oid": "1" * 40, "size": 0, "path": name}
    return {"type": "file", "oid": _oid(path), "size": path.stat().st_size, "path": name}


def _oid(path: Path) -> str:
    return hashlib.sha1(path.read_bytes()).hexdigest()


def _form(body: bytes) -> list[str]:
    pairs = (pair.partition("=") for pair in body.decode().split("&"))
    return [unquote(value.replace("+", " ")) for key, _, value in pairs if key == "paths"]
