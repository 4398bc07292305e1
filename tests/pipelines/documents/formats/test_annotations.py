"""Large JSON files: what json.loads reads is read, anything else is one sentence."""

from pathlib import Path

import msgspec
import pytest

from gato_data.errors import InputError
from gato_pipelines.documents.formats.annotations import read_annotations


class Captions(msgspec.Struct):
    images: list[dict[str, int | str | None]]


@pytest.mark.parametrize(
    "content",
    [
        b'{"images": [{"id": 7}], "score": 1.5}',
        b'{"score": NaN, "images": [{"id": 7}], "other": [-Infinity, {"a": Infinity}]}',
        b'\xef\xbb\xbf{"images": [{"id": 7}]}',
        b'{"images": [], "images": [{"id": 7}]}',
    ],
)
def test_what_json_reads_is_read(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "captions.json"
    path.write_bytes(content)
    assert read_annotations(path, Captions, "a file of captions").images == [{"id": 7}]


@pytest.mark.parametrize("content", [b'{"images": NaN}', b'{"images": [nan]}', b"[", b"", b'{"a": ' + b"[" * 100_000])
def test_anything_else_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "captions.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"captions\.json is not a file of captions \("):
        read_annotations(path, Captions, "a file of captions")
