"""Where episodes begin and end, by the flags `is_first` and `is_last`: every record should hold one episode."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from gato_data.errors import EpisodeError, InputError
from gato_pipelines.containers.container import FIRST, LAST
from gato_pipelines.part_scan import Borders, PartScan
from gato_pipelines.rlds.episode import RldsEpisode, per_timestep
from gato_schemas.account import Note


def check_borders(episode: RldsEpisode) -> None:
    """Check that an episode begins and ends nowhere but at its ends.

    Raises:
        EpisodeError: it does.
    """
    for path, places in ((FIRST, range(1, episode.num_timesteps)), (LAST, range(episode.num_timesteps - 1))):
        flags = per_timestep(episode, path)
        if flags is not None and len(inside := np.flatnonzero(flags[places.start : places.stop])):
            raise EpisodeError(
                f"{path.removeprefix('steps/')} is set in timestep {places[int(inside[0])]} of "
                f"{episode.num_timesteps}: the record holds more than one episode (--ignore-borders reads it as one)"
            )


def borders_of(episode: RldsEpisode) -> Borders:
    """What the flags of one episode say."""
    first, last = per_timestep(episode, FIRST), per_timestep(episode, LAST)
    try:
        check_borders(episode)
        inside = ""
    except EpisodeError as error:
        inside = str(error)
    return Borders(
        episodes=1,
        single=int(episode.num_timesteps == 1),
        begin=int(first is not None and bool(first[:1].any())),
        end=int(last is not None and bool(last[-1:].any())),
        inside=int(bool(inside)),
        reason=inside,
    )


def add_borders(borders: Sequence[Borders]) -> Borders:
    """The sum, with the first reason."""
    names = ("episodes", "single", "begin", "end", "inside")
    sums = {name: sum(getattr(entry, name) for entry in borders) for name in names}
    return Borders(**sums, reason=next((entry.reason for entry in borders if entry.reason), ""))


def border_notes(scans: Sequence[PartScan], *, ignored: bool) -> Iterator[Note]:
    """What is odd about the episodes of each input.

    Args:
        scans: of all parts.
        ignored: whether flags inside an episode are.

    Raises:
        InputError: no record of an input holds an episode.
    """
    by_input: dict[str, list[Borders]] = defaultdict(list)
    for scan in scans:
        by_input[scan.part.input or scan.part.file].append(scan.borders)
    for name, borders in by_input.items():
        yield from _notes(name, add_borders(borders), ignored=ignored)


def _notes(name: str, found: Borders, *, ignored: bool) -> Iterator[Note]:
    if ignored:
        if found.inside:
            yield Note("read", f"episodes of {name} with is_first or is_last inside are read as one each", found.inside)
        return
    if found.inside and found.inside == found.episodes:
        raise InputError(
            f"no record of {name} holds one episode, since {found.reason}: write every episode as a record of its own"
        )
    odd = {"is_first": (found.begin, "begin"), "is_last": (found.end, "end")}
    odd = {flag: pair for flag, pair in odd.items() if 0 < pair[0] < found.episodes}
    if odd and found.single == found.episodes:
        flag, (count, _) = next(iter(odd.items()))
        raise InputError(
            f"the records of {name} hold one timestep each, {count} of {found.episodes} of them with {flag}: write "
            "every episode as one record, or read each timestep as an episode with --ignore-borders"
        )
    for flag, (count, verb) in odd.items():
        text = f"episodes of {name} {verb} without {flag}, which the others have: they may be pieces of episodes"
        yield Note("read", text, found.episodes - count)
