import json
import os
import subprocess
import sys
from pathlib import Path

from tests.ports import free_port

WORKER = Path(__file__).with_name("choosing_worker.py")


def test_processes_do_what_the_first_one_finds_on_the_least_memory(tmp_path: Path) -> None:
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    processes = [
        subprocess.Popen(
            [sys.executable, str(WORKER), str(tmp_path)],
            env={**os.environ, **shared, "RANK": str(rank), "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
        )
        for rank in range(2)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=180)
        assert process.returncode == 0, errors.decode()[-3000:]
    first, second = (json.loads((tmp_path / f"rank{rank}").read_text()) for rank in range(2))
    assert first == second
    summary, name, memory, micro = first
    assert summary == "kernels: reference, because process 0 says so"
    assert (name, memory) == ("card 0", 40 * 2**30)
    assert micro in (16, 32, 64)
