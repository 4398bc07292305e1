"""Tasks and accounts of several datasets as those of one; what does not go together is refused."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from gato_data.errors import MixtureError
from gato_data.ranges import range_text
from gato_schemas.account import Note, merge_notes
from gato_schemas.dataset import EnvironmentInfo, FinalStep, ImageInfo, TaskInfo
from gato_schemas.episode import Field
from gato_schemas.selection import EpisodeFilter


def joined_task(name: str, one: TaskInfo, other: TaskInfo, places: tuple[str, str]) -> TaskInfo:
    """A task that two datasets have, without counts and scores.

    Args:
        name: of the task.
        one, other: what they say of it.
        places: what the two are called in errors.

    Raises:
        MixtureError: it has other fields, ranges, images or final timesteps in one than in the other.
    """
    _check_fields(name, one, other, places)
    if one.resampling != other.resampling:
        raise MixtureError(
            f"timesteps of task {name!r} are other ones of their recording in {places[0]} than in {places[1]}: ingest "
            "one of them again with the other's --every, --every-actions, --drop-idle and --held"
        )
    values = {key: max(one.action_values.get(key, 1), other.action_values.get(key, 1)) for key in _keys(one, other)}
    return TaskInfo(
        observations=one.observations,
        actions=one.actions,
        final_step=_final_step(name, one.final_step, other.final_step, places),
        filter=_filter(one.filter, other.filter),
        left_out={**one.left_out, **other.left_out},
        images={field: _image(name, field, one, other, places) for field in one.images},
        action_values=values,
        resampling=one.resampling,
        environment=common_environment([one.environment, other.environment]),
    )


def _keys(one: TaskInfo, other: TaskInfo) -> list[str]:
    return list(dict.fromkeys([*one.action_values, *other.action_values]))


def _check_fields(name: str, one: TaskInfo, other: TaskInfo, places: tuple[str, str]) -> None:
    """Check that ids mean the same in both; the stored width of a number does not matter."""
    for role, mine, theirs in (
        ("observation", one.observations, other.observations),
        ("action", one.actions, other.actions),
    ):
        if [_shape(field, role) for field in mine] != [_shape(field, role) for field in theirs]:
            raise MixtureError(
                f"task {name!r} has different {role}s in {places[0]} ({_fields(mine)}) and in {places[1]} "
                f"({_fields(theirs)}): ingest one of them again, with the same fields or as another task"
            )
        for field, its in zip(mine, theirs, strict=True):
            if field.binning != its.binning:
                raise MixtureError(
                    f"{role} {field.name!r} of task {name!r} is cut into bins of {field.binning} in {places[0]} and of "
                    f"{its.binning} in {places[1]}: ingest one of them again with the other's --action-bins"
                )
            if (field.low, field.high) != (its.low, its.high):
                raise MixtureError(
                    f"{role} {field.name!r} of task {name!r} has the range {range_text(field) or 'none'} in "
                    f"{places[0]} and {range_text(its) or 'none'} in {places[1]}, so that equal ids mean different "
                    f"values: ingest one of them again with the other's --{role}-range LOW:HIGH"
                )


def _shape(field: Field, role: str) -> Field:
    """All that has to be equal but the range, with which an observation is not companded; an action never is."""
    compand = role == "observation" and (field.compand or field.low is not None)
    return replace(field, dtype="", low=None, high=None, compand=compand, bins=msgspec.UNSET)


def _fields(fields: Sequence[Field]) -> str:
    return ", ".join(f"{field.name} {field.modality} {'x'.join(map(str, field.shape))}".strip() for field in fields)


def _final_step(name: str, one: FinalStep | None, other: FinalStep | None, places: tuple[str, str]) -> FinalStep | None:
    if one is None or other is None:
        return one or other
    if one.policy != other.policy:
        raise MixtureError(
            f"the final timesteps of task {name!r} have {one.policy!r} in {places[0]} and {other.policy!r} in "
            f"{places[1]}: ingest one of them again with the other's --final-step"
        )
    return FinalStep(one.policy, "; ".join(dict.fromkeys([one.reason, other.reason])))


def _filter(one: EpisodeFilter | None, other: EpisodeFilter | None) -> EpisodeFilter | None:
    """The filter of both where it is the same one; None where only one dataset has it, or each its own threshold."""
    if one is None or other is None:
        return None
    if replaced(one) != replaced(other):
        return None
    return msgspec.structs.replace(one, kept=one.kept + other.kept, dropped=one.dropped + other.dropped)


def replaced(chosen: EpisodeFilter | None) -> EpisodeFilter | None:
    """A filter without what it counted."""
    return chosen and msgspec.structs.replace(chosen, kept=0, dropped=0)


def _image(name: str, field: str, one: TaskInfo, other: TaskInfo, places: tuple[str, str]) -> ImageInfo:
    """The raw images of both; a side in which they differ may be any."""
    mine, theirs = one.images[field], other.images.get(field, one.images[field])
    sides = tuple(a if a == b else None for a, b in zip(mine.shape[:2], theirs.shape[:2], strict=True))
    found = msgspec.structs.replace(mine, shape=(*sides, mine.shape[2]))
    if msgspec.structs.replace(theirs, shape=(*sides, theirs.shape[2])) != found:
        raise MixtureError(
            f"images {field!r} of task {name!r} were fitted in another way in {places[0]} than in {places[1]}: ingest "
            "one of them again with the other's --image-size and --image-fit"
        )
    return found


def common_environment(found: Sequence[EnvironmentInfo | None]) -> EnvironmentInfo | None:
    """What the parts of one task say together: what they agree on, and everybody who played.

    None where they do not agree on what was played, or one does not say it.
    """
    first = found[0] if found else None
    if first is None:
        return None
    known = [each for each in found if each is not None and (each.family, each.id) == (first.family, first.id)]
    if len(known) < len(found):
        return None
    return EnvironmentInfo(
        family=first.family,
        id=first.id,
        options=_agreed([each.options for each in known]),
        versions=_agreed([each.versions for each in known]),
        policy="; ".join(dict.fromkeys(each.policy for each in known if each.policy)),
    )


def _agreed(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {name: value for name, value in found[0].items() if all(each.get(name) == value for each in found)}


def joined_success(parts: Sequence[TaskInfo], episodes: int) -> float | None:
    """The success rate of so many episodes of several datasets; None where one does not know it of all of its own."""
    wins = 0.0
    for task in parts:
        if task.scores is None or task.scores.success_rate is None:
            return None
        won = task.scores.success_rate * task.scores.episodes
        if abs(won - round(won)) > 1e-6 * max(1.0, won):  # parts with dead letters did not count
            return None
        wins += round(won)
    return (
        wins / episodes if episodes and sum(task.scores.episodes for task in parts if task.scores) == episodes else None
    )


def joined_notes(accounts: Sequence[Sequence[Note]]) -> list[Note]:
    """The accounts of several datasets as one; how something was read is said once."""
    said: set[str] = set()
    found = []
    for account in accounts:
        found += [note for note in account if note.kind != "read" or note.text not in said]
        said |= {note.text for note in account if note.kind == "read"}
    return merge_notes(found)


def without_notes(account: Sequence[Note], gone: Sequence[Note]) -> list[Note]:
    """The notes of an account less some that it counts."""
    less: dict[tuple[str, str], int] = {}
    for note in gone:
        less[note.kind, note.text] = less.get((note.kind, note.text), 0) + note.count
    rest = [Note(note.kind, note.text, max(note.count - less.get((note.kind, note.text), 0), 0)) for note in account]
    return [note for note in rest if note.count]
