import sys

import pytest

from gato_data.errors import MissingPackageError, SettingError
from gato_data.image_decoding import decode_images
from tests.pipelines.recorders.recorded import CASES, episodes_of, need, recorder

record = recorder("procgen")


def _need_procgen() -> None:
    need("procgen", CASES["procgen"].extra)


def test_games_are_played_to_their_end(tmp_path):
    _need_procgen()
    recording = record("Leaper", 3, tmp_path / "out")
    assert recording.num_terminal == 3
    for episode in episodes_of(recording):
        assert set(episode.tensors["steps/action"]) <= set(range(15))
        frames = decode_images(episode.images["steps/observation/image"], (64, 64, 3))
        assert len(frames) == episode.num_timesteps
        assert frames.std() > 10


@pytest.mark.parametrize(
    ("game", "settings", "message"),
    [("coinrum", {}, r"did you mean 'coinrun'\?"), ("coinrun", {"max_steps": 0}, "1 or more were wanted")],
)
def test_settings_that_cannot_be_used(game, settings, message, tmp_path):
    _need_procgen()
    with pytest.raises(SettingError, match=message):
        record(game, 1, tmp_path / "out", **settings)


def test_how_to_install_procgen_beside_numpy_2(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "procgen", None)
    monkeypatch.setitem(sys.modules, "procgen.env", None)
    with pytest.raises(MissingPackageError, match=r"needs procgen: pip install --no-deps procgen-mirror"):
        record("coinrun", 1, tmp_path / "out")
    assert not (tmp_path / "out").exists()
