"""What reads our output may leave before its end, as `head` does: then a command ends without a word.

Or the output has no room: then the command ends with a sentence.
"""

import errno
import os
import select
import sys
from collections.abc import Iterator

READER_GONE = 141
"""Exit code of a program that a closed pipe ended, 128 + SIGPIPE, as shells have it."""
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def is_reader_gone(error: BaseException) -> bool:
    """Whether an error comes of a closed pipe, and that pipe is the standard output or error.

    A connection to a store or a worker process that broke is none of them, and stays an error.
    """
    return any(isinstance(cause, BrokenPipeError) for cause in _causes(error)) and bool(_closed())


def is_output_full(error: BaseException) -> bool:
    """Whether an error comes of a standard output that takes no more, such as a file on a full disk.

    A full disk under another file is none of them: what was printed can then still be written.
    """
    if not any(isinstance(cause, OSError) and cause.errno in _NO_ROOM for cause in _causes(error)):
        return False
    try:
        print(flush=True)
    except OSError as again:
        return again.errno in _NO_ROOM
    return False


def hush() -> None:
    """Send to nowhere what is still to be written to a closed pipe, also when the interpreter ends."""
    _to_nowhere(_closed())


def hush_output() -> None:
    """Send to nowhere what is still to be written to the standard output, also when the interpreter ends."""
    _to_nowhere([1])


def _to_nowhere(streams: list[int]) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in streams:
        os.dup2(nowhere, stream)


def _closed() -> list[int]:
    """The file descriptors of our output that nobody reads any more."""
    poll = select.poll()
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is not None and not stream.closed:
            poll.register(stream.fileno(), 0)  # a closed pipe is told whatever is asked for
    return [stream for stream, _ in poll.poll(0)]


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and all that it came of."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
