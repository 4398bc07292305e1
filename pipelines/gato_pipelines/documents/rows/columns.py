"""Which columns of a table hold pictures, texts, questions and answers, or conversations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from gato_data.closest import closest
from gato_data.errors import InputError, SettingError
from gato_pipelines.documents.rows.row import IMAGE_FILE_NAMES, IMAGE_NAMES, Kind
from gato_pipelines.source import setting

Form: TypeAlias = Literal["captions", "questions", "conversations"]
_TEXTS = ("text", "caption", "captions", "txt", "description", "alt_text", "sentence", "sentences", "long_caption")
_QUESTIONS = ("question", "query", "problem", "instruction")
_ANSWERS = ("answer", "multiple_choice_answer", "answers", "response", "output", "solution")
_TURNS = ("conversations", "messages", "conversation", "texts", "turns", "dialog", "chat", "qa")
_IDS = ("id", "question_id", "image_id", "key", "__key__", "sample_id", "uid")
_ADDRESSES = ("url", "image_url", "img_url", "image_urls", "urls")
_SHOWN = 12


@dataclass(frozen=True)
class RowKeys:
    """Names of columns; those not given are found by their types and usual names."""

    image_key: tuple[str, ...] = setting(
        (), "Columns of pictures or of their files' names, in order; by default found by type and name."
    )
    text_key: str = setting("", "Column of captions; by default found by type and name.", "KEY")
    question_key: str = setting("", "Column of questions; by default found by name.", "KEY")
    answer_key: str = setting(
        "", "Column of answers, of a list of them the most frequent; by default found by name.", "KEY"
    )
    conversations_key: str = setting("", "Column of conversations; by default found by type and name.", "KEY")

    @property
    def form(self) -> Form | None:
        """The form that the names ask for; None where any will do.

        Raises:
            SettingError: they ask for several.
        """
        asked: dict[Form, str] = {
            "captions": self.text_key,
            "questions": self.question_key or self.answer_key,
            "conversations": self.conversations_key,
        }
        found = [form for form, key in asked.items() if key]
        if len(found) > 1:
            raise SettingError(f"a row cannot be both of {found[0]} and of {found[1]}: give the keys of one of them")
        return found[0] if found else None


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns that become tokens.

    Attributes:
        form: what a row is.
        pictures: columns of pictures, in order; none where conversations go without.
        text: of captions, of questions, or of conversations.
        answer: of answers; empty but for questions.
        id: of the row's own name; empty where there is none.
        left_out: the others.
    """

    form: Form
    pictures: tuple[str, ...]
    text: str
    answer: str = ""
    id: str = ""
    left_out: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All that are read."""
        return tuple(dict.fromkeys(filter(None, (*self.pictures, self.text, self.answer, self.id))))

    def __str__(self) -> str:
        """What a row was recognised as."""
        shown = f"pictures in {' and '.join(map(repr, self.pictures))}" if self.pictures else "no pictures"
        if self.form == "questions":
            return f"questions in {self.text!r}, answers in {self.answer!r}, {shown}"
        return f"{self.form} in {self.text!r}, {shown}"


def choose_columns(kinds: Mapping[str, Kind], keys: RowKeys, where: str) -> Columns | None:
    """The columns of a table; None where it holds no pictures with texts, and no conversations.

    Args:
        kinds: what each column holds.
        keys: those that are named.
        where: how errors call the table.

    Raises:
        InputError: a column that is named is not there, or several could be meant.
    """
    for name in (*keys.image_key, keys.text_key, keys.question_key, keys.answer_key, keys.conversations_key):
        if name and name not in kinds:
            raise InputError(_lacking(name, kinds, where))
    texts = _text_columns(kinds, keys, where)
    if texts is None:
        return None
    form, text, answer = texts
    pictures = keys.image_key or _pictures(kinds, where, {text, answer})
    if not pictures and form != "conversations":
        return None
    name = next((name for name in _IDS if name in kinds and name not in (text, answer, *pictures)), "")
    used = {text, answer, name, *pictures}
    used |= {column.partition(".")[0] for column in used}
    left_out = tuple(column for column in kinds if column not in used and column.partition(".")[0] not in used)
    return Columns(form, pictures, text, answer, name, tuple(name for name in left_out if "." not in name))


def _text_columns(kinds: Mapping[str, Kind], keys: RowKeys, where: str) -> tuple[Form, str, str] | None:
    """The form, and the columns of its texts: conversations before questions, these before captions."""
    form = keys.form
    if form in (None, "conversations"):
        turns = [name for name, kind in kinds.items() if kind == "turns"]
        if found := keys.conversations_key or _one(turns, _TURNS, where, "conversations", "--conversations-key"):
            return "conversations", found, ""
    written = [name for name, kind in kinds.items() if kind in ("text", "texts")]
    if form in (None, "questions"):
        question = keys.question_key or _usual(written, _QUESTIONS)
        answer = keys.answer_key or _usual([name for name in written if name != question], _ANSWERS)
        if question and answer:
            return "questions", question, answer
    if form in (None, "captions") and (found := keys.text_key or _caption(written)):
        return "captions", found, ""
    return None


def _caption(written: Sequence[str]) -> str:
    """The column of captions: of a usual name, or the only one, if it is no name or address and nothing is asked."""
    if _usual(written, _QUESTIONS):
        return _usual(written, _TEXTS)  # the other texts may be choices, hints or solutions
    others = [name for name in written if name.lower() not in (*_IDS, *_ADDRESSES, *_QUESTIONS, *_ANSWERS)]
    return _usual(written, _TEXTS) or (others[0] if len(others) == 1 else "")


def _pictures(kinds: Mapping[str, Kind], where: str, used: set[str]) -> tuple[str, ...]:
    found = [name for name, kind in kinds.items() if kind in ("picture", "pictures") and name not in used]
    one = _one(found, (*IMAGE_NAMES, *IMAGE_FILE_NAMES), where, "pictures", "--image-key")
    return (one,) if one else ()


def _one(found: Sequence[str], usual: Sequence[str], where: str, what: str, option: str) -> str:
    """The only one of several columns, or that of the likeliest name; empty where there is none.

    Raises:
        InputError: no usual name tells which one.
    """
    if len(found) < 2:
        return found[0] if found else ""
    if chosen := _usual(found, usual):
        return chosen
    raise InputError(
        f"{where} has several columns of {what} ({', '.join(found[:_SHOWN])}): name those wanted with {option}"
    )


def _usual(names: Sequence[str], usual: Sequence[str]) -> str:
    by_name = {name.rpartition(".")[2].lower(): name for name in reversed(names)}
    return next((by_name[name] for name in usual if name in by_name), "")


def columns_shown(kinds: Mapping[str, Kind]) -> str:
    """The columns of a table and what they hold, for a sentence."""
    shown = [f"{name} ({kind})" for name, kind in kinds.items()]
    return ", ".join(shown[:_SHOWN]) + (", ..." if len(shown) > _SHOWN else "") or "none"


def address_column(kinds: Mapping[str, Kind]) -> str:
    """A column of addresses of pictures; empty where there is none."""
    return next((name for name in kinds if name.lower() in _ADDRESSES), "")


def _lacking(name: str, kinds: Mapping[str, Kind], where: str) -> str:
    close = closest(name, list(kinds))
    hint = f" ({close!r} may be meant)" if close else ""
    return f"{where} has no column {name!r}: it has {columns_shown(kinds)}{hint}"
