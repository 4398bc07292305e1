import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gato_data.errors import MissingPackageError, OutputError, SettingError
from gato_data.image_decoding import decode_images
from gato_pipelines.environments.atari import Atari, find_rom, games
from gato_pipelines.environments.chance import Chance
from gato_pipelines.recorders.atari import FEATURES
from gato_pipelines.recorders.recording import Recording
from gato_pipelines.rlds.decode import EpisodeDecoder
from gato_pipelines.rlds.episode import RldsEpisode
from gato_pipelines.rlds.features import parse_features
from gato_schemas.tfrecord import read_records
from tests.pipelines.recorders.recorded import recorder

record = recorder("atari")

SAMPLE = Path(__file__).parents[2] / "data" / "rlds" / "rlu_atari" / "Breakout_run_1" / "1.3.0"


@pytest.fixture(scope="module")
def recording(tmp_path_factory) -> Recording:
    """Two games of Breakout, cut after 700 screens if they last so long."""
    return record("breakout", 2, tmp_path_factory.mktemp("recording") / "out", seed=1, max_frames=700, shards=2)


def _episodes(recording: Recording) -> list[RldsEpisode]:
    decoder = EpisodeDecoder(FEATURES.leaves)
    shards = recording.directory.split("train").shards
    return [decoder.decode(raw.data) for shard in shards for raw in read_records(shard.path)]


def _digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_the_features_are_those_of_rlu_atari(recording):
    theirs = (SAMPLE / "features.json").read_bytes()
    assert parse_features(theirs) == FEATURES
    assert json.loads((recording.directory.path / "features.json").read_bytes()) == json.loads(theirs)


def test_what_the_dataset_says_of_itself(recording):
    directory = recording.directory
    assert (directory.name, directory.config, directory.version) == ("rlu_atari", "Breakout_run_1", "1.3.0")
    assert "uniform random policy" in directory.description
    assert "sticky actions (probability 0.25)" in directory.description
    assert "GPL-2.0" in directory.licence
    assert "belongs to its owner" in directory.licence
    metadata = json.loads((directory.path / "metadata.json").read_bytes())
    assert (metadata["game"], metadata["seed"], metadata["max_frames"]) == ("Breakout", 1, 700)


def test_episodes_keep_the_rlds_contract(recording):
    episodes = _episodes(recording)
    assert recording.num_timesteps == sum(episode.num_timesteps for episode in episodes)
    for number, episode in enumerate(episodes):
        steps = {path.removeprefix("steps/"): values for path, values in episode.tensors.items()}
        length = episode.num_timesteps
        assert np.flatnonzero(steps["is_first"]).tolist() == [0]
        assert np.flatnonzero(steps["is_last"]).tolist() == [length - 1]
        assert (steps["action"][-1], steps["reward"][-1], steps["discount"][-1]) == (0, 0, 0)
        terminal = bool(steps["is_terminal"][-1])
        assert not steps["is_terminal"][:-1].any()
        assert steps["discount"][-2] == (0 if terminal else 1)
        assert (steps["discount"][:-2] == 1).all()
        assert set(np.unique(steps["action"])) <= {0, 1, 2, 3}
        assert np.abs(steps["reward"]).max() <= 1
        assert float(episode.episode["episode_return"]) == steps["reward"].sum() == recording.returns[number]
        assert (int(episode.episode["episode_id"]), int(episode.episode["checkpoint_id"])) == (number, 0)


def test_a_game_that_ends_is_terminal_and_one_that_is_cut_is_not(tmp_path):
    whole = record("breakout", 1, tmp_path / "whole", seed=1, max_frames=20_000)
    cut = record("breakout", 1, tmp_path / "cut", seed=1, max_frames=100)
    assert (whole.num_terminal, cut.num_terminal) == (1, 0)
    assert cut.num_timesteps == 26
    first, second = _episodes(whole)[0], _episodes(cut)[0]
    assert first.num_timesteps < 5000
    assert [bytes(image) for image in second.images["steps/observation"]] == [
        bytes(image) for image in first.images["steps/observation"][:26]
    ]


def test_frames_show_the_game(recording):
    images = _episodes(recording)[0].images["steps/observation"]
    frames = decode_images(images, (84, 84, 1))[..., 0]
    assert frames.std(axis=(1, 2)).min() > 10
    assert len(np.unique(frames, axis=0)) > len(frames) // 2


def test_the_frame_is_the_maximum_of_the_last_two_screens():
    """Played beside the emulator itself, screen by screen, without sticky actions."""
    import ale_py
    import cv2

    ours = Atari("breakout", seed=5, sticky=0.0)
    ours.reset(Chance(0, 0))
    ale = ale_py.ALEInterface()
    ale.setInt("random_seed", 5)
    ale.setFloat("repeat_action_probability", 0.0)
    ale.loadROM(ale_py.roms.get_rom_path("breakout"))
    ale.reset_game()
    actions = ale.getMinimalActionSet()
    for action in (1, 2, 2, 3, 0, 1):
        step = ours.step(action)
        screens, rewards = [], []
        for _ in range(4):
            rewards.append(ale.act(actions[action]))
            screens.append(ale.getScreenGrayscale())
        expected = cv2.resize(np.maximum(*screens[-2:]), (84, 84), interpolation=cv2.INTER_AREA)
        np.testing.assert_array_equal(step.observation["steps/observation"], expected)
        assert step.reward == sum(rewards)


def test_same_seed_same_bytes(recording, tmp_path):
    again = record("Breakout", 2, tmp_path / "again", seed=1, max_frames=700, shards=2)
    assert _digests(again.directory.path) == _digests(recording.directory.path)
    other = record("Breakout", 2, tmp_path / "other", seed=2, max_frames=700, shards=2)
    assert _digests(other.directory.path) != _digests(recording.directory.path)


def test_an_episode_does_not_depend_on_how_many_follow(recording, tmp_path):
    one = record("Breakout", 1, tmp_path / "one", seed=1, max_frames=700)
    first = recording.directory.path / "rlu_atari-train.tfrecord-00000-of-00002"
    assert (one.directory.path / "rlu_atari-train.tfrecord-00000-of-00001").read_bytes() == first.read_bytes()


def test_progress_is_told_after_every_episode(tmp_path):
    told: list[tuple[int, int]] = []
    record("pong", 2, tmp_path / "out", max_frames=80, progress=lambda done, timesteps: told.append((done, timesteps)))
    assert told == [(1, 21), (2, 42)]


def test_nothing_is_printed(tmp_path):
    code = "from pathlib import Path; from gato_pipelines.recorders.atari import Recorder; "
    code += f"Recorder('pong', max_frames=40).record(1, Path({str(tmp_path / 'out')!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_tfds_opens_the_folder_itself(recording):
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(recording.directory.path)
    config = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)
    theirs = list(builder.as_dataset("train", read_config=config))
    assert builder.info.redistribution_info.license.startswith("Recorded with ale-py")
    assert builder.builder_config.name == "Breakout_run_1"
    for episode, mine in zip(theirs, _episodes(recording), strict=True):
        steps = list(tfds.as_numpy(episode["steps"]))
        np.testing.assert_array_equal([step["action"] for step in steps], mine.tensors["steps/action"])
        frames = decode_images(mine.images["steps/observation"], (84, 84, 1))
        np.testing.assert_array_equal([step["observation"] for step in steps], frames)


@pytest.mark.parametrize("name", ["MsPacman", "ms_pacman", "Ms. Pacman", "mspacman"])
def test_games_by_any_spelling(name):
    assert find_rom(name) == "ms_pacman"


def test_every_game_is_found_by_its_name():
    assert len(games()) > 100
    assert len({find_rom(game) for game in games()}) == len(games())


@pytest.mark.parametrize(
    ("name", "message"),
    [("brekout", "no Atari game named 'brekout': did you mean 'Breakout'?"), ("zzzzzz", "such as 'Breakout'")],
)
def test_unknown_games(name, message, tmp_path):
    with pytest.raises(SettingError, match=message.replace("?", r"\?")):
        record(name, 1, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seed": -1}, "seed -1 is not between"),
        ({"seed": 2**31}, "seed 2147483648 is not between"),
        ({"frame_skip": 0}, "leaves no timestep"),
        ({"max_frames": 3}, "frame skip 4 with at most 3 frames leaves no timestep"),
        ({"sticky": 1.0}, r"sticky actions is 1\.0"),
        ({"sticky": float("nan")}, "sticky actions is nan"),
        ({"shards": 2}, "1 episodes cannot be spread over 2 shards"),
        ({"shards": 0}, "1 episodes cannot be spread over 0 shards"),
    ],
)
def test_settings_that_cannot_be_used(settings, message, tmp_path):
    with pytest.raises(SettingError, match=message):
        record("pong", 1, tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    for path in SAMPLE.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    before = _digests(tmp_path)
    with pytest.raises(OutputError, match="nothing of this recorder's"):
        record("breakout", 1, tmp_path, overwrite=True)
    assert _digests(tmp_path) == before


def test_a_finished_recording_is_kept_unless_told_otherwise(tmp_path):
    record("pong", 1, tmp_path / "out", max_frames=40)
    before = _digests(tmp_path / "out")
    with pytest.raises(OutputError, match="already holds a finished recording"):
        record("pong", 1, tmp_path / "out", seed=9, max_frames=40)
    assert _digests(tmp_path / "out") == before
    record("pong", 1, tmp_path / "out", seed=9, max_frames=40, overwrite=True)
    assert _digests(tmp_path / "out") != before


def test_ale_py_is_optional(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ale_py", None)
    with pytest.raises(MissingPackageError, match=r'pip install "gato-data\[simulators\]"'):
        record("pong", 1, tmp_path / "out")


def test_a_skip_of_one_screen():
    game = Atari("pong", frame_skip=1)
    game.reset(Chance(0, 0))
    step = game.step(0)
    assert step.reward == 0
    assert step.observation["steps/observation"].shape == (84, 84)
