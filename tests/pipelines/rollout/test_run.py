"""Rollouts of a policy that is written down, in a corridor."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gato_data.errors import EpisodeError, OutputError
from gato_pipelines.recorders.gymnasium import Recorder
from gato_pipelines.rlds.decode import EpisodeDecoder
from gato_pipelines.rlds.directory import open_directory
from gato_pipelines.rlds.episode import RldsEpisode
from gato_pipelines.rollout.folder import HEADER, PLOT, SCORES
from gato_pipelines.rollout.results import EPISODES
from gato_pipelines.rollout.run import Rollout, rollout
from gato_pipelines.rollout.settings import RolloutSettings
from gato_pipelines.rollout.subjects import Subject, subject_named
from gato_schemas.selection import Resampling
from gato_schemas.tfrecord import read_records
from tests.pipelines.recorders.recorded import SIMULATORS, need
from tests.rlds_inputs import digests, ingest

need("gymnasium", SIMULATORS)

from tests.pipelines.rollout import corridor  # noqa: E402

IDENTITY = {"source": "step-00000030", "step": 30, "digest": "00"}


def subject(*, expert: bool = True) -> Subject:
    return subject_named("corridor", corridor.NAME, {}, expert=corridor.EXPERT if expert else "")


def play(policy: Any = None, *, expert: bool = True, settings: dict[str, Any] | None = None, **places: Any) -> Rollout:
    chosen = RolloutSettings(**{"episodes": 24, **(settings or {})})
    return rollout(policy or corridor.Walker(), IDENTITY, [subject(expert=expert)], chosen, **places)


def untimed(found: Rollout) -> list[tuple[Any, ...]]:
    return [(e.actor, e.episode, e.episode_return, e.length, e.success) for e in found.episodes]


def test_everyone_plays_the_same_episodes() -> None:
    found = play()
    (score,) = found.scores.tasks
    assert {arm: each.episodes for arm, each in score.arms.items()} == {"random": 24, "expert": 24, "policy": 24}
    assert score.arms["expert"].mean_return.value == 1
    chance, policy = score.arms["random"].mean_return.value, score.arms["policy"].mean_return.value
    assert 0.1 < chance < 0.9
    assert chance < policy <= 1
    assert score.normalised is not None
    assert score.normalised.value == pytest.approx((policy - chance) / (1 - chance))
    assert score.arms["expert"].success is not None
    assert (score.arms["expert"].success.value, score.expert) == (1, f"the player {corridor.EXPERT}")
    assert found.scores.overall is not None
    assert found.scores.overall.normalised == score.normalised.value


@pytest.mark.parametrize("environments", [4, 16])
def test_results_do_not_depend_on_the_number_of_environments(environments: int) -> None:
    alone, policy = corridor.Walker(), corridor.Walker()
    one = untimed(play(alone))
    many = untimed(play(policy, settings={"environments": environments}))
    assert one == many
    assert policy.calls < alone.calls
    assert sorted(seed for _, seed in policy.started) == sorted(seed for _, seed in alone.started)


class Doubtful(corridor.Walker):
    """Notes where it is asked."""

    def __init__(self) -> None:
        super().__init__(0.5)
        self.asked: list[float] = []

    def _act(self, at: int, seen: Mapping[str, Any]) -> dict[str, Any]:
        self.asked.append(float(seen["place"][0]))
        return super()._act(at, seen)


def seldom(policy: corridor.Walker, **settings: Any) -> list[tuple[Any, ...]]:
    """What is played of a policy that learned from one timestep for every two."""
    given = replace(subject(), resampling=Resampling(every=2))
    chosen = RolloutSettings(**{"episodes": 24, "baselines": False, **settings})
    found = rollout(policy, IDENTITY, [given], chosen)
    (note,) = found.notes
    assert ("the policy decides in one of 2 timesteps, and each action is done as often" in note) is chosen.hold
    return untimed(found)


def test_an_action_is_done_as_often_as_it_was_learned_for(tmp_path: Path) -> None:
    given, policy = replace(subject(), resampling=Resampling(every=2)), Doubtful()
    settings = RolloutSettings(episodes=24, baselines=False)
    rollout(policy, IDENTITY, [given], settings, record=tmp_path / "played")
    places, lengths = [], []
    for episode in _episodes(tmp_path / "played"):
        actions = episode.tensors["steps/action"][:-1]  # of all but the final observation
        lengths.append(len(actions))
        for at in range(0, len(actions) - 1, 2):
            assert actions[at] == actions[at + 1]
        places += episode.tensors["steps/observation/place"][:-1:2, 0].tolist()
    assert policy.asked == places, "it sees every second timestep, from the first of each episode on"
    assert any(length % 2 for length in lengths), "an episode ends in the middle of an action, too"


@pytest.mark.parametrize("environments", [4, 16])
def test_held_actions_do_not_depend_on_the_number_of_environments(environments: int) -> None:
    one, many = Doubtful(), Doubtful()
    assert seldom(one) == seldom(many, environments=environments)
    assert sorted(one.asked) == sorted(many.asked)


def test_an_environment_may_hold_actions_by_itself() -> None:
    policy = Doubtful()
    played = seldom(policy, hold=False)
    assert len(policy.asked) == sum(length for _, _, _, length, _ in played)


def test_another_seed_plays_other_episodes() -> None:
    assert untimed(play()) == untimed(play())
    assert untimed(play()) != untimed(play(settings={"seed": 1}))


def test_more_episodes_begin_with_the_same_ones() -> None:
    few, many = play(settings={"episodes": 5}), play()
    assert [e for e in untimed(many) if e[1] < 5] == untimed(few)


def test_no_recording_has_the_episodes_of_a_rollout(tmp_path: Path) -> None:
    Recorder(corridor.NAME, expert=corridor.EXPERT).record(12, tmp_path / "recorded")
    play(corridor.Walker(1.0), settings={"episodes": 12}, record=tmp_path / "played")
    recorded, played = ([_start(each) for each in _episodes(tmp_path / name)] for name in ("recorded", "played"))
    assert len(recorded) == len(played) == 12
    assert recorded != played


def _episodes(folder: Path) -> list[RldsEpisode]:
    directory = open_directory(folder)
    decoder = EpisodeDecoder(directory.features.leaves)
    return [decoder.decode(raw.data) for shard in directory.split("train").shards for raw in read_records(shard.path)]


def _start(episode: RldsEpisode) -> tuple[float, int]:
    return float(episode.tensors["steps/observation/place"][0, 0]), int(episode.tensors["steps/observation/goal"][0])


def test_without_baselines_the_policy_alone_plays() -> None:
    found = play(settings={"baselines": False})
    assert list(found.scores.tasks[0].arms) == ["policy"]
    assert (found.scores.tasks[0].normalised, found.scores.tasks[0].why) == (None, "nobody else played")


def test_without_an_expert_there_is_no_score() -> None:
    (score,) = play(expert=False).scores.tasks
    assert (list(score.arms), score.normalised, score.why) == (["random", "policy"], None, "no expert is known")


def test_a_rollout_that_was_stopped_goes_on(tmp_path: Path) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    expected = untimed(play(out=whole))

    class Stops(corridor.Walker):
        def restart(self, index: int, seed: int) -> None:
            if len(self.started) == 9:
                raise KeyboardInterrupt
            super().restart(index, seed)

    with pytest.raises(KeyboardInterrupt):
        play(Stops(), out=stopped)
    lines = (stopped / EPISODES).read_bytes().splitlines(keepends=True)
    assert len(lines) == 9
    (stopped / EPISODES).write_bytes(b"".join(lines)[:-5])  # the last line was not finished
    policy = corridor.Walker()
    assert untimed(play(policy, out=stopped)) == expected
    assert len(policy.started) == 24 - 8
    assert untimed(play(policy, out=stopped)) == expected
    assert len(policy.started) == 24 - 8
    assert len(untimed(play(policy, settings={"episodes": 30}, out=stopped))) == 90
    assert play(settings={"episodes": 10}, out=stopped).scores.tasks[0].arms["policy"].episodes == 10


def test_what_is_in_the_folder(tmp_path: Path) -> None:
    found = play(out=tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted([EPISODES, HEADER, PLOT, SCORES])
    scores = json.loads((tmp_path / "out" / SCORES).read_text())
    assert scores["policy"] == IDENTITY
    assert scores["settings"]["temperature"] == 1.0
    assert scores["environments"]["corridor"]["id"] == corridor.NAME
    assert "gymnasium" in scores["environments"]["corridor"]["versions"]
    assert scores["scores"]["tasks"][0]["normalised"]["value"] == found.scores.tasks[0].normalised.value
    assert len(scores["episodes"]) == 72
    assert (tmp_path / "out" / PLOT).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("settings", "identity", "message"),
    [
        ({"temperature": 0.5}, IDENTITY, r"of another rollout \(setting temperature 1\.0, here 0\.5\): give another"),
        ({}, {**IDENTITY, "digest": "11"}, r"of another rollout \(policy digest '00', here '11'\)"),
    ],
)
def test_another_rollout_is_not_mixed_with_it(
    settings: dict[str, Any], identity: dict[str, Any], message: str, tmp_path: Path
) -> None:
    play(settings={"episodes": 2}, out=tmp_path)
    with pytest.raises(OutputError, match=message):
        rollout(corridor.Walker(), identity, [subject()], RolloutSettings(episodes=2, **settings), out=tmp_path)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(OutputError, match="is not empty, and no rollout"):
        play(out=tmp_path)
    (tmp_path / "thesis.tex").unlink()
    play(settings={"episodes": 1}, out=tmp_path)
    (tmp_path / EPISODES).write_text('{"task":"corridor","actor":"god"}\n')
    with pytest.raises(OutputError, match="holds something else than results"):
        play(settings={"episodes": 1}, out=tmp_path)


def test_the_episodes_of_a_policy_become_tokens_like_any_others(tmp_path: Path) -> None:
    found = play(record=tmp_path / "rlds", out=tmp_path / "out")
    assert untimed(found) == untimed(play())
    metadata = json.loads((tmp_path / "rlds" / "metadata.json").read_text())
    assert metadata["policy"] == "a Gato policy (step-00000030, step 30)"
    manifest = ingest(tmp_path / "rlds", tmp_path / "data", source="rlds").manifest
    steps = sum(e.length for e in found.episodes if e.actor == "policy")
    assert manifest.splits["train"].totals.timesteps == steps
    policy = corridor.Walker()
    with pytest.raises(OutputError, match="already holds a finished recording: give another folder"):
        play(policy, record=tmp_path / "rlds")
    assert policy.calls == 0
    play(settings={"environments": 4}, record=tmp_path / "again")
    assert digests(tmp_path / "again") == digests(tmp_path / "rlds")


def test_pictures_of_the_first_episodes(tmp_path: Path) -> None:
    from PIL import Image

    found = play(gif=tmp_path / "play.gif")
    with Image.open(tmp_path / "play.gif") as picture:
        lengths = [e.length for e in found.episodes if e.actor == "policy"][:3]
        assert picture.n_frames == sum(lengths) + 3
        assert picture.size == (224, 32 + 36)


@pytest.mark.parametrize(
    ("action", "message"),
    [
        ({"turn": 1, "walk": 0}, "takes the action 'action', task corridor has turn, walk"),
        ({"action": 1, "jump": 0}, f"task corridor has the action 'jump', which {corridor.NAME} does not take"),
        ({"action": 0.9}, r"action 0\.9 came, the environment takes Discrete\(2\)"),
        ({"action": 5}, r"action 5 came, the environment takes Discrete\(2\)"),
    ],
)
def test_an_action_that_the_environment_does_not_take(action: dict[str, int], message: str) -> None:
    class Wrong(corridor.Walker):
        def _act(self, at: int, seen: Any) -> dict[str, Any]:
            return action

    with pytest.raises(EpisodeError, match=message):
        play(Wrong())


def test_progress_is_told_after_every_episode() -> None:
    told: list[tuple[str, str, int, int]] = []
    play(settings={"episodes": 2}, progress=lambda *what: told.append(what))
    assert told == [("corridor", arm, done, 2) for arm in ("policy", "random", "expert") for done in (1, 2)]
