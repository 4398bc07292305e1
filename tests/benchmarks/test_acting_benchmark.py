"""The benchmark of acting at its smallest: it runs as its docstring says."""

import json
import os
import subprocess
import sys
from pathlib import Path

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "acting.py"


def test_it_compares_both_ways_for_several_environments() -> None:
    options = ["--case", "tiny cartpole", "--environments", "2", "--cycles", "1", "--rounds", "1"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, BENCHMARK, *options], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout)
    assert (row["case"], row["environments"]) == ("tiny cartpole", 2)
    assert 0 < row["ms"] < row["recomputed_ms"] * 100
