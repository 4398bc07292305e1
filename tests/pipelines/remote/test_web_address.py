"""One file of a web server as an input: read in ranges where the server gives any, copied where it does not."""

import re
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from threading import Thread
from typing import Any, BinaryIO

import h5py
import numpy as np
import pytest

from gato_data.errors import InputError
from gato_pipelines.remote import input as remote_input
from gato_pipelines.remote.ranged import RangedFile
from tests.remote_folders import run
from tests.rlds_inputs import digests


class _Plain(SimpleHTTPRequestHandler):
    """Whole files alone."""

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


class _Ranges(_Plain):
    """Ranges too."""

    def send_head(self) -> BytesIO | BinaryIO | None:
        """The status, and what comes behind it."""
        found = Path(self.translate_path(self.path))
        data = found.read_bytes()
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        first, last = (int(asked[1]), int(asked[2])) if asked else (0, len(data) - 1)
        part = data[first : last + 1]
        self.send_response(206 if asked else 200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(part)))
        self.send_header("Last-Modified", self.date_time_string(int(found.stat().st_mtime)))
        if asked:
            self.send_header("Content-Range", f"bytes {first}-{first + len(part) - 1}/{len(data)}")
        self.end_headers()
        return BytesIO(part)


@pytest.fixture(params=[_Plain, _Ranges])
def address(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Of a file of 20 episodes, at a server of either kind."""
    monkeypatch.setattr(remote_input, "_SMALL", 0)
    random = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    with h5py.File(tmp_path / "in" / "arm.hdf5", "w") as file:
        file["observations"] = random.standard_normal((1000, 4)).astype("f4")
        file["actions"] = random.uniform(-1, 1, (1000, 2)).astype("f4")
        file["rewards"] = np.zeros(1000, "f4")
        file["terminals"], file["timeouts"] = np.arange(1000) % 50 == 49, np.zeros(1000, bool)

    def handler(*args: Any) -> SimpleHTTPRequestHandler:
        made: SimpleHTTPRequestHandler = request.param(*args, directory=str(tmp_path / "in"))
        return made

    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/arm.hdf5"
        server.shutdown()


def test_it_gives_the_bytes_of_a_local_ingest(
    address: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[tuple[int, int]] = []
    fetch = RangedFile._fetch

    def noted(file: RangedFile, start: int, stop: int) -> bytes:
        fetched.append((start, stop))
        return fetch(file, start, stop)

    monkeypatch.setattr(RangedFile, "_fetch", noted)
    run(tmp_path / "in" / "arm.hdf5", tmp_path / "local" / "arm")
    run(address, tmp_path / "remote" / "arm")
    assert digests(tmp_path / "remote" / "arm") == digests(tmp_path / "local" / "arm")
    assert bool(fetched) == ("_Ranges" in request.node.name)


QUERY = "X-Amz-Credential=AKIAWATCHED/us-east-1/s3&X-Amz-Signature=0123456789abcdef/"


class _Signed(_Ranges):
    """To those who show a signature, and only for what was signed: to get, not to ask about."""

    def send_head(self) -> BytesIO | BinaryIO | None:
        if self.command != "GET" or self.path.partition("?")[2] != QUERY:
            self.send_error(403)
            return None
        return super().send_head()


@pytest.mark.parametrize("address", [_Signed], indirect=True)
def test_a_signed_address(address: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The name of the file is what stands before the signature, which is shown nowhere."""
    run(tmp_path / "in" / "arm.hdf5", tmp_path / "local" / "arm")
    run(f"{address}?{QUERY}", tmp_path / "remote" / "arm")
    assert digests(tmp_path / "remote" / "arm") == digests(tmp_path / "local" / "arm")
    for wrong in (f"{address}?{QUERY[:-2]}", f"{address.replace('arm', 'leg')}?{QUERY}"):
        with pytest.raises(InputError) as raised:
            run(wrong, tmp_path / "out")
        told = str(raised.value) + "".join(capfd.readouterr())
        assert ".hdf5?***" in told
        assert not any(secret in told for secret in ("AKIAWATCHED", "0123456789abcdef"))


def test_what_is_not_there(address: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^http://127.0.0.1:\d+/leg.hdf5 (does not exist|cannot be read)"):
        run(address.replace("arm", "leg"), tmp_path / "out")
