"""What the paper's 63 million episodes cost: indexes, manifests, open files, memory and time of a mixture.

Makes sixteen datasets with the proportions of the control rows of the paper's Table 1: manifests and indexes as an
ingest writes them, and shards without a block on the disk. Then opens a mixture of them in a fresh process, as a
trainer does, and plans batches: of whole datasets, and of views with a half and a hundredth of their episodes, in turn.
At last the datasets are opened as if they were at addresses, from this disk. Nothing is read from the shards. Seconds
are of CPU, beside those of the clock: the least of all rounds.

    python benchmarks/scale.py                         10 million records, ten minutes, 3 GB of memory
    python benchmarks/scale.py --records 20000         a few seconds
"""

import argparse
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from gato_data.mixing.make import plan_mixture
from gato_data.reading.columns import RecordColumns
from gato_data.reading.datasets import open_mixture_datasets
from gato_data.reading.inflated import Inflated
from gato_data.reading.layouts import READ_COLUMNS, RecordLayouts, plain_text
from gato_data.reading.plan import StreamPlanner
from gato_data.reading.settings import ReadSettings
from gato_data.reading.timesteps import TimestepStarts
from gato_data.remote.mirror import at_hand
from gato_data.shards.chunks import CHUNK_BYTES, PATCH_CHUNK_TOKENS
from gato_data.shards.episodes import read_table
from gato_data.shards.files import ShardFiles
from gato_data.vocabulary import Vocabulary
from gato_schemas.compression import STORED_EXTRA, PatchEncoding
from gato_schemas.dataset import Manifest, ShardInfo, SplitInfo, TaskInfo, encode_manifest, read_manifest
from gato_schemas.index import SUFFIX, IndexHeader, Part, encode_index
from gato_schemas.index_rows import COLUMNS
from gato_schemas.mixture import encode_mixture, read_mixture
from gato_schemas.origin import SourceInfo
from gato_schemas.patches import BLOCK_PATCHES
from gato_schemas.statistics import Counts

SHARD_BYTES = 1 << 29
STATE_BYTES, PIXEL_BYTES = 2.86, 6.70
"""Bytes of a token in a shard: measured on states of 3 + 2 elements with rewards, and on three Atari games."""
DISTINCT = 0.11
"""Share of distinct patches in the records of those games."""
STATE_CHUNK_TOKENS = CHUNK_BYTES // 2
OPENED = {"whole": "", "half": "[share=0:0.5]", "hundredth": "[share=0:0.01]"}
"""What is opened of every dataset."""
STEPS = ("manifests", "sizes", "table", "planner", "plan_100_batches")
"""What is measured of an opening, in this order."""
PERIOD = 32
"""Tokens of a timestep of the made episodes."""


@dataclass(frozen=True)
class Row:
    """A control row of the paper's Table 1: its name, episodes, tokens, and whether timesteps are mostly patches."""

    name: str
    tasks: int
    episodes: int
    tokens: int
    pixels: bool

    @property
    def bytes(self) -> float:
        """Of its shards."""
        return self.tokens * (PIXEL_BYTES if self.pixels else STATE_BYTES)

    @property
    def shards(self) -> int:
        """Files of about half a GiB."""
        return math.ceil(self.bytes / SHARD_BYTES)

    @property
    def records(self) -> int:
        """Long episodes are cut into chunks."""
        chunk_tokens = PATCH_CHUNK_TOKENS if self.pixels else STATE_CHUNK_TOKENS
        return self.episodes * math.ceil(self.tokens / self.episodes / chunk_tokens)


TABLE_1 = (
    Row("dm_lab", 254, 16_400_000, 194_000_000_000, True),
    Row("atari", 51, 63_400, 1_260_000_000, True),
    Row("atari_extended", 28, 28_400, 565_000_000, True),
    Row("sokoban", 1, 27_200, 298_000_000, True),
    Row("babyai", 46, 4_610_000, 22_800_000_000, False),
    Row("dm_control", 30, 395_000, 22_500_000_000, False),
    Row("dm_control_pixels", 28, 485_000, 35_500_000_000, True),
    Row("dm_control_random_small", 26, 10_600_000, 313_000_000_000, False),
    Row("dm_control_random_large", 26, 26_100_000, 791_000_000_000, False),
    Row("meta_world", 45, 94_600, 3_390_000_000, False),
    Row("procgen", 16, 1_600_000, 4_460_000_000, True),
    Row("rgb_stacking", 1, 387_000, 24_400_000_000, True),
    Row("rgb_stacking_real", 1, 15_700, 980_000_000, True),
    Row("modular_rl", 38, 843_000, 69_600_000_000, False),
    Row("manipulation_playground", 4, 286_000, 6_580_000_000, False),
    Row("playroom", 1, 829_000, 118_000_000_000, True),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=10_000_000, help="of all indexes together (default 10 million)")
    parser.add_argument("--rounds", type=int, default=2, help="how often everything is opened (default 2)")
    parser.add_argument("--folder", type=Path, help="where the datasets are made; by default a temporary folder")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--open", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.open:
        print(json.dumps(open_and_plan(args.open)))
        return
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        results = measure(Path(folder), args.records, args.rounds)
    show(results)
    if args.json:
        args.json.write_text(json.dumps(results, indent=2) + "\n")


def measure(folder: Path, records: int, rounds: int = 1) -> dict[str, Any]:
    """Make everything in `folder`, and open it in processes of their own."""
    scale = records / sum(row.records for row in TABLE_1)
    index_bytes = {row.name: make_dataset(folder / row.name, row, scale) for row in TABLE_1}
    for name, view in OPENED.items():
        weights = {f"{row.name}{view}": 1.0 for row in TABLE_1}
        mixture = plan_mixture([folder / row.name for row in TABLE_1], weights, folder=folder)
        (folder / f"{name}.json").write_bytes(encode_mixture(mixture))
    return {
        "scale": scale,
        "index_bytes": index_bytes,
        "full": {row.name: {"shards": row.shards, "records": row.records, "bytes": row.bytes} for row in TABLE_1},
        "manifest": manifest_figures(sum(row.shards for row in TABLE_1)),
        "opened": open_all(folder, rounds),
        "mirrored": mirror_all(folder),
    }


def open_all(folder: Path, rounds: int) -> dict[str, dict[str, float]]:
    """The least of what opening each mixture took in so many rounds, all of them in turn."""
    least: dict[str, dict[str, float]] = {name: {} for name in OPENED}
    for _ in range(rounds):
        for name, best in least.items():
            command = [sys.executable, __file__, "--open", str(folder / f"{name}.json")]
            found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            best.update({key: min(value, best.get(key, value)) for key, value in found.items()})
    return least


def mirror_all(folder: Path) -> dict[str, float]:
    """What it takes until all manifests and indexes of datasets at addresses are here, and the bytes on the disk."""
    cache, clock, cpu = folder / "cache", time.perf_counter(), time.process_time()
    for row in TABLE_1:
        at_hand(f"local://{folder / row.name}", cache)
    seconds = {"seconds": time.perf_counter() - clock, "cpu_seconds": time.process_time() - cpu}
    return {**seconds, "bytes": sum(path.stat().st_blocks * 512 for path in cache.rglob("*"))}


def make_dataset(folder: Path, row: Row, scale: float) -> int:
    """A dataset with a share of a row's records; returns the bytes of its indexes."""
    folder.mkdir()
    records = max(1, round(row.records * scale))
    shards = max(1, round(row.shards * scale))
    per_record = max(PERIOD, round(row.tokens / row.records / PERIOD) * PERIOD)
    infos, total = [], 0
    for number in range(shards):
        count = records // shards + (number < records % shards)
        name = f"{row.name}-train.tfrecord-{number:05d}-of-{shards:05d}"
        content, info = make_index(row, name, count, per_record)
        write_sparse(folder / (name + SUFFIX), content)
        with (folder / name).open("wb") as file:
            file.truncate(info.size)
        infos.append(info)
        total += len(content)
    (folder / "dataset.json").write_bytes(encode_manifest(make_manifest(row, infos)))
    return total


def make_index(row: Row, name: str, records: int, tokens: int) -> tuple[bytes, ShardInfo]:
    """An index of so many equal records, and what the manifest says of its shard."""
    patches = tokens * 20 // 22 if row.pixels else 0
    distinct = math.ceil(patches * DISTINCT)
    blocks = -(-distinct // BLOCK_PATCHES)
    length = int(tokens * (PIXEL_BYTES if row.pixels else STATE_BYTES))
    chunks = row.records // row.episodes
    ones = np.ones(records, np.uint32)
    by_modality = np.zeros((records, 5), np.uint32)
    by_modality[:, 1], by_modality[:, 3] = patches, tokens - patches
    arrays = {
        "offset": 12 + np.arange(records, dtype=np.uint64) * np.uint64(length + 16),
        "length": ones * length, "crc": ones * 0, "columns": np.full((records, len(COLUMNS)), 500, np.uint32),
        "column_bytes": column_bytes(records, tokens, distinct),
        "num_tokens": ones * tokens, "num_patches": ones * patches, "num_distinct": ones * distinct,
        "num_timesteps": ones * (tokens // PERIOD),
        "num_images": ones * (patches // 20), "tokens_by_modality": by_modality, "loss_tokens": ones * tokens // 6,
        "task": np.arange(records, dtype=np.uint32) % row.tasks, "agent": ones * 0,
        "chunk": np.arange(records, dtype=np.uint32) % chunks, "num_chunks": ones * chunks,
        "episode_return": ones.astype(np.float32), "is_terminal": ones.astype(np.uint8),
        "episode_hash": np.arange(records, dtype=np.uint64) // np.uint64(chunks) * np.uint64(0x9E3779B97F4A7C15),
        "block_starts": np.arange(records + 1, dtype=np.uint64) * np.uint64(blocks),
        "blocks": np.full((records * blocks, 2), 100, np.uint32),
    }  # fmt: skip
    episodes = int(np.count_nonzero(arrays["chunk"] == 0))
    totals = Counts(
        episodes=episodes, records=records, timesteps=records * (tokens // PERIOD), images=records * (patches // 20),
        patches=records * patches, distinct_patches=records * distinct,
        tokens=records * tokens, loss_tokens=records * (tokens // 6),
        tokens_by_modality=(0, records * patches, 0, records * (tokens - patches), 0),
    )  # fmt: skip
    size = records * (length + 16)
    header = IndexHeader(
        shard=name, shard_size=size, digest="0" * 64, split="train", part=Part(name, row.name, size),
        fingerprint="0" * 32, token_dtype="uint16", patch_encoding="zlib", tasks=tasks(row), agents=["agent"],
        totals=totals, statistics=[], dead_letters=[],
    )  # fmt: skip
    content = encode_index(header, arrays)
    return content, ShardInfo(name=name, size=size, digest=header.digest, totals=totals)


def column_bytes(records: int, tokens: int, distinct: int) -> np.ndarray:
    """Stored bytes of every column, (records, 10); tokens without patches are stored as they are."""
    sizes = np.full((records, len(COLUMNS)), 20, np.uint32)
    sizes[:, COLUMNS.index("patch_hash")] = 8 * distinct
    sizes[:, COLUMNS.index("tokens")] = 200 if distinct else 2 * tokens + STORED_EXTRA
    return sizes


def tasks(row: Row) -> list[str]:
    return [f"task_{number:03d}" for number in range(row.tasks)]


def make_manifest(row: Row, shards: list[ShardInfo]) -> Manifest:
    totals = Counts(**{name: sum(getattr(s.totals, name) for s in shards) for name in _COUNTED})
    totals = msgspec.structs.replace(
        totals, tokens_by_modality=tuple(map(sum, zip(*(s.totals.tokens_by_modality for s in shards), strict=True)))
    )
    return Manifest(
        name=row.name, family=row.name, source=SourceInfo(name="rlds", settings={}, inputs=[row.name]), libraries={},
        vocabulary=Vocabulary(32_000, "paper", None).info, tokenization={}, patch_encoding=PatchEncoding(),
        max_observation_tokens=512, tasks={name: TaskInfo(observations=[], actions=[]) for name in tasks(row)},
        agents=["agent"], splits={"train": SplitInfo(shards=shards, totals=totals)}, statistics=[], dead_letters=0,
        fingerprint="0" * 32,
    )  # fmt: skip


_COUNTED = ("episodes", "records", "timesteps", "images", "patches", "distinct_patches", "tokens", "loss_tokens")


def write_sparse(path: Path, content: bytes) -> None:
    """Write a file without its long runs of zeros."""
    with path.open("wb") as file:
        for start in range(0, len(content), 1 << 16):
            block = content[start : start + (1 << 16)]
            if block.strip(b"\0"):
                file.seek(start)
                file.write(block)
        file.truncate(len(content))


def manifest_figures(shards: int) -> dict[str, float]:
    """Size of one manifest with so many shards and all tasks of the paper, and the seconds that reading it takes."""
    row = Row("everything", 604, 1, 1, False)
    _, info = make_index(row, "everything-train.tfrecord-00000-of-99999", 1, PERIOD)
    infos = [msgspec.structs.replace(info, name=f"everything-train.tfrecord-{n:05d}-of-{shards:05d}", size=2**29 + n,
             digest=f"{n:064x}") for n in range(shards)]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "dataset.json"
        path.write_bytes(encode_manifest(make_manifest(row, infos)))
        start = time.process_time()
        read_manifest(Path(folder))
        return {"shards": shards, "bytes": path.stat().st_size, "cpu_seconds": time.process_time() - start}


def open_and_plan(path: Path) -> dict[str, float]:
    """Open a mixture as `open_mixture` does, up to its shards, and plan batches; time and peak memory of each step."""
    found: dict[str, float] = {}
    clock, cpu = time.perf_counter(), time.process_time()

    def done(what: str) -> None:
        nonlocal clock, cpu
        found[f"{what}_seconds"], clock = time.perf_counter() - clock, time.perf_counter()
        found[f"{what}_cpu_seconds"], cpu = time.process_time() - cpu, time.process_time()
        found[f"{what}_peak_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    mixture = read_mixture(path)
    datasets = open_mixture_datasets(mixture, path)
    done("manifests")
    settings = ReadSettings(verify="off", memory=1 << 40)
    shards = [shard for dataset in datasets for shard in dataset.shards("train")]
    files = ShardFiles(shards, max_open=settings.max_open_files, index_bytes=1 << 26, verify="off", map_files=False)
    files.check_sizes()
    done("sizes")
    table, counts = read_table(datasets, "train", files)
    del counts  # the reader lets go of them when its layouts are found
    done("table")
    columns = RecordColumns(files, Inflated(settings.most_inflated))
    layouts = RecordLayouts(
        [plain_text()], np.full(len(table.kind), READ_COLUMNS, np.int32)
    )  # no shard is there to see
    planner = StreamPlanner(mixture, table, TimestepStarts(table, columns), layouts, settings, "train")
    done("planner")
    for step in range(100):
        planner.plan([range(step * 512, (step + 1) * 512)])
    done("plan_100_batches")
    rows = {"shards": len(shards), "records": len(table.tokens_at), "episodes": table.num_episodes}
    return {**found, **rows, "table_bytes": table.nbytes, "max_open_files": settings.max_open_files}


def show(results: dict[str, Any]) -> None:
    """Print the figures, and what they are at full size."""
    scale, manifest, mirrored = results["scale"], results["manifest"], results["mirrored"]
    print(f"{scale:.2%} of all")
    whole = opening_seconds(results["opened"]["whole"])
    for name, opened in results["opened"].items():
        print(f"{name}: {opened['records']:,} records, {opened['episodes']:,} episodes, {opened['shards']:,} shards, "
              f"table {opened['table_bytes'] / 1e9:.2f} GB")  # fmt: skip
        for step in STEPS:
            print(f"  {step:16} {opened[f'{step}_cpu_seconds']:8.2f} s of CPU {opened[f'{step}_seconds']:8.2f} s "
                  f"peak {opened[f'{step}_peak_bytes'] / 1e9:6.2f} GB")  # fmt: skip
        seconds = opening_seconds(opened)
        print(f"  until it is open {seconds:8.2f} s of CPU, {seconds / whole:.2f} of the whole's")
    print(f"at addresses: manifests and indexes here in {mirrored['cpu_seconds']:.2f} s of CPU, "
          f"{mirrored['seconds']:.2f} s, {mirrored['bytes'] / 1e9:.2f} GB")  # fmt: skip
    print("all, extrapolated")
    patches = sum(row.tokens * 20 // 22 for row in TABLE_1 if row.pixels) / 1e9
    print(f"  patches          {patches:,.0f} billion tokens, {patches * DISTINCT:,.0f} billion distinct")
    indexes = sum(results["index_bytes"].values())
    print(f"  indexes          {indexes / scale / 1e9:.1f} GB, {indexes / 1e9:.2f} GB here")
    total = {name: sum(row[name] for row in results["full"].values()) for name in ("shards", "records", "bytes")}
    print(f"  shards           {total['shards']:,}, {total['records']:,} records, {total['bytes'] / 1e12:.1f} TB")
    print(f"  one manifest     {manifest['bytes'] / 1e6:.1f} MB, read in {manifest['cpu_seconds']:.2f} s of CPU")


def opening_seconds(opened: dict[str, float]) -> float:
    """CPU seconds until a mixture is open, batches not counted."""
    return sum(opened[f"{step}_cpu_seconds"] for step in STEPS[:-1])


if __name__ == "__main__":
    main()
