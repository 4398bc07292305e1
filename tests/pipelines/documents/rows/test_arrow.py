"""Arrow files that are damaged: never followed, never beyond bounds, and what is whole is read."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pytest

from gato_data.errors import EpisodeError
from gato_pipelines.documents.rows.table import TableFile, open_table
from gato_schemas.index import Part

TABLE = pa.Table.from_pylist(
    [{"image": {"bytes": bytes(50), "path": f"{n}.jpg"}, "text": [f"text {n}", None], "n": n} for n in range(9)]
)
COLUMNS = ("image", "text")


def write(path: Path, kind: str = "stream") -> Path:
    opened = pa.ipc.new_stream if kind == "stream" else pa.ipc.new_file
    with pa.OSFile(str(path), "wb") as sink, opened(sink, TABLE.schema) as writer:
        writer.write_table(TABLE, max_chunksize=2)
    return path


def read(path: Path) -> list[tuple[str, str]]:
    table, part = open_table(TableFile(path, path.name, 128)), Part(path.name, "", 0)
    rows = list(table.rows(part, COLUMNS))
    assert len(rows) == table.count_rows(part, COLUMNS) or rows[-1].reason
    return [(row.values["image"]["path"].decode() if not row.reason else "", row.reason) for row in rows]


@pytest.mark.parametrize("kind", ["stream", "file"])
def test_both_formats(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path / "a.arrow", kind)
    assert read(path) == [(f"{number}.jpg", "") for number in range(9)]
    assert open_table(TableFile(path, "a.arrow", 128)).kinds() == {"image": "picture", "text": "texts", "n": "other"}


def test_what_comes_before_the_end_of_a_file_that_is_cut_off(tmp_path: Path) -> None:
    data = write(tmp_path / "a.arrow").read_bytes()
    counts = set()
    for cut in range(600, len(data) - 8, 97):
        (tmp_path / "a.arrow").write_bytes(data[:cut])
        try:
            found = read(tmp_path / "a.arrow")
        except EpisodeError:
            continue
        assert found[-1][1].startswith("the rest of the file cannot be read")
        counts.add(len(found) - 1)
    assert counts >= {0, 2, 4, 6}


def test_damaged_bytes(tmp_path: Path) -> None:
    data = write(tmp_path / "a.arrow").read_bytes()
    generator = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(data)
        for at in generator.integers(len(data), size=4):
            damaged[at] = generator.integers(256)
        (tmp_path / "a.arrow").write_bytes(damaged)
        try:
            read(tmp_path / "a.arrow")
        except EpisodeError:
            continue
        except (KeyError, AttributeError, AssertionError, TypeError):
            pass  # the names or the types of columns were hit
