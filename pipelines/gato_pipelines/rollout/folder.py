"""The folder of a rollout: who played what, every episode, the scores and their plot."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from gato_data.errors import OutputError
from gato_data.files import refuse_links, write_durably
from gato_data.report.encode import as_json
from gato_data.settings import deciding
from gato_pipelines.rollout.plot import plot_scores
from gato_pipelines.rollout.results import EpisodeResult, ResultFile
from gato_pipelines.rollout.settings import RolloutSettings

HEADER, SCORES, PLOT = "rollout.json", "scores.json", "scores.png"
_VERSION = 1


class RolloutHeader(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What decides the results of a rollout, but for how many episodes there are."""

    version: int = _VERSION
    policy: dict[str, Any]
    settings: dict[str, Any]
    environments: dict[str, str]

    @classmethod
    def of(
        cls, policy: Mapping[str, Any], settings: RolloutSettings, environments: Mapping[str, str]
    ) -> "RolloutHeader":
        """A header of what is wanted."""
        return cls(policy=dict(policy), settings=deciding(settings), environments=dict(environments))


class RolloutFolder:
    """Results that are kept in a folder, or, without one, in memory alone.

    Attributes:
        results: of all episodes so far.
    """

    def __init__(self, out: Path | None, header: RolloutHeader) -> None:
        """Begin a folder, or go on with one.

        Raises:
            OutputError: it holds something else, or a rollout of something else, or is played into now.
        """
        self._out = out
        self._file: ResultFile | None = None
        self.results: list[EpisodeResult] = []
        if out is None:
            return
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{out} cannot be made ({error.strerror})") from error
        refuse_links(out)
        is_new = not (out / HEADER).exists()
        if is_new and any(out.iterdir()):
            raise OutputError(f"{out} is not empty, and no rollout: give a new or empty folder")
        content = msgspec.json.format(msgspec.json.encode(header), indent=2) + b"\n"
        if is_new:
            write_durably(out / HEADER, content)
        self._file = ResultFile(out)
        self.results = self._file.found
        try:
            if self.results:
                _compare(out / HEADER, header)
            elif not is_new:  # nothing came of what was begun there
                write_durably(out / HEADER, content)
        except BaseException:
            self._file.close()
            raise

    def add(self, result: EpisodeResult) -> None:
        """Keep a result."""
        if self._file is None:
            self.results.append(result)
            return
        self._file.add(result)
        self.results.append(result)

    def finish(self, rollout: Any) -> None:
        """Write the scores and their plot."""
        if self._out is not None:
            write_durably(self._out / SCORES, as_json(rollout).encode() + b"\n")
            if not plot_scores(rollout.scores, self._out / PLOT):
                (self._out / PLOT).unlink(missing_ok=True)  # of fewer episodes, which gave a score

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()


def _compare(path: Path, wanted: RolloutHeader) -> None:
    """Refuse to go on with another rollout than the one that is there.

    Raises:
        OutputError: it is another one, or damaged.
    """
    try:
        found = msgspec.json.decode(path.read_bytes(), type=RolloutHeader)
    except (OSError, msgspec.MsgspecError) as error:
        raise OutputError(f"{path} cannot be read ({error}): give another folder") from error
    for part in ("version", "policy", "settings", "environments"):
        before, now = (json.loads(msgspec.json.encode(getattr(header, part))) for header in (found, wanted))
        if before == now:
            continue
        key = next((k for k in {**now, **before} if before.get(k) != now.get(k)), "") if part != "version" else ""
        told = (before.get(key), now.get(key)) if key else (before, now)
        raise OutputError(
            f"{path.parent} is of another rollout ({part.rstrip('s')}{' ' + key if key else ''} {told[0]!r}, here "
            f"{told[1]!r}): give another folder"
        )
