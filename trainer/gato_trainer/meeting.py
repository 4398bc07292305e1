"""Where the processes of a run find each other: a place in torchrun's store that belongs to them alone.

torchrun keeps one store over all its restarts, and what the processes before wrote stays in it: the
addresses of dead ones, which new ones would call. Its count of restarts tells them apart on one
machine only, since every machine counts its own.
"""

import json
import os
import time
from datetime import timedelta

from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

_CALL = "gato/call"


def meet(rank: int, size: int, timeout: timedelta) -> Store:
    """Wait until all processes are there; the part of their store in which nobody wrote before.

    The first one calls with a new name. Every other one answers the newest call, with a name of its
    own, until it finds that name among those that the first one has heard; so no call and no answer
    of a process that is gone is taken for one of now.

    Raises:
        RuntimeError: the others did not come in time.
    """
    store, _, _ = next(rendezvous("env://", rank, size, timeout=timeout))
    store.set_timeout(timeout)
    name = os.urandom(8).hex()
    if rank == 0:
        store.set(_CALL, name)
        answers = [store.get(f"gato/{name}/{other}").decode() for other in range(1, size)]
        store.set(f"gato/{name}/heard", json.dumps(answers))
        return PrefixStore(name, store)
    return PrefixStore(_answer(store, rank, name, timeout), store)


def _answer(store: Store, rank: int, name: str, timeout: timedelta) -> str:
    """The call in which this process was heard."""
    end = time.monotonic() + timeout.total_seconds()
    pause, answered = 0.02, ""
    while time.monotonic() < end:
        call: str = store.get(_CALL).decode()
        if call != answered:
            store.set(f"gato/{call}/{rank}", name)
            answered = call
        heard = f"gato/{call}/heard"
        if store.check([heard]) and name in json.loads(store.get(heard)):
            return call
        time.sleep(pause)
        pause = min(2 * pause, 1.0)
    raise RuntimeError(f"the first process was not heard, timed out after {timeout.total_seconds():g} s")
