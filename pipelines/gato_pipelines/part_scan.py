"""What the planning pass learns of one part: messages that workers leave for the one that decides."""

import msgspec

from gato_data.ranges import ElementRange
from gato_schemas.account import Note
from gato_schemas.dataset import EnvironmentInfo, FinalStep, ImageInfo
from gato_schemas.episode import Field
from gato_schemas.index import Part


class Ends(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the final timesteps of episodes look like.

    Attributes:
        episodes: those seen.
        zero: those with an all-zero final action and reward.
        terminal, zero_terminal: the same numbers of episodes that end in a terminal state.
        rotated: those whose final action and reward are those of the first timestep, and not of the
            second.
        ones, twos: those of one and of two timesteps.
        terminal_ones, terminal_twos: the same numbers of episodes that end in a terminal state.
    """

    episodes: int = 0
    zero: int = 0
    terminal: int = 0
    zero_terminal: int = 0
    rotated: int = 0
    ones: int = 0
    twos: int = 0
    terminal_ones: int = 0
    terminal_twos: int = 0


class Borders(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the flags of timesteps say of where episodes begin and end.

    Attributes:
        episodes: those seen.
        single: those of one timestep.
        begin, end: those whose first timestep is flagged as such, and whose last one is.
        inside: those with such a flag in another timestep.
        reason: which one, of the first of these.
    """

    episodes: int = 0
    single: int = 0
    begin: int = 0
    end: int = 0
    inside: int = 0
    reason: str = ""


class FieldRanges(msgspec.Struct, frozen=True, array_like=True):
    """The ranges of the elements of one field, by where in an episode the values are."""

    body: list[ElementRange]
    terminal: list[ElementRange]
    truncated: list[ElementRange]


class Outside(msgspec.Struct, frozen=True, array_like=True):
    """How many values of a field there are, how many outside its range, and how far all reach."""

    values: int = 0
    outside: int = 0
    low: float | None = None
    high: float | None = None


class Trouble(msgspec.Struct, frozen=True, array_like=True):
    """Why episodes cannot be used because of one field, in one of them, and how many of those looked at."""

    reason: str
    episodes: int


class PartScan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the planning pass found in one part, without decoding an image.

    Attributes:
        part: with its number of episodes filled in.
        observations: the task's fields, without the ranges that need all parts; None for documents.
        actions: likewise.
        agents: names.
        left_out: the other fields of a timestep, and why they are no tokens.
        ends: what final timesteps look like.
        final_step: what the file format says of them, if it does.
        returns: of every episode, if a filter needs them; None where it cannot be told.
        successes: whether every episode succeeded, where a flag says it.
        order: the dataset's own numbers of every episode, in the order of collection; empty where
            it has none.
        ranges: of continuous fields if wanted, by role and field: all timesteps but the last, and
            the last ones of episodes that end in a terminal state and of the others.
        outside: of those with a range that is known beforehand, of the same groups.
        idle: how many timesteps are left out since nothing moves.
        troubles: fields that cost episodes, among the first ones of the part.
        unreadable: how many episodes cannot be read, as far as that is seen without decoding an
            image.
        reason: why the first of them cannot.
        borders: what flags say of where episodes begin and end.
        lengths: of sequences whose length the dataset does not declare, the shortest and the
            longest, by role and field.
        images: the raw image of every image field.
        action_values: how many values discrete action fields have, where the dataset declares it.
        environment: where the episodes were played, if the part says it.
        texts: names of texts that are not observed although nobody asked for that.
        notes: what a user should know of how the part is read.
        hashes: uint64 of every document, little-endian, if duplicates are to be left out; 0 for
            one that cannot be read.
        size: bytes of the part's files when they were scanned.
        decodes_video: whether frames of videos become tokens.
    """

    part: Part
    observations: list[Field] | None = None
    actions: list[Field] | None = None
    agents: list[str] = []
    left_out: dict[str, str] = {}
    ends: Ends = Ends()
    final_step: FinalStep | None = None
    returns: list[float | None] = []
    successes: list[bool] = []
    order: list[list[int]] = []
    ranges: dict[str, FieldRanges] = {}
    outside: dict[str, tuple[Outside, Outside, Outside]] = {}
    idle: int = 0
    troubles: dict[str, Trouble] = {}
    unreadable: int = 0
    reason: str = ""
    borders: Borders = Borders()
    lengths: dict[str, list[int]] = {}
    images: dict[str, ImageInfo] = {}
    action_values: dict[str, int] = {}
    environment: EnvironmentInfo | None = None
    texts: list[str] = []
    notes: list[Note] = []
    hashes: bytes = b""
    size: int | None = None
    decodes_video: bool = False
