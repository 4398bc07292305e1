"""`gato-data record`: real episodes from simulators, as RLDS; a recorder's options are made from its settings."""

import sys
import time
from dataclasses import fields
from importlib import import_module
from inspect import cleandoc
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gato_cli.options import LocalPath, first_line, settings_options
from gato_data.closest import did_you_mean
from gato_data.errors import SettingError

if TYPE_CHECKING:
    from gato_pipelines.recorders.recorder import EnvironmentRecorder, Other
    from gato_pipelines.recorders.recording import Recording


class RecorderGroup(click.Group):
    """The recorders as subcommands."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all recorders."""
        from gato_pipelines.recorders import RECORDERS

        return list(RECORDERS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The subcommand of a recorder."""
        if cmd_name not in (names := self.list_commands(ctx)):
            ctx.fail(f"No such command {cmd_name!r}{did_you_mean(cmd_name, names)}")
        return _command(cmd_name, import_module(f"gato_pipelines.recorders.{cmd_name.replace('-', '_')}").Recorder)


@click.command(cls=RecorderGroup)
def command() -> None:
    """Record real episodes in a simulator, as RLDS.

    \b
    Example:
      gato-data record atari --game breakout --episodes 8 --out breakout-rlds
    """


def _command(name: str, cls: "type[EnvironmentRecorder[Any]]") -> click.Command:
    settings = _settings(cls)

    def callback(**values: Any) -> None:
        _run(name, cls(**{key: values.pop(key) for key in settings}), **values)

    at = list(settings).index("seed")
    before, after = list(settings.values())[:at], list(settings.values())[at + 1 :]
    return click.Command(
        name,
        params=[*before, *_usual_options(settings["seed"]), *after, *(_noise_options() if "noise" in settings else [])],
        callback=callback,
        help=f"{cleandoc(cls.__doc__ or '')}\n\n\b\nExample:\n  {cls.example}",
        short_help=first_line(cls),
        context_settings={"show_default": True},
    )


def _settings(cls: type[Any]) -> dict[str, click.Parameter]:
    """The options of a recorder's settings, by name; numbers are held to their limits."""
    return {str(option.name): option for option in settings_options(cls, bounded=True)}


def _usual_options(seed: click.Parameter) -> list[click.Parameter]:
    """The options that every recorder has."""
    place = LocalPath()
    return [
        click.Option(["--episodes"], type=click.IntRange(1), default=8, help="How many episodes to play."),
        click.Option(["--out"], required=True, metavar="DIR", type=place, help="Folder of the recording."),
        seed,
        click.Option(["--shards"], type=click.IntRange(1), default=2, help="Files to spread the episodes over."),
        click.Option(["--overwrite"], is_flag=True, help="Replace a recording of ours in DIR."),
        click.Option(["--json", "as_json"], is_flag=True, help="Print one JSON object instead of a sentence."),
    ]


def _noise_options() -> list[click.Parameter]:
    """Who acts in chance's place, and how often it does what it decides, as `rollout` has it."""
    return [
        click.Option(
            ["--noise-by"],
            metavar="RUN",
            type=click.Path(path_type=Path),
            help="With --noise: this trained model acts in chance's place.",
        ),
        click.Option(
            ["--hold/--no-hold"],
            default=True,
            help="With --noise-by: do each action as often as it was learned for (ingest --every).",
        ),
    ]


def _run(
    family: str,
    recorder: "EnvironmentRecorder[Any]",
    *,
    episodes: int,
    out: Path,
    shards: int,
    overwrite: bool,
    as_json: bool,
    noise_by: Path | None = None,
    hold: bool = True,
) -> None:
    """Record with a bar, and print what was recorded."""
    from gato_cli.ingest_progress import RecordProgress

    start = time.monotonic()
    if noise_by is None and not hold:
        raise SettingError("--no-hold is of the model that --noise-by names: give it too")
    other = None if noise_by is None else _other(noise_by, family, recorder, hold=hold)
    try:
        with RecordProgress(sys.stderr, episodes) as shown:
            made = recorder.record(
                episodes,
                out,
                shards=min(shards, episodes),
                overwrite=overwrite,
                progress=shown.show,
                noise_by=other,
            )
    except KeyboardInterrupt as error:
        advice = "run the same command again to record into the same folder from the first episode on"
        raise KeyboardInterrupt(advice) from error
    if as_json:
        _print_json(recorder, made, out)
        return
    seconds = time.monotonic() - start
    mean = f"mean {'clipped ' if recorder.clips_rewards else ''}return {sum(made.returns) / len(made.returns):.2f}"
    solved = "" if made.num_successes is None else f", {made.num_successes} of {len(made.returns)} succeeded"
    counted = "1 episode" if len(made.returns) == 1 else f"{len(made.returns)} episodes"
    print(
        f"{out}: {counted} of {recorder.shown} by {made.policy}, {made.num_timesteps:,} timesteps, "
        f"{mean}{solved}, {seconds:.1f} s"
    )


def _other(run: Path, family: str, recorder: "EnvironmentRecorder[Any]", *, hold: bool) -> "Other":
    """A trained model as who disturbs the expert, in the task that was recorded in this environment.

    Raises:
        SettingError: no timestep is disturbed, the run has no such task, or `hold` is off and there is nothing to hold.
        MissingPackageError: torch is not installed.
    """
    from gato_cli.output import say
    from gato_cli.policies import identity_of, load
    from gato_pipelines.recorders.recorder import Other
    from gato_pipelines.rollout.holding import check_hold
    from gato_pipelines.rollout.policy import PolicyActor, policy_name
    from gato_pipelines.rollout.settings import RolloutSettings
    from gato_pipelines.rollout.subjects import resampling_note, tasks_recorded_in

    if not recorder.noise:
        raise SettingError(f"--noise-by {run} acts in no timestep: give its share too, such as --noise 1 for all")
    policy = load(run, "cpu")
    infos = {each.name: each.info for each in policy.tasks}
    task, *others = tasks_recorded_in(infos, family, recorder)
    if others:
        say(f"Note: the model acts as in task {task}; recorded in this environment too: {', '.join(others)}.")
    asked = infos[task].resampling
    check_hold([asked], hold=hold)
    if asked is not None:
        say(f"Note: {resampling_note(task, asked, hold=hold)}.")
    actor = PolicyActor(policy, task, 1, RolloutSettings(seed=recorder.seed, hold=hold), asked)
    return Other(actor, policy_name(identity_of(policy)))


def _print_json(recorder: "EnvironmentRecorder[Any]", made: "Recording", out: Path) -> None:
    import json

    what = fields(recorder)[0].name  # type: ignore[arg-type]
    result = {
        "out": str(out),
        what: getattr(recorder, what),
        "policy": made.policy,
        "episodes": len(made.returns),
        "timesteps": made.num_timesteps,
        "terminal": made.num_terminal,
        "mean_return": sum(made.returns) / len(made.returns),
    }
    if made.num_successes is not None:
        result["successes"] = made.num_successes
    print(json.dumps(result, sort_keys=True))
