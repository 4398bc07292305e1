"""Writing a mixture file: only a mixture is ever replaced by one."""

from pathlib import Path

from gato_data.errors import FormatError, OutputError
from gato_data.files import write_durably
from gato_schemas.mixture import Mixture, encode_mixture, read_mixture


def check_out(out: Path) -> None:
    """Check before anything is planned that a mixture may be written there.

    Raises:
        OutputError: its folder is missing, or what stands there is no mixture.
    """
    if not out.parent.is_dir():
        raise OutputError(f"{out.parent} is not a folder: make it first, or give another --out")
    if out.is_dir():
        raise OutputError(f"{out} is a folder: give the name of a file, such as {out / 'mixture.json'}")
    if out.exists():
        try:
            read_mixture(out)
        except FormatError as error:
            sentence = f"{out} is there and is no mixture that this program wrote: give another --out"
            raise OutputError(sentence) from error


def write_mixture(out: Path, mixture: Mixture) -> None:
    """Write a mixture, whole or not at all.

    Raises:
        OutputError: the file cannot be written.
    """
    try:
        write_durably(out, encode_mixture(mixture))
    except OSError as error:
        raise OutputError(f"{out} cannot be written ({error.strerror})") from error
