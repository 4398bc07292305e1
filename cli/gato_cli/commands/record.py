"""`gato-data record`: real episodes from simulators, as RLDS."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from gato_pipelines.recorders.recording import Recording

_Command = TypeVar("_Command", bound=Callable[..., None])
_HELP: dict[str, Any] = {"context_settings": {"show_default": True}}


@click.group()
def command() -> None:
    """Record real episodes in a simulator, as RLDS.

    \b
    Example:
      gato-data record atari --game breakout --episodes 8 --out breakout-rlds
    """


def _writing_options(function: _Command) -> _Command:
    """The options that every recorder has."""
    options = (
        click.option("--episodes", type=click.IntRange(1), default=8, help="How many episodes to play."),
        click.option(
            "--out", required=True, metavar="DIR", type=click.Path(path_type=Path), help="Folder of the recording."
        ),
        click.option("--seed", type=click.IntRange(0), default=0, help="Of all that is random."),
        click.option("--shards", type=click.IntRange(1), default=2, help="Files to spread the episodes over."),
        click.option("--overwrite", is_flag=True, help="Replace a recording of ours in DIR."),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a sentence."),
    )
    for option in reversed(options):
        function = option(function)
    return function


def _max_steps(steps: int) -> Callable[[_Command], _Command]:
    return click.option(
        "--max-steps", type=click.IntRange(1), default=steps, help="Actions after which an episode is cut."
    )


@command.command(**_HELP)
@click.option("--game", required=True, help="Name of the game, such as breakout or ms_pacman.")
@_writing_options
@click.option("--max-frames", type=click.IntRange(1), default=108_000, help="Screens after which an episode is cut.")
@click.option("--frame-skip", type=click.IntRange(1), default=4, help="Screens for which an action is held.")
@click.option("--sticky", type=click.FloatRange(0, 1), default=0.25, help="Probability that an action is repeated.")
def atari(game: str, **options: Any) -> None:
    """Play a real Atari game at random.

    The same options give the same bytes. The player is random, with sticky actions: good for trying things out, no
    expert.

    \b
    Example:
      gato-data record atari --game breakout --episodes 8 --out breakout-rlds
    """
    from gato_pipelines.recorders.atari import record

    _run(record, "game", game, clipped=True, **options)


@command.command(**_HELP)
@click.option("--level", required=True, help="Name of the level, such as GoToLocal or boss-level.")
@_writing_options
def babyai(level: str, **options: Any) -> None:
    """Let minigrid's bot solve a BabyAI level.

    Every episode has a new layout; those that the bot gives up are left out.

    \b
    Example:
      gato-data record babyai --level GoToLocal --episodes 100 --out go-to-local-rlds
    """
    from gato_pipelines.recorders.babyai import record

    _run(record, "level", level, **options)


@command.command("meta-world", **_HELP)
@click.option("--task", required=True, help="Name of the task, such as reach or pick-place.")
@_writing_options
@_max_steps(500)
def meta_world(task: str, **options: Any) -> None:
    """Let Meta-World's expert play a task.

    Every episode has a new goal, and the same number of actions whether the task is solved early or not.

    \b
    Example:
      gato-data record meta-world --task reach --out reach-rlds
    """
    from gato_pipelines.recorders.meta_world import record

    _run(record, "task", task, **options)


@command.command("dm-control", **_HELP)
@click.option("--task", required=True, help="Domain and task, such as cartpole-swingup.")
@click.option("--pixels", is_flag=True, help="Record frames of 64x64 in place of states.")
@_writing_options
@_max_steps(1000)
def dm_control(task: str, **options: Any) -> None:
    """Play a task of the DM Control Suite.

    Controllers play cartpole-balance, cartpole-swingup (also sparse), pendulum-swingup, point_mass-* and reacher-*
    like experts; all other tasks are played by smooth random noise. What played is printed, and stands in the
    recording.

    \b
    Example:
      gato-data record dm-control --task cartpole-swingup --out cartpole-rlds
    """
    from gato_pipelines.recorders.dm_control import record

    _run(record, "task", task, **options)


@command.command(**_HELP)
@click.option("--boxes", type=click.IntRange(1), default=4, help="Boxes in a room of 10x10 cells.")
@_writing_options
@_max_steps(120)
def sokoban(boxes: int, **options: Any) -> None:
    """Solve Sokoban rooms with the fewest pushes.

    Every episode has a new room.

    \b
    Example:
      gato-data record sokoban --boxes 2 --out sokoban-rlds
    """
    from gato_pipelines.recorders.sokoban import record

    _run(record, "boxes", boxes, of=f"rooms with {boxes} box{'es' if boxes > 1 else ''}", **options)


@command.command(**_HELP)
@click.option("--game", required=True, help="Name of the game, such as coinrun.")
@_writing_options
@_max_steps(1000)
def procgen(game: str, **options: Any) -> None:
    """Play a Procgen game at random.

    Every episode has a new level. No expert of these games is published as a package.

    \b
    Example:
      gato-data record procgen --game coinrun --out coinrun-rlds
    """
    from gato_pipelines.recorders.procgen import record

    _run(record, "game", game, **options)


def _run(
    record: "Callable[..., Recording]",
    what: str,
    name: str | int,
    *,
    episodes: int,
    out: Path,
    shards: int,
    as_json: bool,
    of: str = "",
    clipped: bool = False,
    **settings: Any,
) -> None:
    """Record with a bar, and print what was recorded."""
    import time

    from gato_cli.ingest_progress import RecordProgress

    start = time.monotonic()
    try:
        with RecordProgress(sys.stderr, episodes) as shown:
            made = record(name, episodes, out, shards=min(shards, episodes), progress=shown.show, **settings)
    except KeyboardInterrupt as error:
        advice = "run the same command again to record into the same folder from the first episode on"
        raise KeyboardInterrupt(advice) from error
    seconds = time.monotonic() - start
    if as_json:
        _print_json(made, out, what, name)
        return
    mean = f"mean {'clipped ' if clipped else ''}return {sum(made.returns) / len(made.returns):.2f}"
    solved = "" if made.num_successes is None else f", {made.num_successes} of {len(made.returns)} succeeded"
    counted = "1 episode" if len(made.returns) == 1 else f"{len(made.returns)} episodes"
    print(
        f"{out}: {counted} of {of or name} by {made.policy}, {made.num_timesteps:,} timesteps, "
        f"{mean}{solved}, {seconds:.1f} s"
    )


def _print_json(made: "Recording", out: Path, what: str, name: str | int) -> None:
    import json

    result = {
        "out": str(out),
        what: name,
        "policy": made.policy,
        "episodes": len(made.returns),
        "timesteps": made.num_timesteps,
        "terminal": made.num_terminal,
        "mean_return": sum(made.returns) / len(made.returns),
    }
    if made.num_successes is not None:
        result["successes"] = made.num_successes
    print(json.dumps(result, sort_keys=True))
