"""The patch block on every patch against each distinct patch once: FLOPs and time, on recorded Atari episodes.

A batch of random windows is read as in training. "all" runs forward and backward of the block over every patch of the
batch; "distinct" over each distinct patch once, padded to its bucket, then gathers a vector for every patch, whose
backward sums the gradients of equal patches. FLOPs are those that torch counts, CPU time is of one thread, the two
take turns and the median counts. `step` is one whole training step of the model: forward, backward, AdamW. The last
column is the difference of the loss, over what it is.

    python benchmarks/patch_block.py                                     pong and breakout, recorded now
    python benchmarks/patch_block.py --games seaquest,enduro --batch 32
    python benchmarks/patch_block.py --dataset breakout --dataset pong   folders of gato-data ingest
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import torch
from games import record
from torch import Tensor
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from gato_data.mixing.make import plan_mixture
from gato_data.reading.reader import MixtureReader, ReadSettings, open_mixture
from gato_schemas.mixture import encode_mixture
from gato_trainer.data.inputs import Inputs, Randomness, prepare
from gato_trainer.model.embedding import PatchBlock
from gato_trainer.model.initialize import initialize
from gato_trainer.model.optimizer import make_optimizer
from gato_trainer.model.transformer import Gato
from gato_trainer.presets import PRESETS, train_settings


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: of one model and the windows of one dataset; times in milliseconds of CPU."""

    content: str
    model: str
    patches: int
    distinct: int
    bucket: int
    flops_all: int
    flops_distinct: int
    ms_all: float
    ms_distinct: float
    step_ms_all: float
    step_ms_distinct: float
    difference: float

    def line(self) -> str:
        """As printed."""
        return (
            f"{self.content:18s}{self.patches:8,}{self.distinct:9,}{self.bucket:8,}"
            f"{self.flops_all / self.flops_distinct:9.1f}{self.ms_all:9.0f}{self.ms_distinct:9.0f}"
            f"{self.ms_all / self.ms_distinct:7.1f}{self.step_ms_all:9.0f}{self.step_ms_distinct:9.0f}"
            f"{self.step_ms_all / self.step_ms_distinct:7.2f}{self.difference:10.1e}"
        )


HEAD = (
    f"{'content':18s}{'patches':>8}{'distinct':>9}{'bucket':>8}{'x FLOPs':>9}{'all ms':>9}{'ms':>9}{'x':>7}"
    f"{'step ms':>9}{'ms':>9}{'x':>7}{'loss':>10}"
)


def main() -> None:
    """Measure every dataset."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--games", default="pong,breakout", help="comma-separated, recorded by a random player")
    parser.add_argument("--dataset", type=Path, action="append", help="a dataset, instead of games")
    parser.add_argument("--episodes", type=int, default=8, help="of each game")
    parser.add_argument("--model", choices=PRESETS, default="tiny")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--context-length", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folders = args.dataset or list(record(args.games.split(","), Path(temporary), "--episodes", str(args.episodes)))
        print(f"{args.model}, {args.batch} windows of {args.context_length}\n{HEAD}")
        for name, chosen in contents(folders):
            with open_windows(chosen, Path(temporary), args.context_length) as reader:
                rows.append(measure(name, reader, args.model, args.batch, args.rounds))
            print(rows[-1].line(), flush=True)
    if args.json:
        args.json.write_bytes(msgspec.json.format(msgspec.json.encode([asdict(row) for row in rows])) + b"\n")


def contents(folders: list[Path]) -> Iterator[tuple[str, list[Path]]]:
    """Each dataset by itself, and all of them together."""
    for folder in folders:
        yield folder.name, [folder]
    if len(folders) > 1:
        yield "all of them", folders


def open_windows(folders: list[Path], temporary: Path, length: int) -> MixtureReader:
    """A reader of the windows of some datasets in equal shares."""
    path = temporary / "mixture.json"
    path.write_bytes(
        encode_mixture(plan_mixture([folder.resolve() for folder in folders], "uniform", folder=temporary))
    )
    return open_mixture(path, settings=ReadSettings(context_length=length))


def measure(name: str, reader: MixtureReader, preset: str, windows: int, rounds: int) -> Row:
    """Of one batch: the block and the whole step, over all patches and over the distinct ones."""
    config = replace(
        PRESETS[preset].model,
        vocabulary_size=reader.vocabulary_size,
        local_positions=reader.max_observation_tokens,
    )
    batch = reader.batch(range(windows))
    inputs = prepare(batch, config, Randomness(0, 0))
    ways = {"all": every_patch(inputs), "distinct": inputs}
    model = Gato(config)
    initialize(model, 0)
    direction = torch.randn(len(inputs.patch_index), config.width, generator=torch.Generator().manual_seed(0))
    embed = {way: embedding(model.embedding.patch, given, direction) for way, given in ways.items()}
    steps = {way: training_step(model, given) for way, given in ways.items()}
    losses = {way: model(given)[0].mean().item() for way, given in ways.items()}
    times = dict(zip(ways, in_turns(list(embed.values()), rounds), strict=True))
    step_times = dict(zip(ways, in_turns(list(steps.values()), 1), strict=True))
    return Row(
        content=name,
        model=preset,
        patches=len(inputs.patch_index),
        distinct=batch.num_distinct,
        bucket=len(inputs.distinct_patches),
        flops_all=flops(embed["all"]),
        flops_distinct=flops(embed["distinct"]),
        ms_all=times["all"],
        ms_distinct=times["distinct"],
        step_ms_all=step_times["all"],
        step_ms_distinct=step_times["distinct"],
        difference=abs(losses["distinct"] - losses["all"]) / abs(losses["all"]),
    )


def every_patch(inputs: Inputs) -> Inputs:
    """The same windows with a row of their own for all patches."""
    index = inputs.patch_index
    return replace(inputs, distinct_patches=inputs.distinct_patches[index], patch_index=torch.arange(len(index)))


def embedding(block: PatchBlock, inputs: Inputs, direction: Tensor) -> Callable[[], None]:
    """Forward of the patch block, and backward of the patches' vectors times `direction` (P, D)."""

    def both() -> None:
        block.zero_grad(set_to_none=True)
        vectors = F.embedding(inputs.patch_index, block(inputs.distinct_patches, torch.float32))
        torch.autograd.backward((vectors * direction).sum())

    return both


def training_step(model: Gato, inputs: Inputs) -> Callable[[], None]:
    """One step; the rate is so low that the model stays what it is."""
    settings = replace(train_settings("tiny", Path("unused")), learning_rate=1e-12, weight_decay=0.0)
    optimizer = make_optimizer(model, settings)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(model(inputs)[0].mean())
        optimizer.step()

    return step


def in_turns(ways: list[Callable[[], Any]], rounds: int) -> list[float]:
    """The median CPU time of each way in milliseconds, after one round that does not count."""
    taken: list[list[float]] = [[] for _ in ways]
    for _ in range(rounds + 1):
        for way, times in zip(ways, taken, strict=True):
            start = time.process_time()
            way()
            times.append(1000 * (time.process_time() - start))
    return [median(times[1:]) for times in taken]


def flops(way: Callable[[], Any]) -> int:
    """FLOPs of a call, as torch counts them."""
    with FlopCounterMode(display=False) as counter:
        way()
    return int(counter.get_total_flops())


if __name__ == "__main__":
    main()
