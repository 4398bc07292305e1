"""The episodes of a rollout, on disk: one JSON line each, in the order in which they were played."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import msgspec

from gato_data.errors import OutputError
from gato_pipelines.environments.play import PlayedEpisode

EPISODES = "episodes.jsonl"
Arm: TypeAlias = Literal["random", "expert", "policy"]
ARMS: tuple[Arm, ...] = ("random", "policy", "expert")
_Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class EpisodeResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What came of one episode.

    Attributes:
        task, actor, episode: what was played, by whom, and which of the episodes of the seed.
        episode_return: sum of its rewards, not clipped; `return` in the file.
        length: actions.
        terminal: whether it ended in a terminal state rather than being cut.
        success: whether the task was solved at any time; None where the environment does not tell.
        gave_up: whether the actor could not go on.
        seconds: that deciding took; of several environments beside each other an equal share.
    """

    task: str
    actor: Arm
    episode: _Count
    episode_return: float = msgspec.field(name="return")
    length: _Count
    terminal: bool
    success: bool | None = None
    gave_up: bool = False
    seconds: float = 0.0


def result_of(task: str, actor: Arm, play: PlayedEpisode) -> EpisodeResult:
    """The result of an episode that was played."""
    return EpisodeResult(
        task=task,
        actor=actor,
        episode=play.number,
        episode_return=float(sum(play.rewards)),
        length=len(play.actions),
        terminal=play.is_terminal,
        success=play.success,
        gave_up=play.gave_up,
        seconds=round(play.seconds, 6),
    )


class ResultFile:
    """Results of a folder, written when they come, so that a rollout that was stopped can go on."""

    def __init__(self, folder: Path) -> None:
        """Open the file of a folder, or begin one; a last line that was not finished is taken away.

        Raises:
            OutputError: it holds something else, cannot be written, or another process writes it.
        """
        self.found: list[EpisodeResult] = []
        path = folder / EPISODES
        try:
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
            self._file = os.fdopen(os.open(path, flags, 0o644), "r+b")
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            whole = 0
            for line in self._file:
                if not line.endswith(b"\n"):
                    break
                self.found.append(msgspec.json.decode(line, type=EpisodeResult))
                whole += len(line)
        except BlockingIOError as error:
            self._file.close()
            raise OutputError(
                f"another rollout is playing into {folder}: wait for it, or give another folder"
            ) from error
        except OSError as error:
            raise OutputError(f"{path} cannot be written ({error.strerror})") from error
        except msgspec.MsgspecError as error:
            self._file.close()
            raise OutputError(f"{path} holds something else than results ({error}): give another folder") from error
        self._file.truncate(whole)
        self._file.seek(whole)

    def add(self, result: EpisodeResult) -> None:
        """Write a result at once."""
        self._file.write(msgspec.json.encode(result) + b"\n")
        self._file.flush()

    def close(self) -> None:
        """Let others write it."""
        self._file.close()


def of_arm(results: "list[EpisodeResult]", task: str, actor: Arm) -> Iterator[EpisodeResult]:
    """The results of one task and actor, in the order of their episodes."""
    found = {result.episode: result for result in results if (result.task, result.actor) == (task, actor)}
    return (found[episode] for episode in sorted(found))
