"""The `gato-data` command: it knows its subcommands by name and imports one only when it is called."""

import logging
import os
import sys
from importlib import import_module
from types import TracebackType
from typing import Any

import click

COMMANDS = {
    "drop": "Leave episodes of a dataset out.",
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


class LazyGroup(click.Group):
    """A group whose commands are modules, imported on first use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"gato_cli.commands.{cmd_name}").command
        return command

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
            return super().invoke(ctx)
        except GatoError as error:
            if ctx.params.get("debug"):
                raise
            raise click.ClickException(printable(str(error), MAX_LINE)) from error


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
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
        from gato_data.remote.folder import redacted

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

    from gato_data.remote.folder import redacted

    sys.stderr.write(redacted("".join(format_exception(kind, error, trace))))


def main() -> None:
    """The console script."""
    sys.excepthook = _show_traceback
    try:
        sys.exit(cli(prog_name="gato-data", standalone_mode=False))  # None, or what a command exits with
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt) as stop:
        # a command may say how to go on
        cause = stop if isinstance(stop, KeyboardInterrupt) else stop.__cause__
        click.echo(f"Interrupted: {cause}" if cause and cause.args else "Interrupted.", err=True)
        sys.exit(130)


if __name__ == "__main__":
    main()
