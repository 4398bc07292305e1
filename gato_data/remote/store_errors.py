"""What places that cannot be reached raise, as one sentence."""

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from gato_data.errors import GatoError, InputError, OutputError
from gato_data.remote.address import redacted

FULL = (errno.ENOSPC, errno.EDQUOT)
"""Of an OSError that means that a disk has no room left."""
_FOREIGN_ERRORS = (
    ("botocore.exceptions", "BotoCoreError"),
    ("botocore.exceptions", "ClientError"),
    ("aiohttp", "ClientError"),
    ("gcsfs.retry", "HttpError"),
    ("google.auth.exceptions", "GoogleAuthError"),
    ("azure.core.exceptions", "AzureError"),
    ("httpx2", "HTTPError"),
    ("httpx", "HTTPError"),
)
"""What packages raise that are no OSErrors;
they are looked up only where the package has been imported."""


def store_errors() -> tuple[type[Exception], ...]:
    """What a place that cannot be reached raises, as far as the packages have been imported that raise it."""
    found = [getattr(sys.modules.get(module), name, None) for module, name in _FOREIGN_ERRORS]
    foreign = [cls for cls in found if isinstance(cls, type) and issubclass(cls, Exception)]
    return (OSError, ValueError, RuntimeError, *foreign)


def reason_of(error: BaseException) -> str:
    """The first line of what an error says, as it may be shown."""
    said = str(error).strip()
    return redacted(said.splitlines()[0] if said else type(error).__name__)[:300]


@contextmanager
def explained(address: str, kind: type[GatoError]) -> Iterator[None]:
    """Errors of the place as one sentence."""
    try:
        yield
    except GatoError:
        raise
    except store_errors() as error:
        if kind is InputError and getattr(error, "errno", None) in FULL:  # a store has room for what is read there
            raise
        what = "written" if kind is OutputError else "read"
        raise kind(
            f"{redacted(address)} cannot be {what} ({reason_of(error)}): check the address, your credentials for it "
            "and the connection, then run the same command again; what has arrived is kept"
        ) from error
