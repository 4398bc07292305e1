"""Episodes to Gato tokens and back, and reading the tokens from disk.

    import gato_data

    dataset = gato_data.open("breakout")
    episode = dataset.episodes[0]
    for batch in dataset.batches(context_length=1024, batch_size=8):
        ...

`help(gato_data.open)` says what can be opened. `gato_data.torch` has the same windows for a DataLoader.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gato_data.errors import GatoError
    from gato_data.library.batches import Batches
    from gato_data.library.dataset import Dataset, open
    from gato_data.library.episodes import Episodes, TokenizedEpisode
    from gato_data.library.tasks import Task, decode, encode
    from gato_data.reading.batch import Batch

__version__: str
__all__ = [
    "Batch",
    "Batches",
    "Dataset",
    "Episodes",
    "GatoError",
    "Task",
    "TokenizedEpisode",
    "__version__",
    "decode",
    "encode",
    "open",
]

_HOMES = {
    "Batch": "reading.batch",
    "Batches": "library.batches",
    "Dataset": "library.dataset",
    "Episodes": "library.episodes",
    "GatoError": "errors",
    "Task": "library.tasks",
    "TokenizedEpisode": "library.episodes",
    "decode": "library.tasks",
    "encode": "library.tasks",
    "open": "library.dataset",
}


def __getattr__(name: str) -> Any:
    """What is exported, imported when it is first asked for: the command line pays for nothing of it."""
    if name == "__version__":
        from importlib.metadata import version

        return version("gato-data")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
