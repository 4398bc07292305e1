"""Acting: CPU time of an action with and without the keys and values of earlier tokens, on shapes of the paper's tasks.

    python benchmarks/acting.py --case "tiny reach" --environments 4

Parameters and observations are invented: what is measured depends on shapes alone. Times are of a whole cycle of the
window, so that what is encoded anew when it is full counts; without the memory, the whole window is computed for every
action token, its last row alone in the last block.
"""

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from acting_recompute import action, outputs

from gato_data.reading.settings import ReadSettings
from gato_data.tokenize import TokenizeSettings
from gato_data.vocabulary import Vocabulary
from gato_schemas.dataset import TaskInfo
from gato_schemas.episode import Field
from gato_schemas.origin import SourceInfo
from gato_schemas.policy import PolicyCard, PolicyDataset
from gato_trainer.acting import Policy
from gato_trainer.model.initialize import materialize
from gato_trainer.model.transformer import Gato
from gato_trainer.presets import PRESETS


@dataclass(frozen=True)
class Case:
    """A model, a context and the fields of a task."""

    model: str
    context: int
    observations: tuple[Field, ...]
    actions: tuple[Field, ...]


CARTPOLE = ((Field("state", "continuous", (5,)),), (Field("action", "continuous", (1,)),))
REACH = ((Field("state", "continuous", (39,)),), (Field("action", "continuous", (4,)),))
PONG = ((Field("image", "image", (64, 80, 3)),), (Field("action", "discrete"),))
CASES = {
    "tiny cartpole": Case("tiny", 252, *CARTPOLE),
    "tiny reach": Case("tiny", 1024, *REACH),
    "tiny pong": Case("tiny", 1024, *PONG),
    "79m cartpole": Case("79m", 1024, *CARTPOLE),
    "79m reach": Case("79m", 1024, *REACH),
    "79m pong": Case("79m", 1024, *PONG),
}


def make_policy(case: Case) -> Policy:
    """A policy of first values whose card has the one task."""
    vocabulary = Vocabulary().info
    info = TaskInfo(observations=list(case.observations), actions=list(case.actions))
    dataset = PolicyDataset(
        name="made", family="made", source=SourceInfo(name="made", settings={}, inputs=[]), content_id="0" * 64,
        libraries={}, tokenization=vars_of(TokenizeSettings()), vocabulary=vocabulary, tasks={"made": info}, agents=[],
        demonstrations=[],
    )  # fmt: skip
    card = PolicyCard(
        reading=ReadSettings(context_length=case.context).stream(), vocabulary=vocabulary,
        max_observation_tokens=512, text_model=None, datasets=[dataset],
    )  # fmt: skip
    with torch.device("meta"):
        model = Gato(PRESETS[case.model].model)
    materialize(model, torch.device("cpu"), 0)
    return Policy(model.requires_grad_(requires_grad=False), card, source=Path(), step=0)


def vars_of(settings: TokenizeSettings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in TokenizeSettings.__slots__}


def observe(case: Case, generator: np.random.Generator) -> dict[str, Any]:
    """A state, or a frame of which a few patches are another every time."""
    field = case.observations[0]
    if field.modality == "continuous":
        return {field.name: generator.normal(size=field.shape)}
    frame = np.zeros(field.shape, np.uint8)
    frame[:16, : 16 * 3] = generator.integers(0, 255, (16, 16 * 3, 3))
    return {field.name: frame}


def with_memory(case: Case, policy: Policy, environments: int, memory: str, cycles: int) -> float:
    """Milliseconds of CPU an action of one environment, over whole cycles of a full window."""
    generator = np.random.default_rng(0)
    policy.reset(prompt="none", environments=environments, memory=memory)  # type: ignore[arg-type]
    observer = policy.tasks[0].observer(None)
    tokens = len(observer.observe(observe(case, generator)).tokens) + len(observer.allowed)
    fill = case.context // tokens
    steps = cycles * max(fill // 2, 1)
    seen = [[observe(case, generator) for _ in range(environments)] for _ in range(fill + steps)]
    for each in seen[:fill]:
        policy.act(each)
    began = time.process_time()
    for each in seen[fill:]:
        policy.act(each)
    return (time.process_time() - began) / steps / environments * 1e3


def recomputed(case: Case, policy: Policy, rounds: int) -> float:
    """Milliseconds of CPU an action where the whole window is computed for each of its tokens."""
    generator = np.random.default_rng(0)
    observer = policy.tasks[0].observer(None)
    ids = action(observer.allowed[:, 0].tolist())
    timestep = [observer.observe(observe(case, generator)), ids]
    count = sum(len(each.tokens) for each in timestep)
    window = [piece for _ in range(case.context // count) for piece in timestep]
    model = policy._model
    outputs(model, window[:2], last=True)
    began = time.process_time()
    for _ in range(rounds):
        outputs(model, window, last=True)
    return (time.process_time() - began) / rounds * len(observer.allowed) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", choices=CASES, action="append")
    parser.add_argument("--environments", type=int, default=1)
    parser.add_argument("--memory", choices=("half-cut", "xl"), default="half-cut")
    parser.add_argument("--cycles", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for name in options.case or CASES:
        case = CASES[name]
        policy = make_policy(case)
        kept = with_memory(case, policy, options.environments, options.memory, options.cycles)
        anew = recomputed(case, policy, options.rounds)
        row = {
            "case": name,
            "environments": options.environments,
            "ms": round(kept, 2),
            "recomputed_ms": round(anew, 1),
        }
        print(json.dumps({**row, "times": round(anew / kept, 1)}), flush=True)


if __name__ == "__main__":
    main()
