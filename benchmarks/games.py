"""Real Atari episodes for the benchmarks: recorded by a random player, ingested, and read back whole."""

import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from gato_data.shards.chunks import join
from gato_schemas.dataset import read_manifest
from gato_schemas.record import decode_record
from gato_schemas.sequence import TokenSequence
from gato_schemas.tfrecord import read_records


def record(games: Iterable[str], folder: Path, *options: str) -> Iterator[Path]:
    """Play and ingest some games, those that are not in the folder yet.

    Args:
        games: names, such as breakout or ms_pacman.
        folder: where recordings and datasets are put.
        options: of `gato-data record atari`.
    """
    for game in games:
        raw, out = folder / f"{game}-rlds", folder / game
        if not raw.exists():
            _run("record", "atari", "--game", game, *options, "--out", str(raw))
        if not out.exists():
            _run("ingest", "atari", str(raw), "--out", str(out))
        yield out


def episodes(folder: Path) -> Iterator[TokenSequence]:
    """The train episodes of a dataset with all their patches, chunks joined."""
    manifest = read_manifest(folder)
    for shard in manifest.splits["train"].shards:
        pieces: list[TokenSequence] = []
        for raw in read_records(folder / shard.name):
            record = decode_record(raw.data, manifest.patch_encoding.name)
            pieces.append(record.sequence)
            if record.chunk == record.num_chunks - 1:
                yield join(pieces)
                pieces = []


def _run(*arguments: str) -> None:
    command = [str(Path(sys.executable).with_name("gato-data")), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
