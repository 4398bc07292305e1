"""The caches that the benchmark of remote reading simulates."""

import importlib.util
import itertools
import re
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def remote() -> ModuleType:
    """The benchmark as a module."""
    pytest.importorskip("torch", reason="needs torch, of the extra [train]")
    sys.path.insert(0, str(BENCHMARKS))
    spec = importlib.util.spec_from_file_location("remote_benchmark", BENCHMARKS / "remote.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.path.remove(str(BENCHMARKS))
    return module


def fewest(uses: Sequence[int], room: int) -> int:
    """Fetches of the best there can be, by trying everything that may be kept after every use."""

    @cache
    def rest(at: int, kept: frozenset[int]) -> int:
        if at == len(uses):
            return 0
        there = kept | {uses[at]}
        some = (frozenset(each) for size in range(room + 1) for each in itertools.combinations(sorted(there), size))
        return (uses[at] not in kept) + min(rest(at + 1, each) for each in some)

    return rest(0, frozenset())


@pytest.mark.parametrize("room", [1, 2, 3])
def test_the_best_order_is_the_best_of_all(remote: ModuleType, room: int) -> None:
    for uses in itertools.product(range(4), repeat=6):
        batches = [[((0, record), 1)] for record in uses]
        best = remote.simulate_best(batches, room)
        assert best == fewest(uses, room)
        assert best <= remote.simulate_lru(batches, room)


def test_sizes_count(remote: ModuleType) -> None:
    large, small, other = ((0, 0), 10), ((0, 1), 1), ((1, 0), 2)
    batches = [[large, small], [other], [small], [large]]
    assert remote.simulate_best(batches, 100) == 13
    assert remote.simulate_best(batches, 3) == 23


def test_a_cache_that_holds_too_few_records_says_what_helps() -> None:
    asked = ("--content", "photos", "--scale", "0", "--share", "0.25")
    done = subprocess.run([sys.executable, str(BENCHMARKS / "remote.py"), *asked], capture_output=True, text=True)
    assert done.returncode == 1
    assert re.fullmatch(
        r"a record of .* has \d\.\d MiB, which is more than a quarter of the cache of 1\.0 MiB: raise --cache-size\. "
        r"Here --share raises it as well, and --chunk-tokens makes records shorter",
        done.stderr.strip(),
    )
