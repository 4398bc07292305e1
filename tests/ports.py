"""Ports of this machine, and waiting until somebody listens."""

import socket
import subprocess
import time
from typing import Any

LOCALHOST = "127.0.0.1"


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
