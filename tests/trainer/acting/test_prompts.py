from pathlib import Path

import numpy as np
import pytest

from gato_data.errors import SettingError
from gato_trainer.acting import Policy
from tests.gato_data.reading import folders
from tests.trainer.acting.conftest import lively, observations, train_run, write_mixture


def play(policy: Policy, **options: object) -> str:
    policy.reset(task="walker", temperature=0, **options)  # type: ignore[arg-type]
    return str([policy.act(observation) for observation in observations("walker", 4)])


@pytest.fixture(scope="module")
def walkers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on two datasets whose tasks have one name; trained without prompts."""
    folder = tmp_path_factory.mktemp("walkers")
    data = {name: folders.episodes("walker", [9, 14], seed=seed) for seed, name in enumerate(("left", "right"))}
    return train_run(write_mixture(folder, **data), folder / "run", prompt_share=0.0)


def test_a_run_that_was_trained_with_prompts_is_shown_a_demonstration(policy: Policy) -> None:
    shown = play(policy, prompt="demonstration")
    assert play(policy) == shown
    assert play(policy, prompt="none") != shown


def test_a_run_that_was_trained_without_prompts_gets_none(walkers: Path) -> None:
    policy = lively(walkers)
    assert [task.name for task in policy.tasks] == ["left/walker", "right/walker"]
    play_of = {prompt: [] for prompt in ("none", "demonstration", "right/walker")}
    for prompt in play_of:
        policy.reset(task="left/walker", prompt=prompt, temperature=0)
        play_of[prompt] = [policy.act(observation) for observation in observations("walker", 3)]
    policy.reset(task="left/walker", temperature=0)
    np.testing.assert_equal([policy.act(each) for each in observations("walker", 3)], play_of["none"])
    assert len({str(actions) for actions in play_of.values()}) == 3


def test_a_run_plays_with_the_history_that_it_was_trained_with(tmp_path: Path) -> None:
    data = {name: folders.episodes("walker", [9, 14], seed=seed) for seed, name in enumerate(("left", "right"))}
    run = train_run(write_mixture(tmp_path, **data), tmp_path / "run", prompt_share=0.5, history="left=0")
    policy = lively(run)

    def played(task: str, **options: object) -> str:
        policy.reset(task=task, temperature=0, **options)  # type: ignore[arg-type]
        return str([policy.act(observation) for observation in observations("walker", 4)])

    assert played("left/walker") == played("left/walker", history=0, prompt="none")
    assert played("left/walker") != played("left/walker", history=3, prompt="none")
    assert played("left/walker", history="all") == played("left/walker", history=9)
    assert played("left/walker", history="all", memory="xl")
    with pytest.raises(SettingError, match="a history of '3' is not possible: a number of timesteps, or 'all'"):
        policy.reset(task="left/walker", history="3")  # type: ignore[arg-type]
    assert played("right/walker") == played("right/walker", history=9, prompt="demonstration")
    with pytest.raises(SettingError, match="walker was trained with --history 0, and memory 'xl' keeps what"):
        policy.reset(task="left/walker", memory="xl")
    assert played("right/walker", memory="xl")


def test_a_task_of_several_datasets_has_to_be_named_in_full(walkers: Path) -> None:
    policy = lively(walkers)
    said = "2 datasets of the run have a task 'walker': say which one, left/walker, right/walker"
    with pytest.raises(SettingError, match=f"^{said}$"):
        policy.reset(task="walker")
    with pytest.raises(SettingError, match=rf"^'walker' is no prompt: it is no folder of a dataset, and {said}$"):
        policy.reset(task="left/walker", prompt="walker")
    for name, meant in (("waker", "'left/walker', 'right/walker'"), ("rigt/walker", "'right/walker'")):
        with pytest.raises(SettingError, match=rf"a task '{name}', it knows .*\. Did you mean {meant}\?$"):
            policy.reset(task=name)
    policy.reset(task="right/walker")


def test_the_seed_chooses_among_the_demonstrations(policy: Policy) -> None:
    assert play(policy, seed=0) == play(policy, seed=2)
    assert play(policy, seed=0) != play(policy, seed=1)


def test_another_dataset_is_a_prompt(policy: Policy, tmp_path: Path) -> None:
    folders.write_dataset(tmp_path / "walker", {"train": [folders.episodes("walker", [9, 14], seed=1)]})
    folders.write_dataset(tmp_path / "other", {"train": [folders.episodes("walker", [9], seed=7)]})
    folders.write_dataset(
        tmp_path / "wide", {"train": [folders.episodes("walker", [9], large_ids=True)]}, large_ids=True
    )
    assert play(policy, prompt=str(tmp_path / "walker")) == play(policy, prompt="demonstration")
    assert play(policy, prompt=str(tmp_path / "other")) != play(policy, prompt="demonstration")
    with pytest.raises(SettingError, match="has another vocabulary than the policy"):
        play(policy, prompt=str(tmp_path / "wide"))


def test_a_prompt_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    mixture = write_mixture(tmp_path, walker=folders.episodes("walker", [9, 14]))
    policy = lively(train_run(mixture, tmp_path / "run", context_length=12, steps=1))
    with pytest.raises(SettingError, match="has 8 tokens a timestep, a prompt at most 6 and the context 12"):
        policy.reset(prompt="demonstration")
    policy.reset()  # nor did training show any
    for observation in observations("walker", 3):
        policy.act(observation)
