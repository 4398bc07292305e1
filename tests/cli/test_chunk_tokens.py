"""`gato-data ingest --chunk-tokens`: the same tokens in shorter records."""

from pathlib import Path

import numpy as np
import pytest

import gato_data
from gato_data.errors import SettingError
from gato_data.tokenize import TokenizeSettings
from gato_schemas.dataset import read_manifest
from gato_schemas.index import index_path, read_index
from tests.cli.command import error_of, ingest, run


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """A long text: one word after the other."""
    path = tmp_path / "text.txt"
    path.write_text(" ".join(f"word number {number} of many" for number in range(800)))
    return path


def records(folder: Path) -> list[int]:
    """Tokens of every record."""
    (shard,) = read_manifest(folder).splits["train"].shards
    found: list[int] = read_index(index_path(folder / shard.name)).num_tokens.tolist()
    return found


def test_records_are_shorter_and_nothing_else_is_another(text: Path, tmp_path: Path) -> None:
    long, short = tmp_path / "long" / "texts", tmp_path / "short" / "texts"
    assert ingest("massivetext", text, "--out", long).exit_code == 0
    assert ingest("massivetext", text, "--out", short, "--chunk-tokens", "1024").exit_code == 0
    (total,) = records(long)
    assert records(short) == [1024] * (total // 1024) + [total % 1024]
    assert total // 1024 > 3
    assert run("verify", short).exit_code == 0
    manifests = read_manifest(long), read_manifest(short)
    assert ["chunk_tokens" in manifest.tokenization for manifest in manifests] == [False, True]
    assert manifests[1].tokenization == manifests[0].tokenization | {"chunk_tokens": 1024}
    assert manifests[0].fingerprint != manifests[1].fingerprint
    options = {"context_length": 100, "batch_size": 4, "seed": 1}
    with gato_data.open(short) as one, gato_data.open(long) as other:
        for here, there in zip(one.batches(**options), other.batches(**options), strict=True):
            for name in ("tokens", "loss_mask", "modality", "position"):
                np.testing.assert_array_equal(getattr(here, name), getattr(there, name), err_msg=name)


def test_records_of_one_dataset_are_alike(text: Path, tmp_path: Path) -> None:
    assert ingest("massivetext", text, "--out", tmp_path / "out", "--chunk-tokens", "1024").exit_code == 0
    more = tmp_path / "more.txt"
    more.write_text("a few words")
    told = error_of(ingest("massivetext", more, "--out", tmp_path / "out", "--append"))
    assert "was made with other settings" in told
    assert "chunk_tokens" in told or "tokenization" in told


@pytest.mark.parametrize("tokens", ["1023", "4097", "0", "many"])
def test_what_cannot_be(text: Path, tmp_path: Path, tokens: str) -> None:
    told = error_of(ingest("massivetext", text, "--out", tmp_path / "out", "--chunk-tokens", tokens), 2)
    assert "'--chunk-tokens'" in told
    assert "1024<=x<=4096" in told or "not a valid integer" in told


def test_what_cannot_be_in_python() -> None:
    with pytest.raises(SettingError, match="chunk_tokens 12 is not possible: a number from 1024 to 4096 is wanted"):
        TokenizeSettings(chunk_tokens=12)
