"""A rollout: everyone plays every task, on the same seeds."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gato_data.errors import SettingError
from gato_pipelines.environments.chance import Chance
from gato_pipelines.environments.environment import Environment
from gato_pipelines.environments.play import Actor, PlayedEpisode, play_episodes
from gato_pipelines.environments.players import Players
from gato_pipelines.rollout.film import Film, check_gif, film_episodes, write_gif
from gato_pipelines.rollout.folder import RolloutFolder, RolloutHeader
from gato_pipelines.rollout.holding import check_hold
from gato_pipelines.rollout.policy import PLAYED, Policy, PolicyActor
from gato_pipelines.rollout.recording import check_places, folder_of, record_episodes
from gato_pipelines.rollout.results import Arm, EpisodeResult, of_arm, result_of
from gato_pipelines.rollout.scores import Scores, TaskScore, all_scores, task_score
from gato_pipelines.rollout.settings import RolloutSettings
from gato_pipelines.rollout.subjects import Subject, resampling_note
from gato_schemas.dataset import EnvironmentInfo

Progress = Callable[[str, Arm, int, int], None]
"""Told after every episode: the task, who plays, and how many episodes of how many are done."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """What came of a rollout.

    Attributes:
        policy: what was played with: its source, step and digest.
        settings: how it was.
        environments: in what, by task.
        scores: of tasks, families and all.
        episodes: every episode's result.
        notes: what a reader has to know, a sentence each.
        held_out: how often the policy was right on held-out actions; None where that is not known.
    """

    policy: dict[str, Any]
    settings: dict[str, Any]
    environments: dict[str, EnvironmentInfo]
    scores: Scores
    episodes: list[EpisodeResult]
    notes: list[str]
    held_out: dict[str, Any] | None = None


@dataclass(slots=True)
class _Play:
    """A rollout while it is played."""

    policy: Policy
    identity: dict[str, Any]
    settings: RolloutSettings
    folder: RolloutFolder
    record: Path | None
    gif: Path | None
    held_out: dict[str, Any] | None
    progress: Progress | None
    several: bool

    def place(self, subject: Subject) -> Path:
        """Where the episodes of a subject are recorded."""
        assert self.record is not None, "nothing is recorded otherwise"
        return self.record / folder_of(subject.task) if self.several else self.record


def rollout(
    policy: Policy,
    identity: dict[str, Any],
    subjects: Sequence[Subject],
    settings: RolloutSettings,
    *,
    out: Path | None = None,
    record: Path | None = None,
    gif: Path | None = None,
    held_out: dict[str, Any] | None = None,
    progress: Progress | None = None,
) -> Rollout:
    """Play every subject at random, with its expert if it has one, and with the policy.

    Episode number n of a task is the same for all of them, for any number of environments and of
    episodes, and in no recording.

    Args:
        policy: who is looked at.
        identity: what tells it from others, as JSON.
        subjects: what is played.
        settings: how.
        out: folder of the results; one that is there already is continued.
        record: folder for the policy's episodes as RLDS; of several tasks each has a folder in it.
        gif: file for a few of the policy's episodes.
        held_out: how often the policy was right on held-out actions, for the result; None where that is not known.
        progress: see `Progress`.

    Raises:
        SettingError: there is nothing to play, or a value cannot be used.
        OutputError: a folder holds something else.
        EpisodeError: what an environment shows is not what the policy takes.
    """
    if not subjects:
        raise SettingError("there is no task to play")
    check_hold([each.resampling for each in subjects], hold=settings.hold)
    header = RolloutHeader.of(identity, settings, {each.task: each.described for each in subjects})
    with RolloutFolder(out, header) as folder:
        play = _Play(policy, identity, settings, folder, record, gif, held_out, progress, len(subjects) > 1)
        return _play_all(play, header, [each.seeded(settings.seed) for each in subjects])


def _play_all(play: _Play, header: RolloutHeader, subjects: Sequence[Subject]) -> Rollout:
    if play.record is not None:
        check_places(play.place(subject) for subject in subjects)
    if play.gif is not None:
        check_gif(play.gif)
    scores: list[TaskScore] = []
    infos: dict[str, EnvironmentInfo] = {}
    films: list[Film] = []
    for subject in subjects:
        score, infos[subject.task], film = _play_subject(play, subject)
        scores.append(score)
        films += film
    if play.gif is not None:
        write_gif(play.gif, films)
    notes = [note for each in subjects for note in _notes(each, infos[each.task], hold=play.settings.hold)]
    settings = {**header.settings, "episodes": play.settings.episodes}
    found = Rollout(play.identity, settings, infos, all_scores(scores), play.folder.results, notes, play.held_out)
    play.folder.finish(found)
    return found


def _play_subject(play: _Play, subject: Subject) -> tuple[TaskScore, EnvironmentInfo, list[Film]]:
    settings = play.settings
    environments = [subject.environment(draws=play.gif is not None)]
    try:
        first = environments[0]
        expert = first.expert_policy if settings.baselines else ""
        wanted = min(settings.environments, settings.episodes)
        environments += [subject.environment() for _ in range(wanted - 1)]
        actor = PolicyActor(play.policy, subject.task, wanted, settings, subject.resampling)
        _play_arm(play, subject, "policy", environments, actor)
        if settings.baselines:
            _play_arm(play, subject, "random", [first], Players("random"))
        if expert:
            _play_arm(play, subject, "expert", [first], Players("expert"))
        film: list[Film] = []
        if play.gif is not None:
            actor = PolicyActor(play.policy, subject.task, 1, settings, subject.resampling)
            film = film_episodes(first, actor, settings)
        score = task_score(
            play.folder.results,
            subject.task,
            subject.family,
            subject.played,
            episodes=settings.episodes,
            expert=expert,
            reference=subject.reference,
        )
        return score, subject.info(first), film
    finally:
        for environment in environments:
            environment.close()


def _play_arm(play: _Play, subject: Subject, arm: Arm, environments: Sequence[Environment], actor: Actor) -> None:
    """Play what is missing of an arm; all of it where it is recorded."""
    total = play.settings.episodes
    done = len(list(of_arm(play.folder.results, subject.task, arm)))
    recorded = play.record if arm == "policy" else None
    if done >= total and recorded is None:
        return

    def results(episodes: Iterator[PlayedEpisode]) -> Iterator[PlayedEpisode]:
        for episode in episodes:
            if episode.number >= done:
                play.folder.add(result_of(subject.task, arm, episode))
            if play.progress:
                play.progress(subject.task, arm, episode.number + 1, total)
            yield episode

    chances = (Chance(play.settings.seed, number, PLAYED) for number in range(0 if recorded else done, total))
    if recorded is None:
        for _ in results(play_episodes(environments, actor, chances)):
            pass
        return
    record_episodes(play.place(subject), subject, environments, actor, chances, results, play.identity, total)


def _notes(subject: Subject, played: EnvironmentInfo, *, hold: bool) -> Iterator[str]:
    """Where what is played in is not what was recorded in, or at another rate."""
    if (asked := subject.resampling) is not None:
        yield resampling_note(subject.task, asked, hold=hold)
    trained = subject.trained
    for name, version in (trained.versions if trained else {}).items():
        if (here := played.versions.get(name)) not in (None, version):
            yield f"task {subject.task} was recorded with {name} {version} and played with {here}"
