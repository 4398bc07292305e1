"""The patches of a page, each distinct one once, on sheets that a browser reads as images."""

import numpy as np
from numpy.typing import NDArray

from gato_data.report.html.image import encode, uri
from gato_schemas.sequence import PATCH_SHAPE, PATCH_SIZE

SIDE = 32
"""Patches on a side of a sheet."""
MOST = 200_000
"""Distinct patches of a page: 154 MB in memory."""
QUALITIES = (85, 60, 40)
SAMPLE = 3
"""Sheets from which the size of all of them is told."""


class FullAtlasError(Exception):
    """There are more distinct patches than a page holds."""


class Atlas:
    """Distinct patches in the order of their first appearance; at most `most`."""

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self._numbers: dict[bytes, int] = {}
        self._patches: list[bytes] = []

    def add(self, patches: NDArray[np.uint8]) -> NDArray[np.int64]:
        """The numbers of patches uint8 (n, 16, 16, 3), int64 (n,).

        Raises:
            FullAtlasError: there are too many.
        """
        found = np.empty(len(patches), np.int64)
        for place, patch in enumerate(patches):
            pixels = patch.tobytes()
            found[place] = number = self._numbers.setdefault(pixels, len(self._patches))
            if number == len(self._patches):
                self._patches.append(pixels)
        if len(self._patches) > self.most:
            raise FullAtlasError
        return found

    def pixels(self, wanted: NDArray[np.integer]) -> NDArray[np.uint8]:
        """The patches of numbers (n,), uint8 (n, 16, 16, 3)."""
        return np.frombuffer(b"".join(self._patches[number] for number in wanted.tolist()), np.uint8).reshape(
            -1, *PATCH_SHAPE
        )

    def sheets(self, budget: int, *, force: bool = False) -> tuple[list[str], bool, float]:
        """All sheets as data URIs, whether they are exact, and by how much they exceed the budget, as a factor.

        Exact where that takes about `budget` characters, else with loss, coarser until they fit. Where the coarsest
        do not fit there are none, unless `force` asks for them.
        """
        images = self._images()
        if not images:
            return [], True, 0.0
        sample = images[:: -(-len(images) // SAMPLE)]
        for quality in (None, *QUALITIES):
            told = sum(len(uri(encode(image, quality))) for image in sample) / len(sample) * len(images)
            if told <= budget:
                break
        if told > budget and not force:
            return [], False, told / budget
        return [uri(encode(image, quality)) for image in images], quality is None, told / budget

    def _images(self) -> list[NDArray[np.uint8]]:
        patches = self.pixels(np.arange(len(self._numbers)))
        found = []
        for start in range(0, len(patches), SIDE * SIDE):
            part = patches[start : start + SIDE * SIDE]
            rows = -(-len(part) // SIDE)
            grid = np.zeros((rows * SIDE, *PATCH_SHAPE), np.uint8)
            grid[: len(part)] = part
            blocks = grid.reshape(rows, SIDE, *PATCH_SHAPE).transpose(0, 2, 1, 3, 4)
            found.append(blocks.reshape(rows * PATCH_SIZE, SIDE * PATCH_SIZE, 3))
        return found
