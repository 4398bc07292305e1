"""`gato-data ingest --chunk-tokens`: the same episodes in shorter records."""

from pathlib import Path

import numpy as np
import pytest

import gato_data
from gato_schemas.dataset import read_manifest
from gato_schemas.index import index_path, read_index
from tests.cli.command import error_of, ingest, run


def longest(folder: Path) -> int:
    """Tokens of the longest record."""
    shards = [shard.name for split in read_manifest(folder).splits.values() for shard in split.shards]
    return max(int(read_index(index_path(folder / name)).num_tokens.max(initial=0)) for name in shards)


def test_records_are_shorter_and_nothing_else_is_another(recording: Path, breakout: Path, tmp_path: Path) -> None:
    short = tmp_path / "breakout"
    command = ("atari", recording, "--out", short, "--holdout", "0.55")
    assert ingest(*command, "--chunk-tokens", "100").exit_code == 0
    assert longest(short) == 88  # four timesteps of 22
    assert longest(breakout) > 100
    assert run("verify", short).exit_code == 0
    assert read_manifest(short).tokenization["chunk_tokens"] == 100
    assert "chunk_tokens" not in read_manifest(breakout).tokenization
    assert read_manifest(short).fingerprint != read_manifest(breakout).fingerprint
    assert "tokenization" in error_of(ingest(*command, "--append"))
    options = {"context_length": 100, "batch_size": 4, "seed": 1}
    with gato_data.open(short) as one, gato_data.open(breakout) as other:
        for here, there in zip(one.batches(**options), other.batches(**options), strict=True):
            for name in ("tokens", "loss_mask", "modality", "position", "patches"):
                np.testing.assert_array_equal(getattr(here, name), getattr(there, name), err_msg=name)


@pytest.mark.parametrize("tokens", ["63", "4097", "0", "many"])
def test_what_cannot_be(recording: Path, tmp_path: Path, tokens: str) -> None:
    told = error_of(ingest("atari", recording, "--out", tmp_path / "out", "--chunk-tokens", tokens), 2)
    assert "'--chunk-tokens'" in told
    assert "64<=x<=4096" in told or "not a valid integer" in told
