"""Copies to a GPU beside its computation: on a stream of their own, from pinned memory."""

from functools import cache

import torch

from gato_trainer.data.inputs import Inputs


@cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def on_device(inputs: Inputs, device: torch.device) -> Inputs:
    """A batch on a device; the host waits for nothing, the device's computation for this copy alone.

    The copy begins while the device still computes what it was given before, since the host is ahead of it.
    """
    if device.type != "cuda":
        return inputs.to(device)
    copies, computation = _stream(device), torch.cuda.current_stream(device)
    with torch.cuda.stream(copies):
        copied = inputs.to(device)
    computation.wait_event(copies.record_event())
    for tensor in copied.tensors():
        tensor.record_stream(computation)  # or its memory would be taken again while it is read
    return copied
