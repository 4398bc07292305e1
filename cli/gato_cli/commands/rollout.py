"""`gato-data rollout`: joins a policy of the trainer with the environments of the pipelines."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from gato_cli.options import LocalPath, json_option, settings_options

if TYPE_CHECKING:
    from gato_pipelines.rollout.subjects import Subject
    from gato_trainer.acting import Policy


def _with_settings(command: click.Command) -> click.Command:
    """The command with an option for every setting of a rollout."""
    from gato_pipelines.rollout.settings import RolloutSettings

    command.params += settings_options(RolloutSettings, bounded=True)
    return command


@_with_settings
@click.command(context_settings={"show_default": True})
@click.argument("run", metavar="RUN", type=LocalPath())
@click.option("--task", "tasks", multiple=True, metavar="TASK", help="Play this task; several times for several.")
@click.option("--env", metavar="ENV", help="Play in this environment: babyai/GoToLocal, CartPole-v1, module:function.")
@click.option("--env-option", "options", multiple=True, metavar="NAME=VALUE", help="A setting of it: max_steps=300.")
@click.option(
    "--expert", default="", show_default=False, metavar="MODULE:FUNCTION", help="An expert of yours, with --env."
)
@click.option("--greedy", is_flag=True, help="The likeliest action: --temperature 0.")
@click.option("--out", metavar="DIR", type=LocalPath(), help="Folder of results; goes on where it is.")
@click.option("--record", metavar="DIR", type=LocalPath(), help="Write the policy's episodes as RLDS.")
@click.option("--gif", metavar="FILE", type=LocalPath(), help="Draw the first episodes.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="cpu", help="Where the model runs.")
@json_option
def command(
    run: Path,
    tasks: tuple[str, ...],
    env: str | None,
    options: tuple[str, ...],
    expert: str,
    greedy: bool,
    out: Path | None,
    record: Path | None,
    gif: Path | None,
    device: str,
    as_json: bool,
    **values: Any,
) -> None:
    """Let a trained model play, beside chance and experts.

    RUN is the folder of a run, a checkpoint, or a file that `export` wrote. Tasks that gato-data
    recorded are played where they were recorded; any other one with --env. Random players and experts
    play the same seeds, none of which is in a recording.

    \b
    Example:
      gato-data rollout run --episodes 100 --out scores --gif play.gif
    """
    from gato_cli.output import show
    from gato_cli.policies import identity_of, load
    from gato_cli.rollout_report import play_shown, print_rollout
    from gato_data.errors import SettingError
    from gato_pipelines.rollout.settings import RolloutSettings

    if greedy:
        if click.get_current_context().get_parameter_source("temperature") is not ParameterSource.DEFAULT:
            raise SettingError("--greedy is --temperature 0: give one of the two")
        values["temperature"] = 0.0
    settings = RolloutSettings(**values)
    policy = load(run, device)
    subjects = _subjects(policy, tasks, env, options, expert)
    found = play_shown(policy, identity_of(policy), subjects, settings, out=out, record=record, gif=gif)
    show(lambda: found, lambda console: print_rollout(console, found, out), as_json=as_json)


def _subjects(
    policy: "Policy", names: tuple[str, ...], env: str | None, options: tuple[str, ...], expert: str
) -> "list[Subject]":
    """What is played: every task whose environment is known, or those that are asked for.

    Raises:
        SettingError: there is no such task, or nothing says where one is played.
    """
    from dataclasses import replace

    from gato_cli.output import say
    from gato_data.errors import SettingError
    from gato_pipelines.rollout.subjects import option_value, subject_named, subject_of
    from gato_trainer.acting.tasks import find_task

    tasks = [find_task(policy.tasks, name) for name in dict.fromkeys(names)] or list(policy.tasks)
    if not tasks:
        raise SettingError("the run was trained on texts and images alone: there is nothing to play")
    if env is None and (options or expert):
        raise SettingError("--env-option and --expert are of the environment that --env names: give it too")
    if env is not None:
        if len(tasks) > 1:
            known = ", ".join(task.name for task in tasks)
            raise SettingError(f"--env is where one task is played, and the run has {len(tasks)} ({known}): use --task")
        named = subject_named(tasks[0].name, env, dict(map(option_value, options)), expert=expert)
        return [replace(named, resampling=tasks[0].info.resampling)]
    found, left_out = [], []
    for task in tasks:
        subject = subject_of(task.name, task.info)
        found += [subject] if subject else []
        left_out += [] if subject else [task.name]
    if left_out and (names or not found):
        raise SettingError(f"nothing says where task {left_out[0]!r} is played: give --env (and --task)")
    for name in left_out:
        say(f"left out: task {name}, of which nothing says where it is played: --task {name} --env ENV plays it")
    return found
