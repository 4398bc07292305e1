"""What was inflated lately, kept within a bound: zlib blocks and columns that the windows of coming batches share."""

import threading
from collections import OrderedDict
from collections.abc import Callable

from gato_schemas.compression import inflate_block

ENTRY_BYTES = 256
"""What a stream takes beside its content: the key, the object and its place in the order."""


class Inflated:
    """Inflated zlib streams by where they lie; the one used longest ago goes first. Safe to use from several threads.

    Two threads that miss the same stream at once both inflate it, to the same bytes.

    Args:
        limit: bytes that are kept, `ENTRY_BYTES` for each stream among them; 0 keeps nothing. A stream that alone
            takes more is handed on, but not kept.

    Attributes:
        held: bytes that are kept now.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: OrderedDict[tuple[int, int], bytearray] = OrderedDict()
        self._lock = threading.Lock()
        self.held = 0

    def get(self, shard: int, offset: int, size: int, read: Callable[[], bytes | memoryview]) -> bytearray:
        """The `size` bytes of the stream at `offset` of a shard; not to be written to.

        Args:
            shard, offset: which stream.
            size: of what it inflates to.
            read: gives the stream where it is not kept.

        Raises:
            FormatError: the stream is damaged, or holds another number of bytes.
        """
        key = (shard, offset)
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
                return found
        found = inflate_block(read(), size)
        self._keep(key, found)
        return found

    def __contains__(self, key: tuple[int, int]) -> bool:
        """Whether the stream at (shard, offset) is kept."""
        return key in self._kept

    def clear(self) -> None:
        """Keep nothing any more."""
        with self._lock:
            self._kept.clear()
            self.held = 0

    def _keep(self, key: tuple[int, int], content: bytearray) -> None:
        with self._lock:
            if _size(content) > self._limit or key in self._kept:
                return
            self._kept[key] = content
            self.held += _size(content)
            while self.held > self._limit:
                self.held -= _size(self._kept.popitem(last=False)[1])


def _size(content: bytearray) -> int:
    return len(content) + ENTRY_BYTES
