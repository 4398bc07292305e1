"""Ranges of files in object stores: tried again while the store fails, then refused by name."""

import random
import time
from collections.abc import Callable, Iterator

from gato_data.errors import GatoError, InputError
from gato_data.remote.folder import RemoteFolder, RemoteObject
from gato_data.remote.store_errors import reason_of, store_errors

ATTEMPTS = 6
PATIENCE = 300.0
"""Seconds after which no further attempt begins: packages try again by themselves, which may take minutes."""
FIRST_WAIT = 0.5
"""Seconds before the second attempt; twice as long before every further one, more or less by chance."""
FINAL = (FileNotFoundError, PermissionError)
"""What a store raises that it will raise again."""


class FetchError(InputError):
    """Bytes at an address did not come, or are no longer those of before; it says nothing of what they are."""


def fetch(
    remote: RemoteFolder,
    name: str,
    known: RemoteObject | None,
    start: int,
    stop: int,
    problem: Callable[[bytes], str],
    advice: str = "gato-data verify says where",
) -> bytes:
    """Bytes [start, stop) of a file.

    Args:
        remote, name: where it lies.
        known: what it was when its dataset was opened.
        start, stop: the bytes.
        problem: what is wrong with what came; "" for nothing.
        advice: what to do where it is damaged there, "" for nothing.

    Raises:
        FetchError: after several attempts they did not come, are not whole, or the file is another one by now.
    """
    reason = ""
    for _ in attempts():
        try:
            data = remote.read_range(name, start, stop)
        except FINAL as error:
            reason = reason_of(error)
            break
        except GatoError:
            raise
        except store_errors() as error:
            reason = reason_of(error)
            continue
        if len(data) != stop - start:
            reason = f"{len(data)} of {stop - start} bytes came"
        elif what := problem(data):
            reason = what
        else:
            return data
        if _changed(remote, name, known):
            break
    raise _refused(remote, name, known, start, stop, reason, advice)


def attempts() -> Iterator[int]:
    """Numbers from 0 up, one for each attempt, behind waits that become longer; none after the last."""
    begun = time.monotonic()
    for attempt in range(ATTEMPTS):
        if attempt:
            if time.monotonic() - begun > PATIENCE:
                return
            time.sleep(FIRST_WAIT * 2 ** (attempt - 1) * random.uniform(0.5, 1.5))
        yield attempt


def _changed(remote: RemoteFolder, name: str, known: RemoteObject | None) -> bool:
    try:
        return known is not None and remote.object(name, known) != known
    except GatoError:
        return False


def _refused(
    remote: RemoteFolder, name: str, known: RemoteObject | None, start: int, stop: int, reason: str, advice: str
) -> FetchError:
    where = f"{remote.shown}/{name}" if name else remote.shown
    if _changed(remote, name, known):
        return FetchError(
            f"{where} is another file than when it was opened ({reason}): a dataset must not be written to while it is "
            "read; bring it back, or make the mixture again with `gato-data mix`"
        )
    damaged = f"; if it is damaged there, {advice}" if advice else ""
    return FetchError(
        f"bytes {start} to {stop} of {where} could not be read ({reason}): check your credentials and the connection, "
        f"then run the same command again{damaged}"
    )
