"""What a run would be trained on, looked at before it starts."""

from gato_data.errors import TrainError
from gato_trainer.config import TrainSettings
from gato_trainer.data.batches import BatchSource

_AT_ONCE = 64
_LOOKED_AT = 4096
"""Windows that are looked at: where so many hold nothing to train on,
more of them would be of no use."""


def check_supervised(source: BatchSource, settings: TrainSettings) -> None:
    """Check that a run is trained on a token at all; the first windows nearly always show it.

    Raises:
        TrainError: no window that it reads holds a token under the loss mask.
    """
    windows = min(settings.steps * settings.batch_size, _LOOKED_AT)
    at_once = min(settings.batch_size, _AT_ONCE)
    for first in range(0, windows, at_once):
        if len(source.batch(range(first, min(first + at_once, windows))).supervised_slot):
            return
    reasons = source.warnings or ["no token of its datasets is under the loss mask"]
    first_ones = "first " if windows == _LOOKED_AT else ""
    raise TrainError(
        f"this run is trained on nothing: none of its {first_ones}{windows:,} window{'s' if windows > 1 else ''} of "
        f"{settings.context_length:,} tokens holds a token under the loss mask, since {'; '.join(reasons)}"
    )
