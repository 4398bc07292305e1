"""Images as blocks of colour: two pixels a character, the upper one in front, the lower one behind."""

import numpy as np
from numpy.typing import NDArray
from rich.color import Color
from rich.console import Console
from rich.style import Style
from rich.text import Text

MAX_COLUMNS = 48
_HALF_BLOCK = "\u2580"


def can_draw(console: Console) -> bool:
    """Whether the console has colours and the half block."""
    return console.color_system is not None and "utf" in console.encoding


def print_images(console: Console, images: list[NDArray[np.uint8]]) -> None:
    """Draw images uint8 (h, w, 3) below each other, each at most 48 characters wide."""
    for image in images:
        for line in image_lines(image, min(MAX_COLUMNS, console.width - 2)):
            console.print(line, soft_wrap=True)
        console.print()


def image_lines(image: NDArray[np.uint8], columns: int) -> list[Text]:
    """The lines of one image, at most `columns` characters wide and as high as its sides ask for."""
    pixels = _shrink(image, max(columns, 1))
    if len(pixels) % 2:
        pixels = np.concatenate([pixels, pixels[-1:]])
    return [_line(upper, lower) for upper, lower in zip(pixels[0::2], pixels[1::2], strict=True)]


def swatch(mean: tuple[int, int, int]) -> Text:
    """Two cells of one colour."""
    return Text("  ", Style(bgcolor=Color.from_rgb(*mean)))


def _shrink(image: NDArray[np.uint8], columns: int) -> NDArray[np.uint8]:
    """Averages of boxes, so that the image is at most `columns` pixels wide and twice as many high."""
    height, width = image.shape[:2]
    scale = max(width / columns, height / (2 * columns), 1.0)
    rows = np.linspace(0, height, max(round(height / scale), 1) + 1).astype(int)
    cells = np.linspace(0, width, max(round(width / scale), 1) + 1).astype(int)
    sums = np.add.reduceat(np.add.reduceat(image.astype(np.int64), rows[:-1], axis=0), cells[:-1], axis=1)
    areas = np.diff(rows)[:, None, None] * np.diff(cells)[None, :, None]
    means: NDArray[np.uint8] = (sums / areas).round().astype(np.uint8)
    return means


def _line(upper: NDArray[np.uint8], lower: NDArray[np.uint8]) -> Text:
    line = Text()
    for front, back in zip(upper.tolist(), lower.tolist(), strict=True):
        line.append(_HALF_BLOCK, Style(color=Color.from_rgb(*front), bgcolor=Color.from_rgb(*back)))
    return line
