"""Reads the columns of a page again, as its script does."""

import base64
import io
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray


def columns(text: str) -> NDArray[np.uint32]:
    """The differences of all columns, in order."""
    planes = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8).reshape(4, -1)
    return np.ascontiguousarray(planes.T).view("<u4").ravel()


class Unpacked:
    """What an episode of a page has: a column after the other."""

    def __init__(self, episode: dict[str, Any]) -> None:
        self._rest = columns(episode["columns"])
        shown, points = episode["shown"], episode["points"]
        self.steps, self.layout = self._take(shown), self._take(shown)
        self.reward, self.offset = self._take(shown).view(np.float32), self._take(shown)
        self.cells = {number: self._take(rows, tokens) for number, rows, tokens in episode["rows"]}
        elements = len(episode["elements"])
        self.low = self._take(points, elements) if elements else None
        self.high = self._take(points, elements) if elements else None
        if episode["rewards"]:
            told = episode["rewards"]["told"]
            self.least, self.most = self._take(points).view(np.float32), self._take(points).view(np.float32)
            self.times, self.events = self._take(told), self._take(told).view(np.float32)
        assert not len(self._rest)

    def _take(self, rows: int, count: int = 0) -> NDArray[Any]:
        size = rows * max(count, 1)
        part, self._rest = self._rest[:size], self._rest[size:]
        return np.cumsum(part.reshape(-1, rows) if count else part, axis=-1, dtype=np.uint32)


def pictures(content: dict[str, Any]) -> NDArray[np.uint8]:
    """All patches of a page, uint8 (n, 16, 16, 3)."""
    from PIL import Image

    patches = []
    for sheet in content["sheets"]:
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(sheet.partition(",")[2]))).convert("RGB"))
        rows, sides = pixels.shape[0] // 16, pixels.shape[1] // 16
        patches.append(pixels.reshape(rows, 16, sides, 16, 3).transpose(0, 2, 1, 3, 4).reshape(-1, 16, 16, 3))
    return np.concatenate(patches)
