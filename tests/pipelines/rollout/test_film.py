"""Which frames a film shows, and where it can lie."""

from pathlib import Path

import numpy as np
import pytest

from gato_data.errors import OutputError
from gato_pipelines.rollout.film import Film, check_gif

FRAME = np.zeros((4, 4, 3), np.uint8)


@pytest.mark.parametrize("length", [1, 2, 119, 120, 121, 239, 240, 241, 478, 501, 1000])
def test_a_film_ends_with_the_end_of_its_episode(length: int) -> None:
    film = Film("it")
    for number in range(length):
        film.add(FRAME, str(number), number)
    shown = [int(text) for _, text in film.shown()]
    assert shown[-1] == length - 1
    assert shown == sorted(set(shown))
    assert min(length, 40) <= len(shown) <= 120


def test_where_no_film_can_lie_is_told_before_one_is_made(tmp_path: Path) -> None:
    check_gif(tmp_path / "new" / "play.gif")
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="is a folder: give the name of a GIF file"):
        check_gif(tmp_path)
    with pytest.raises(OutputError, match=r"cannot be written \(Not a directory\)"):
        check_gif(tmp_path / "file" / "deep" / "play.gif")
    with pytest.raises(OutputError, match=r"cannot be written \(File exists\)"):
        check_gif(tmp_path / "file" / "play.gif")
