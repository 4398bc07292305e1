"""What was inflated lately, kept within a bound: zlib blocks and columns that the windows of coming batches share."""

import threading
from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

ENTRY_BYTES = 256
"""What a stream takes beside its content: the key, the object and its place in the order."""
_MARKS = 1 << 16


class Inflated:
    """What streams inflate to, by where they lie; the one used longest ago goes first.

    Safe to use from several threads. Two threads that miss the same stream at once both inflate it, to the same bytes.

    Args:
        limit: bytes that are kept, `ENTRY_BYTES` for each stream among them; 0 keeps nothing. A stream that alone
            takes more is not kept.

    Attributes:
        held: bytes that are kept now.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: OrderedDict[tuple[int, int, int], NDArray[np.uint8]] = OrderedDict()
        self._lock = threading.Lock()
        self._asked, self._marked = bytearray(_MARKS), 0
        self.held = 0

    def find(self, shard: int, offset: int, block: int = 0) -> NDArray[np.uint8] | None:
        """The content of a stream, uint8 (n,), not to be written to; None where it is not kept.

        Args:
            shard, offset: where the stream lies, or the first one of several.
            block: which of those.
        """
        key = (shard, offset, block)
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
        return found

    def keep(self, shard: int, offset: int, content: NDArray[np.uint8], block: int = 0) -> None:
        """Keep what a stream inflates to, for as long as there is room."""
        key = (shard, offset, block)
        with self._lock:
            if _size(content) > self._limit or key in self._kept:
                return
            self._kept[key] = content
            self.held += _size(content)
            while self.held > self._limit:
                self.held -= _size(self._kept.popitem(last=False)[1])

    def asked_before(self, shard: int, offset: int, block: int = 0) -> bool:
        """Whether this is not the first time that a stream is asked about; very rarely true of one that is new.

        What is needed once is not worth keeping: memory that is kept has to come from the kernel, page by page, which
        takes longer than to inflate into memory that was just used.
        """
        place = hash((shard, offset, block)) % _MARKS
        with self._lock:
            before = bool(self._asked[place])
            self._asked[place] = 1
            self._marked += not before
            if 2 * self._marked > _MARKS:
                self._asked, self._marked = bytearray(_MARKS), 0
        return before

    def clear(self) -> None:
        """Keep nothing any more."""
        with self._lock:
            self._kept.clear()
            self.held = 0


def _size(content: NDArray[np.uint8]) -> int:
    return content.nbytes + ENTRY_BYTES
