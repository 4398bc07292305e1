"""Conversations about pictures: turns as LLaVA, ShareGPT, chat templates and the Cauldron write them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from gato_data.errors import EpisodeError, SettingError
from gato_pipelines.documents.pages import PageImage
from gato_pipelines.documents.rows.pictures import picture_of
from gato_pipelines.documents.rows.row import TURN_MEMBERS, text_of
from gato_schemas.episode import Text

MARK = "<image>"
"""Where a picture stands in a text."""
_USER, _ASSISTANT, _SYSTEM = "user", "assistant", "system"
_ROLES = {
    **dict.fromkeys(("user", "human", "question", "prompt"), _USER),
    **dict.fromkeys(("assistant", "gpt", "model", "chatgpt", "bot", "answer", "response"), _ASSISTANT),
    "system": _SYSTEM,
}
_ALONE = ("from", "role")
"""Members that say who speaks, where an entry is one turn; else it is a question and its answer."""


class Turn(NamedTuple):
    """What one says.

    Attributes:
        role: user, assistant or system.
        text: with a mark where a picture stands.
        pictures: that stand in the turn itself, None for each mark of one that the row holds elsewhere.
    """

    role: str
    text: str
    pictures: tuple[PageImage | None, ...]


@dataclass(frozen=True, slots=True)
class Style:
    """How turns are written.

    Attributes:
        template: of a turn, with {text} once, and {role} or {ROLE} for who says it.
        only_answers: whether nothing but what the assistant says is trained on.
    """

    template: str
    only_answers: bool

    def __post_init__(self) -> None:
        if self.template.count("{text}") != 1:
            raise SettingError(
                f"the turn {self.template!r} needs {{text}} once, and {{role}} or {{ROLE}} for who says it"
            )

    def around(self, role: str) -> tuple[str, str]:
        """What stands before and behind the text of a turn."""
        before, _, behind = self.template.partition("{text}")
        named = [part.replace("{role}", role).replace("{ROLE}", role.upper()) for part in (before, behind)]
        return named[0], named[1]


def turns_of(value: Any, file: str) -> list[Turn]:
    """The turns in a value of a column.

    Raises:
        EpisodeError: it holds none, or somebody else speaks.
    """
    if isinstance(value, dict):  # lists of members instead of a list of entries
        lists = [each if isinstance(each, list) else [] for each in value.values()]
        if len({*map(len, lists)}) > 1:
            raise EpisodeError("the members of the conversation differ in length", stage="read")
        value = [dict(zip(value, entry, strict=True)) for entry in zip(*lists, strict=True)]
    entries = [entry for entry in value if entry is not None] if isinstance(value, list) else []
    if not entries:
        raise EpisodeError("the conversation is empty", stage="read")
    return [turn for entry in entries for turn in _turns(entry, file)]


def _turns(entry: Any, file: str) -> Iterator[Turn]:
    members = next((p for p in TURN_MEMBERS if isinstance(entry, dict) and {*p} <= {*entry}), None)
    if members is None:
        raise EpisodeError("a turn says neither who speaks nor what is asked and answered", stage="read")
    first, second = members
    said: tuple[tuple[str, Any], ...]
    if first in _ALONE:
        said = ((text_of(entry[first], "role"), entry[second]),)
    else:
        said = ((_ROLES[first if first in _ROLES else _USER], entry[first]), (_ASSISTANT, entry[second]))
    for name, content in said:
        if (role := _ROLES.get(name.lower())) is None:
            raise EpisodeError(f"{name[:40]!r} speaks: user, assistant and system are known", stage="read")
        text, pictures = _content(content, file)
        if text:
            yield Turn(role, text, pictures)
        elif role != _SYSTEM:
            raise EpisodeError("a turn of the conversation is empty", stage="read")


def _content(content: Any, file: str) -> tuple[str, tuple[PageImage | None, ...]]:
    """A text, or the pieces of one, with a mark for each picture."""
    if not isinstance(content, list):
        text = text_of(content)
        return text, (None,) * text.count(MARK)
    texts: list[str] = []
    pictures: list[PageImage | None] = []
    for piece in content:
        kind = text_of(piece.get("type")) if isinstance(piece, dict) else ""
        if kind in ("image", "image_url"):
            texts.append(MARK)
            pictures.append(_own_picture(piece, file))
        elif kind == "text":
            texts.append(text_of(piece.get("text")))
            pictures += [None] * texts[-1].count(MARK)
        else:
            raise EpisodeError(f"a turn holds {kind[:40]!r}: text and image are known", stage="read")
    return "\n".join(filter(None, texts)), tuple(pictures)


def _own_picture(piece: Mapping[str, Any], file: str) -> PageImage | None:
    """The picture that a piece names itself, None where it is one of the row's."""
    named = next((piece[name] for name in ("image", "path", "url", "image_url") if piece.get(name) is not None), None)
    if isinstance(named, dict) and "url" in named:
        named = named["url"]
    return picture_of(named, file)


def write_turns(turns: Sequence[Turn], pictures: Sequence[PageImage], style: Style) -> list[Text | PageImage]:
    """Texts and pictures in order, each answer the end of a text.

    Pictures that are marked nowhere stand before the first turn; those that begin what the user says stand before it.

    Raises:
        EpisodeError: marks and pictures do not go together, or nobody answers.
    """
    marks = sum(picture is None for turn in turns for picture in turn.pictures)
    if marks > len(pictures):
        raise EpisodeError(f"the conversation has more {MARK} than pictures", stage="read")
    if 0 < marks < len(pictures):
        raise EpisodeError(f"the conversation has more pictures than {MARK}", stage="read")
    if not any(turn.role == _ASSISTANT for turn in turns):
        raise EpisodeError("nobody answers in the conversation", stage="read")
    written = _Written(style, [] if marks else list(pictures))
    left = iter(pictures)
    for turn in turns:
        written.add(turn, [picture or next(left) for picture in turn.pictures])
    return written.end()


class _Written:
    """A conversation as far as it is written."""

    def __init__(self, style: Style, parts: list[Text | PageImage]) -> None:
        self._style, self.parts = style, parts
        self._untrained, self._trained = "", ""

    def add(self, turn: Turn, pictures: Sequence[PageImage]) -> None:
        """Write one turn."""
        before, behind = self._style.around(turn.role)
        pieces, shown = turn.text.split(MARK), list(pictures)
        while turn.role == _USER and len(pieces) > 1 and not pieces[0].strip():
            self._show(shown.pop(0))
            pieces.pop(0)
        parted = self._untrained[-1:].isspace() or before[:1].isspace()
        apart = " " if self._untrained and not parted else ""
        self._untrained += apart + before
        for number, piece in enumerate(pieces):
            if number:
                self._show(shown[number - 1])
            said = piece.strip() + (behind if number == len(pieces) - 1 else "")
            if turn.role == _ASSISTANT:
                self._trained += said
            else:
                self._untrained += said
        if turn.role == _ASSISTANT:
            self._flush(ends=True)

    def end(self) -> list[Text | PageImage]:
        """All of it, what nobody answers included."""
        self._flush(ends=False)
        return self.parts

    def _show(self, picture: PageImage) -> None:
        self._flush(ends=False)
        self.parts.append(picture)

    def _flush(self, *, ends: bool) -> None:
        before, text = self._untrained, self._untrained + self._trained
        if text.strip():
            alone = self._style.only_answers and not self._trained
            skipped = len(before) if self._style.only_answers and self._trained else 0
            self.parts.append(Text(text, supervised=not alone, unsupervised=skipped, ends=ends))
        self._untrained = self._trained = ""
