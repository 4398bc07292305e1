"""Columns of whole numbers as one deflated text, small where a column changes little from row to row; JSON."""

import base64
import json
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gato_data.report.encode import plain


class Columns:
    """Gathers columns in the order in which the page's script takes them."""

    def __init__(self) -> None:
        self._parts: list[NDArray[np.uint32]] = []

    def add(self, values: NDArray[np.number]) -> None:
        """Add one column (n,), or k columns (k, n) one after the other; float32 by their bits, numbers below 2**32."""
        whole = values.view(np.uint32) if values.dtype == np.float32 else values.astype(np.uint32)
        self._parts.append(np.diff(whole, axis=-1, prepend=np.uint32(0)).ravel())

    def encoded(self) -> str:
        """Base64 of a zlib stream: the lowest bytes of all differences, then the next ones, then the highest."""
        flat = np.concatenate([np.zeros(0, np.uint32), *self._parts]).astype("<u4")
        planes = np.ascontiguousarray(flat.view(np.uint8).reshape(-1, 4).T)
        return base64.b64encode(zlib.compress(planes.tobytes(), 9)).decode("ascii")


def json_of(content: Any) -> str:
    """Compact JSON in ASCII, the same for the same content."""
    return json.dumps(plain(content), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
