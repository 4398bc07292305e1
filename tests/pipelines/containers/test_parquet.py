"""Rows of parquet files with bounded memory."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gato_pipelines.containers import parquet
from gato_pipelines.containers.parquet import read_table


def test_columns_and_row_groups(tmp_path: Path) -> None:
    table = pa.table({"a": list(range(1000)), "b": ["x"] * 1000})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=300)
    assert read_table(tmp_path / "a.parquet").equals(table)
    assert read_table(tmp_path / "a.parquet", ["a"], [1]).column("a").to_pylist() == list(range(300, 600))
    assert read_table(tmp_path / "a.parquet", ["a"], []).num_rows == 0
    with pytest.raises(ValueError, match="it has no column c, but a, b"):
        read_table(tmp_path / "a.parquet", ["c"])


def test_a_few_bytes_cannot_take_much_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "MAX_TABLE_BYTES", 1 << 24)
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": pa.array(["x" * 100_000] * 2000).dictionary_encode()}), path)
    assert path.stat().st_size < 1 << 20
    plain = tmp_path / "b.parquet"
    pq.write_table(pa.table({"a": pa.array(["x" * 100_000] * 2000)}), plain, compression="zstd")
    assert plain.stat().st_size < 1 << 20
    with pytest.raises(ValueError, match="its rows take more than 16777216 bytes"):
        read_table(plain)
