"""What a folder or a file of pictures and texts is: told by the names of its files and by what its columns hold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal, TypeAlias

from gato_data.errors import EpisodeError, InputError
from gato_data.printable import counted
from gato_pipelines.documents.formats.tars import is_tar
from gato_pipelines.documents.interleaved import is_interleaved
from gato_pipelines.documents.rows.beside import Captioned, captioned, is_picture, texts_beside
from gato_pipelines.documents.rows.columns import Columns, RowKeys, address_column, choose_columns, columns_shown
from gato_pipelines.documents.rows.row import Kind
from gato_pipelines.documents.rows.splits import absent, of_split
from gato_pipelines.documents.rows.table import TableFile, format_of, is_table, open_table
from gato_pipelines.files.find import find_files, root_of
from gato_pipelines.files.passed_over import is_about
from gato_pipelines.files.streams import plain_name
from gato_schemas.account import Note

Other: TypeAlias = Literal["", "pages", "archives", "texts"]
"""What else a folder may hold, which other sources read."""
_ABOUT = ("state.json", "config.json", "croissant.json", "dataset_info.json")
_CACHES = ("cache-", "indices-", "tmp")
"""What files begin with that the Hub's library leaves beside the data."""
_METADATA = "metadata"
_WRITTEN = (".txt", ".md")
_TEXT_KEYS = ("text", "content", "contents", "body", "document", "article", "code", "markdown")
_WANTED = (
    "tables (.parquet, .arrow, .jsonl, .json, .csv, .tsv), pictures with a .txt or .json beside each, .tar archives"
)


@dataclass(frozen=True, slots=True)
class Layout:
    """What of an input is read, and as what.

    Attributes:
        tables: the columns of each table that is read, by the file's name.
        pictures: those beside which a text lies.
        other: what it is instead, where it is neither.
        text_key: the column of its texts, where it holds these alone.
        damaged: tables that cannot be read.
        notes: what was recognised, and what is passed over on purpose.
    """

    tables: Mapping[str, Columns]
    pictures: Sequence[Captioned] = ()
    other: Other = ""
    text_key: str = ""
    damaged: Sequence[str] = ()
    notes: Sequence[Note] = ()


def lay_out(folder: Path, keys: RowKeys, split: str, window: int) -> Layout:
    """What an input is.

    Raises:
        InputError: nothing tells; a split or a column that is named is not there; or several columns could be meant.
    """
    root = root_of(folder)
    names = find_files(folder, lambda name: True, _WANTED)
    tables, passed = _tables(names, folder, split)
    kinds, damaged = _kinds([TableFile(root / name, name, window) for name in tables])
    if not keys.form and (other := _pages(kinds)):
        _check_one_split(folder, passed)
        return other
    found = {name: choose_columns(held, keys, name) for name, held in kinds.items()}
    chosen = {name: columns for name, columns in found.items() if columns is not None}
    if chosen:
        return Layout(chosen, damaged=tuple(damaged), notes=[*_recognised(chosen), *absent(tables), *passed])
    if pictures := captioned(names):
        note = Note("read", "recognised as captions: pictures with a text beside each")
        return Layout({}, pictures, notes=[note, *_alone(names, pictures), *passed])
    if archives := [name for name in names if is_tar(name)]:
        return _archives([root / name for name in archives])
    written = any(plain_name(name).endswith(_WRITTEN) for name in names)
    key = next((key for held in kinds.values() if (key := _text_key(held, keys))), "")
    if (key or (written and not kinds)) and not any(map(is_picture, names)):
        _check_one_split(folder, passed)
        note = Note("read", f"recognised as texts{f' in {key!r}' if key else ''}")
        return Layout({}, other="texts", text_key=key, notes=[note])
    raise _unknown(folder, kinds, damaged, sum(map(is_picture, names)))


def _tables(names: Sequence[str], folder: Path, split: str) -> tuple[list[str], list[Note]]:
    """The tables of the split that is wanted: of an image folder its metadata, else all that describe no picture."""
    if folder.is_file():
        return [name for name in names if is_table(name)], []
    beside = texts_beside(names)
    found = [name for name in names if is_table(name) and name not in beside and not _is_left_over(name)]
    if metadata := [name for name in found if PurePosixPath(plain_name(name)).stem == _METADATA]:
        found = metadata
    return of_split(found, split, str(folder)) if found else ([], [])


def _is_left_over(name: str) -> bool:
    last = PurePosixPath(name).name
    return is_about(name) or last in _ABOUT or (last.endswith(".arrow") and last.startswith(_CACHES))


def _kinds(files: Sequence[TableFile]) -> tuple[dict[str, Mapping[str, Kind]], dict[str, str]]:
    """What the columns of tables hold, of those that have any; and why others cannot be read."""
    kinds, damaged = {}, {}
    for file in files:
        try:
            if found := open_table(file).kinds():
                kinds[file.name] = found
        except EpisodeError as error:
            damaged[file.name] = str(error)
    return kinds, damaged


def _pages(kinds: Mapping[str, Mapping[str, Kind]]) -> Layout | None:
    """Pages with pictures and texts in their order, where a table holds such."""
    for held in kinds.values():
        if (held.get("images"), held.get("texts")) == ("pictures", "texts") or held.get("text_list") == "texts":
            return Layout({}, other="pages", notes=[Note("read", "recognised as pages of pictures and texts in order")])
    return None


def _check_one_split(folder: Path, passed: Sequence[Note]) -> None:
    """Check that the files of no split have to be passed over, which the sources of texts and pages do not do.

    Raises:
        InputError: they have.
    """
    if passed:
        raise InputError(
            f"{folder} holds texts of several splits ({', '.join(note.text for note in passed)}): give the files or "
            "the folder of one of them"
        )


def _archives(paths: Sequence[Path]) -> Layout:
    """Archives of pages, or of pictures with a text each."""
    if is_interleaved(paths[0]):
        return Layout({}, other="pages", notes=[Note("read", "recognised as archives of interleaved pages")])
    note = Note("read", "recognised as captions: archives of pictures, with a .txt or .json for each")
    return Layout({}, other="archives", notes=[note])


def _recognised(chosen: Mapping[str, Columns]) -> list[Note]:
    """What the tables were recognised as, once for each way, and the columns that are no tokens."""
    read, left = [], []
    for name, columns in chosen.items():
        read.append(Note("read", f"recognised as {columns} ({format_of(name)})"))
        if columns.left_out:
            left.append(Note("left-out", f"columns that are no tokens: {', '.join(columns.left_out)}"))
    return [*dict.fromkeys(read), *left]


def _alone(names: Sequence[str], pictures: Sequence[Captioned]) -> list[Note]:
    """How many pictures have no text beside them."""
    count = sum(map(is_picture, names)) - len(pictures)
    return [Note("left-out", "pictures without a text of their own beside them", count)] if count else []


def _text_key(kinds: Mapping[str, Kind], keys: RowKeys) -> str:
    written = [name for name, kind in kinds.items() if kind == "text"]
    return keys.text_key or next((name for name in _TEXT_KEYS if name in written), "")


def _unknown(
    folder: Path, kinds: Mapping[str, Mapping[str, Kind]], damaged: Mapping[str, str], pictures: int
) -> InputError:
    for name, reason in damaged.items():
        return InputError(f"{name} of {folder} cannot be read, and nothing else is recognised: {reason}")
    for name, held in kinds.items():
        if address := address_column(held):
            return InputError(
                f"{name} of {folder} has addresses of pictures ({address}), and nothing is ever fetched: download them "
                "with img2dataset and give what it writes"
            )
        if held:
            return InputError(
                f"{name} of {folder} is not recognised as captions, questions or conversations: it has "
                f"{columns_shown(held)}; name columns with --image-key and --text-key, --question-key and "
                "--answer-key, or --conversations-key"
            )
    has = (
        f"has {counted(pictures, 'picture')} and nothing that says what is on them" if pictures else "is not recognised"
    )
    return InputError(f"{folder} {has}: {_WANTED} are wanted")
