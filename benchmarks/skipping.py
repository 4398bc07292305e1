"""Sub-layers that stochastic depth skips, left out against computed and thrown away: FLOPs and tokens a second.

Whole training steps (forward, backward, AdamW) over random windows like Atari's: 85 % patches, a tenth of them
distinct, 5 % of the tokens supervised. "before" computes every sub-layer for all windows and counts those that are
skipped as zero; "after" gathers the windows that keep it. Both take the same batches in turns, and the median of the
CPU time of one thread counts. FLOPs are those that torch counts. The last column is the largest difference of a
gradient, over the largest value of its tensor.

    python benchmarks/skipping.py                            tiny and a wider model, chance of a skip 0.1
    python benchmarks/skipping.py --rate 0.3 --windows 16
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median

import torch
from gpu_steps import Run, make_inputs
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from gato_trainer.config import ModelConfig
from gato_trainer.data.inputs import Inputs
from gato_trainer.model.initialize import initialize
from gato_trainer.model.optimizer import make_optimizer
from gato_trainer.model.transformer import Gato
from gato_trainer.presets import PRESETS, train_settings

ATARI = Run("windows like Atari's", patches=0.85, distinct=0.1)
WIDER = ModelConfig(width=384, blocks=4, heads=6, feed_forward=1536)
HEAD = (
    f"{'model':8}{'skipped':>9}{'GFLOP before':>14}{'after':>8}{'less':>8}{'tokens/s before':>17}{'after':>8}{'x':>7}"
    f"{'gradients':>11}"
)


def main() -> None:
    """Measure every model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=0.1, help="chance that a sub-layer is skipped")
    parser.add_argument("--windows", type=int, default=8)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{args.windows} windows of {args.length} tokens, a sub-layer is skipped with chance {args.rate}\n{HEAD}")
    for name, config in (("tiny", PRESETS["tiny"].model), ("wider", WIDER)):
        changed = replace(config, stochastic_depth=args.rate)
        print(line(name, changed, args.windows, args.length, args.rounds), flush=True)


def line(name: str, config: ModelConfig, windows: int, length: int, rounds: int) -> str:
    """The figures of a model."""
    model = Gato(config)
    initialize(model, 0)
    batches = [make_inputs(ATARI, config, length, windows, seed) for seed in range(rounds)]
    ways = [batches, [inputs.gathered() for inputs in batches]]
    flops = [sum(count(model, inputs) for inputs in way) / rounds / 1e9 for way in ways]
    difference = max(map(compare, *(gradients(model, way[0]) for way in ways)))
    step = stepping(model)
    step(batches[0])
    taken: list[list[float]] = [[], []]
    for pair in zip(*ways, strict=True):
        for inputs, times in zip(pair, taken, strict=True):
            start = time.process_time()
            step(inputs)
            times.append(time.process_time() - start)
    before, after = (windows * length / median(times) for times in taken)
    skipped = sum(inputs.skipped for inputs in batches) / rounds
    counted = f"{flops[0]:14.2f}{flops[1]:8.2f}{1 - flops[1] / flops[0]:8.1%}"
    return f"{name:8}{skipped:9.1%}{counted}{before:17,.0f}{after:8,.0f}{after / before:7.3f}{difference:11.1e}"


def stepping(model: Gato) -> Callable[[Inputs], None]:
    """A training step, whose rate is so low that the model stays what it is."""
    optimizer = make_optimizer(model, replace(train_settings("tiny", Path("unused")), learning_rate=1e-12))

    def step(inputs: Inputs) -> None:
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(model(inputs)[0].mean())
        optimizer.step()

    return step


def count(model: Gato, inputs: Inputs) -> int:
    """FLOPs of forward and backward, as torch counts them."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        torch.autograd.backward(model(inputs)[0].mean())
    model.zero_grad(set_to_none=True)
    return int(counter.get_total_flops())


def gradients(model: Gato, inputs: Inputs) -> tuple[Tensor, ...]:
    """Of the mean loss, by parameter."""
    return torch.autograd.grad(model(inputs)[0].mean(), list(model.parameters()))


def compare(one: Tensor, other: Tensor) -> float:
    """The largest difference over the largest value."""
    return float((one - other).abs().max() / one.abs().max().clamp(min=1e-30))


if __name__ == "__main__":
    main()
