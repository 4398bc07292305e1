"""The `gato-data` command: it knows its subcommands by name and imports one only when it is called."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import TracebackType
from typing import Any

import click
from click.shell_completion import CompletionItem

COMMANDS = {
    "drop": "Leave episodes of a dataset out.",
    "info": "Say what is installed here, for a bug report.",
    "ingest": "Turn raw episodes into a dataset of Gato tokens.",
    "inspect": "Look at shards, datasets and mixtures.",
    "merge": "Make one dataset of several.",
    "mix": "Plan a mixture: weights, shares, passes over the data.",
    "record": "Record real episodes in a simulator, as RLDS.",
    "rollout": "Let a trained model play, beside chance and experts.",
    "sources": "List the sources that ingest can read.",
    "train": "Train a Gato transformer on a mixture.",
    "verify": "Check every byte of a dataset, and mend what can be mended.",
    "vocabulary": "Train a text model, or look at one.",
}
"""Name and help line of every command, in `gato_cli.commands`."""
_COMPLETE = "_GATO_DATA_COMPLETE"
"""What a shell sets when it asks how a line may go on."""


class ClosedPipeError(Exception):
    """A pipe was closed; click would end the program without telling whether it was that of our output."""


@contextmanager
def _closed_pipes_told() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError as error:
        raise ClosedPipeError from error


class LazyGroup(click.Group):
    """A group whose commands are modules, imported on first use."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Parse a command line; help is printed here."""
        with _closed_pipes_told():
            return super().make_context(info_name, args, parent, **extra)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"gato_cli.commands.{cmd_name}").command
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete a command's name without importing any."""
        names = [CompletionItem(name, help=line) for name, line in COMMANDS.items() if name.startswith(incomplete)]
        return names or click.Command.shell_complete(self, ctx, incomplete)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take `--debug` wherever it stands."""
        end = args.index("--") if "--" in args else len(args)
        words = [word for word in args[:end] if word != "--debug"]
        debug = ["--debug"] if len(words) < end else []
        return super().parse_args(ctx, [*debug, *words, *args[end:]])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or name the nearest one."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from gato_data.closest import closest

            close = closest(args[0], COMMANDS)
            hint = f"Did you mean {close!r}?" if close else f"There are: {', '.join(COMMANDS)}."
            ctx.fail(f"no command named {args[0]!r}. {hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Turn an error that a user can mend into one line and exit code 1."""
        from gato_data.errors import GatoError
        from gato_data.printable import MAX_LINE, printable

        try:
            with _closed_pipes_told():
                return super().invoke(ctx)
        except GatoError as error:
            if ctx.params.get("debug"):
                raise
            raise click.ClickException(printable(str(error), MAX_LINE)) from error


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--debug", is_flag=True, help="Show the traceback of an error; may stand behind the command as well.")
@click.version_option(package_name="gato-data")
def cli(debug: bool) -> None:
    """Agent experience and vision-language corpora as the token sequences of Gato.

    \b
    Example:
      gato-data record atari --game breakout --episodes 8 --out breakout-rlds
      gato-data ingest atari breakout-rlds --out breakout
      gato-data inspect dataset breakout
    """
    _quiet(debug)


def _quiet(debug: bool) -> None:
    """Keep what libraries say of themselves off the screen, unless asked for."""
    if debug:
        from gato_data.remote.address import redacted

        class Formatter(logging.Formatter):
            def format(self, record: logging.LogRecord) -> str:
                return redacted(super().format(record))

        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(Formatter(logging.BASIC_FORMAT))
        logging.basicConfig(level=logging.INFO, handlers=[handler])
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # of the processes that it starts, too
    os.environ.setdefault("DASK_DISTRIBUTED__LOGGING__DISTRIBUTED", "critical")
    logging.root.addFilter(lambda record: "apitools" not in record.getMessage())


def _show_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print it without the credentials that it may quote."""
    from traceback import format_exception

    from gato_data.remote.address import redacted

    sys.stderr.write(redacted("".join(format_exception(kind, error, trace))))


def main() -> None:
    """The console script."""
    sys.excepthook = _show_traceback
    try:
        code = _call()
        if sys.stdout is not None:
            sys.stdout.flush()
    except BaseException as error:
        code = _after(error)
    sys.exit(code)


def _after(error: BaseException) -> int:
    """The exit code of a command whose output cannot be written; any other error is raised again."""
    from gato_cli.reader_gone import READER_GONE, hush, hush_output, is_output_full, is_reader_gone

    if is_reader_gone(error):
        hush()
        return READER_GONE
    if is_output_full(error):
        hush_output()
        click.echo(
            "Error: there is no room for what this prints: give it a place with room, and run it again", err=True
        )
        return 1
    raise error


def _call() -> int:
    """Run the command of the command line; returns the exit code, that of an error with its sentence printed."""
    try:
        return _run_or_complete()
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt) as stop:
        # a command may say how to go on
        cause = stop if isinstance(stop, KeyboardInterrupt) else stop.__cause__
        click.echo(f"Interrupted: {cause}" if cause and cause.args else "Interrupted.", err=True)
        return 130


def _run_or_complete() -> int:
    try:
        return int(cli(prog_name="gato-data", complete_var=_COMPLETE, standalone_mode=False) or 0)
    except Exception:
        if _COMPLETE in os.environ:  # a line that is being typed is no mistake yet
            return 1
        raise


if __name__ == "__main__":
    main()
