"""The benchmark behind docs/scale.md, at a small size: every figure is there, and those that grow have their size."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def scale() -> ModuleType:
    path = ROOT / "benchmarks" / "scale.py"
    spec = importlib.util.spec_from_file_location("scale_benchmark", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["scale_benchmark"] = module
    spec.loader.exec_module(module)
    return module


def test_its_small_size(scale: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = scale.measure(tmp_path, 5000)
    whole, half, hundredth = (found["opened"][name] for name in ("whole", "half", "hundredth"))
    assert whole["records"] == pytest.approx(5000, abs=len(scale.TABLE_1))
    assert set(found["index_bytes"]) == {row.name for row in scale.TABLE_1}
    assert sum(found["index_bytes"].values()) == sum(path.stat().st_size for path in tmp_path.glob("*/*.index"))
    assert whole["table_bytes"] < 72 * whole["records"]
    assert half["records"] == pytest.approx(2500, rel=0.1)
    assert 10 < hundredth["records"] < 250
    assert hundredth["table_bytes"] < half["table_bytes"] < whole["table_bytes"]
    assert found["mirrored"]["bytes"] >= 5000
    assert whole["table_peak_bytes"] >= whole["manifests_peak_bytes"] > 0
    scale.show(found)
    shown = capsys.readouterr().out
    assert shown.count("until it is open") == 3
    assert "1.00 of the whole's" in shown


def test_the_rows_are_those_of_the_paper(scale: ModuleType) -> None:
    assert sum(row.tasks for row in scale.TABLE_1) == 596
    assert sum(row.episodes for row in scale.TABLE_1) == pytest.approx(63e6, rel=0.01)
    assert sum(row.tokens for row in scale.TABLE_1) == pytest.approx(1.6e12, rel=0.01)
