"""The one way to import rlds here.

rlds 0.1.8, its last release, imports Reverb at the top of `rlds/transformations/pattern.py`.
Reverb's last release needs TensorFlow 2.15 and cannot be installed beside the TensorFlow that this
package uses. Only two functions of rlds use Reverb (`pattern_map` and
`pattern_map_from_transform`); for the others its name has to exist while rlds is imported, because
four annotations mention it. `import_rlds` provides that name and nothing more.
"""

import importlib
import sys
import threading
from importlib.util import find_spec
from types import ModuleType
from typing import NoReturn

from gato_data.errors import MissingPackageError

_LOCK = threading.Lock()


class _MissingReverb(ModuleType):
    """Stands in for Reverb while rlds is imported; whatever asks it for more gets an error that says so."""

    def __getattr__(self, name: str) -> NoReturn:
        raise MissingPackageError(
            f"rlds asked for {self.__name__}.{name}, but Reverb is not installed and cannot be installed beside this"
            " TensorFlow: use the transformations of rlds that need no Reverb (all but pattern_map*)"
        )


def import_rlds() -> ModuleType:
    """Imports rlds, with or without Reverb, and returns it.

    A Reverb that is installed is used. Otherwise a placeholder takes its name in `sys.modules`
    during the import only, so that `import reverb` elsewhere still fails as it should.

    Raises:
        MissingPackageError: rlds or TensorFlow is not installed.
    """
    with _LOCK:
        placeholder = None
        if "rlds" not in sys.modules and "reverb" not in sys.modules and find_spec("reverb") is None:
            placeholder = sys.modules["reverb"] = _missing_reverb()
        try:
            return importlib.import_module("rlds")
        except ModuleNotFoundError as error:
            raise MissingPackageError(
                f"rlds cannot be imported because {error.name} is not installed: pip install 'gato-data[ingest]'"
            ) from error
        finally:
            if placeholder is not None:
                del sys.modules["reverb"]


def _missing_reverb() -> ModuleType:
    """Returns the placeholder with the four types that rlds' annotations mention."""
    types = ("Config", "ReferenceStep", "Pattern", "Condition")
    writer = _MissingReverb("reverb.structured_writer")
    vars(writer).update({name: type(name, (), {"__module__": writer.__name__}) for name in types})
    reverb = _MissingReverb("reverb", "A placeholder: Reverb is not installed.")
    vars(reverb).update(structured_writer=writer)
    return reverb
