"""`gato-data record`: real episodes from simulators, as RLDS."""

import sys
import time
from pathlib import Path

import click


@click.group()
def command() -> None:
    """Record real episodes in a simulator, as RLDS.

    \b
    Example:
      gato-data record atari --game breakout --episodes 8 --out breakout-rlds
    """


@command.command(context_settings={"show_default": True})
@click.option("--game", required=True, help="Name of the game, such as breakout or ms_pacman.")
@click.option("--episodes", type=click.IntRange(1), default=8, help="How many episodes to play.")
@click.option("--out", required=True, metavar="DIR", type=click.Path(path_type=Path), help="Folder of the recording.")
@click.option("--seed", type=click.IntRange(0), default=0, help="Of the policy and the emulator.")
@click.option("--shards", type=click.IntRange(1), default=2, help="Files to spread the episodes over.")
@click.option("--max-frames", type=click.IntRange(1), default=108_000, help="Screens after which an episode is cut.")
@click.option("--frame-skip", type=click.IntRange(1), default=4, help="Screens for which an action is held.")
@click.option("--sticky", type=click.FloatRange(0, 1), default=0.25, help="Probability that an action is repeated.")
@click.option("--overwrite", is_flag=True, help="Replace a recording of ours in DIR.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a sentence.")
def atari(
    game: str,
    episodes: int,
    out: Path,
    seed: int,
    shards: int,
    max_frames: int,
    frame_skip: int,
    sticky: float,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Play a real Atari game with a seeded random policy and sticky actions.

    The same options give the same bytes. The player is random: good for trying things out, no expert.

    \b
    Example:
      gato-data record atari --game breakout --episodes 8 --out breakout-rlds
    """
    import json

    from gato_cli.ingest_progress import RecordProgress
    from gato_pipelines.recorders.atari import record

    start = time.monotonic()
    try:
        with RecordProgress(sys.stderr, episodes) as shown:
            made = record(
                game,
                episodes,
                out,
                seed=seed,
                max_frames=max_frames,
                shards=min(shards, episodes),
                frame_skip=frame_skip,
                sticky=sticky,
                overwrite=overwrite,
                progress=shown.show,
            )
    except KeyboardInterrupt as error:
        advice = "run the same command again to record into the same folder from the first episode on"
        raise KeyboardInterrupt(advice) from error
    seconds = time.monotonic() - start
    mean = sum(made.returns) / len(made.returns)
    if as_json:
        result = {
            "out": str(out),
            "game": game,
            "episodes": len(made.returns),
            "timesteps": made.num_timesteps,
            "terminal": made.num_terminal,
            "mean_return": mean,
        }
        print(json.dumps(result, sort_keys=True))
        return
    print(
        f"{out}: {len(made.returns)} episodes of {game} by a random player, {made.num_timesteps:,} timesteps, "
        f"mean clipped return {mean:.2f}, {seconds:.1f} s"
    )
