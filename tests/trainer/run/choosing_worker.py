"""One of several processes that choose together: each would find another verdict and other free memory."""

import json
import os
import sys
from pathlib import Path

import torch

from gato_trainer import kernels
from gato_trainer.kernels import operations
from gato_trainer.model.build import shapes_of
from gato_trainer.presets import train_settings
from gato_trainer.run.choosing import choose, definite
from gato_trainer.run.machine import machine_here
from gato_trainer.run.plan import Work
from gato_trainer.world import World, join_world

joined = join_world("cpu")
rank = joined.rank
kernels._reasons = lambda wanted, shapes, interpreter: dict.fromkeys(wanted, f"process {rank} says so")
torch.cuda.mem_get_info = lambda device: ((80 - 40 * rank) * 2**30, 80 * 2**30)
torch.cuda.get_device_name = lambda device: f"card {rank}"
torch.cuda.get_device_capability = lambda device: (8, 0)

machine = machine_here(World(rank, joined.size, torch.device("cuda", rank)))
settings = definite(train_settings("79m", Path("run")), machine)
chosen = operations("auto", shapes_of(settings, settings.model, machine.device), joined.decided)


def work_of(windows: int) -> Work:
    assert joined.is_first, "only the first process reads windows for this"
    return Work(windows=windows, length=1024, rows=50 * windows, patches=0, distinct_patches=0)


choice = joined.decided(lambda: choose(settings, settings.model, (10**8, 0), machine, chosen.fused, work_of))
Path(sys.argv[1], f"rank{rank}").write_text(
    json.dumps([chosen.summary, machine.name, machine.memory, choice.settings.micro_batch_size])
)
joined.close()
os._exit(0)
