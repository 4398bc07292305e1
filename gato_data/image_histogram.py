"""How often every pixel value comes: the statistics of a dataset have it."""

import numpy as np
from numpy.typing import NDArray

from gato_data.image_fit import Images, import_cv2

_COUNTED_AT_ONCE = 1 << 18  # pixel values: few calls, and still inside the cache
_MAX_EXACT = 1 << 24  # OpenCV returns counts as float32


class PixelCounter:
    """Counts pixel values, several images at a time."""

    def __init__(self, histogram: NDArray[np.int64], shape: tuple[int, int, int]) -> None:
        """Count into `histogram`, int64 (256,), the values of images of one shape."""
        pixels = shape[0] * shape[1] * shape[2]
        self._cv2 = import_cv2()
        self._histogram = histogram
        self._block = np.empty((max(1, _COUNTED_AT_ONCE // pixels), pixels), dtype=np.uint8)
        self._held = 0

    def add(self, image: Images) -> None:
        """Count an image, uint8."""
        self._block[self._held] = image.reshape(-1)
        self._held += 1
        if self._held == len(self._block):
            self.flush()

    def flush(self) -> None:
        """Count what is held back; to be called at the end."""
        if self._held:
            values = self._block[: self._held].reshape(1, -1)
            for start in range(0, values.shape[1], _MAX_EXACT):
                block = values[:, start : start + _MAX_EXACT]
                self._histogram += self._cv2.calcHist([block], [0], None, [256], [0, 256]).reshape(-1).astype(np.int64)
            self._held = 0
