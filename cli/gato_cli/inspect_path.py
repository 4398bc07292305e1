"""What `gato-data inspect PATH` looks at when nothing but the path is given: a shard, a dataset or a mixture."""

from difflib import get_close_matches
from pathlib import Path

import click

from gato_data.errors import InputError

_RUN = "belongs to a run of gato-data train: its figures are in log.jsonl, its curve is loss.png"
_FOLDERS = {
    "run.json": "is a run of gato-data train: its figures are in log.jsonl, its curve is loss.png",
    "checkpoint.json": "is a checkpoint of gato-data train: --resume and --init-from take it",
    "features.json": "holds episodes that are no tokens yet: gato-data ingest rlds reads them, with --dry-run it shows "
    "what is in them",
}
_FILES = {
    "run.json": _RUN,
    "log.jsonl": _RUN,
    "dead_letters.jsonl": "lists what the dataset in its folder leaves out: give the folder",
    "dataset.json": "describes the dataset in its folder: give the folder",
    "features.json": "describes the dataset in its folder: give the folder",
    "dataset_info.json": "describes the dataset in its folder: give the folder",
}
_WANTED = "a shard, a dataset's folder or a mixture was wanted"


class InspectGroup(click.Group):
    """Subcommands that may be left out: the path tells which is meant."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the subcommand in front where there is only a path."""
        words = [word for word in args if not word.startswith("-")]
        if words and words[0] not in self.commands and not {"-h", "--help"} & set(args):
            close = get_close_matches(words[0], self.commands, n=1)
            if close and not Path(words[0]).exists():
                ctx.fail(f"no subcommand and no path is named {words[0]!r}. Did you mean {close[0]!r}?")
            path = next((word for word in words if Path(word).exists()), words[0])
            args = [what_it_is(Path(path)), *args]
        return super().parse_args(ctx, args)


def what_it_is(path: Path) -> str:
    """The subcommand that looks at a path.

    Raises:
        InputError: there is none for it.
    """
    if path.is_dir():
        return _of_folder(path)
    if not path.exists():
        raise InputError(f"{path} does not exist: {_WANTED}")
    if path.name in _FILES:
        raise InputError(f"{path} {_FILES[path.name]}")
    if ".tfrecord" in path.name:
        return "shard"
    if path.suffix == ".json":
        return "mixture"
    if path.suffix == ".model":
        raise InputError(f"{path} looks like a text model: gato-data vocabulary show {path} looks at it")
    raise InputError(f"{path} is nothing that inspect looks at: {_WANTED}")


def _of_folder(folder: Path) -> str:
    from gato_schemas.dataset import MANIFEST

    if (folder / MANIFEST).exists() or (folder / ".ingest").exists() or any(folder.glob("*.tfrecord-*.index")):
        return "dataset"
    for name, what in _FOLDERS.items():
        if (folder / name).exists():
            raise InputError(f"{folder} {what}")
    inside = sorted(path.parent.name for path in folder.glob(f"*/{MANIFEST}"))
    if inside:
        shown = ", ".join(inside[:5]) + (", ..." if len(inside) > 5 else "")
        raise InputError(f"{folder} holds several datasets ({shown}): give one of these folders")
    raise InputError(f"{folder} holds nothing that inspect looks at: {_WANTED}")
