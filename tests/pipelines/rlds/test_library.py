"""`import rlds` without Reverb: the placeholder satisfies the import and nothing else."""

import importlib
import importlib.util
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from gato_data.errors import MissingPackageError
from gato_pipelines.rlds.library import import_rlds

SAMPLE = Path(__file__).parents[2] / "data" / "rlds" / "babyai" / "bot" / "1.0.0"

without_reverb = pytest.mark.skipif(importlib.util.find_spec("reverb") is not None, reason="needs Reverb to be missing")


def run_python(code: str, path: Path | None = None) -> str:
    """Runs code in a fresh interpreter, with a folder in front of its path, and returns what it prints."""
    prelude = f"import sys; sys.path.insert(0, {str(path)!r})\n" if path else ""
    done = subprocess.run([sys.executable, "-c", prelude + dedent(code)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def episodes() -> Any:
    """The first 8 of 32 BabyAI episodes, read by TFDS."""
    tfds = pytest.importorskip("tensorflow_datasets", reason="needs TFDS, of the extra [ingest]")
    return tfds.builder_from_directory(str(SAMPLE)).as_dataset(split="train[:8]", shuffle_files=False)


def test_the_names_of_rlds_are_there() -> None:
    rlds = import_rlds()
    names = [rlds.STEPS, rlds.OBSERVATION, rlds.ACTION, rlds.REWARD, rlds.DISCOUNT]
    assert names == ["steps", "observation", "action", "reward", "discount"]
    assert [rlds.IS_FIRST, rlds.IS_LAST, rlds.IS_TERMINAL] == ["is_first", "is_last", "is_terminal"]
    assert import_rlds() is rlds


def test_transformations_work_on_recorded_episodes(episodes: Any) -> None:
    rlds = import_rlds()
    for episode in episodes:
        steps = list(episode[rlds.STEPS].as_numpy_iterator())
        assert rlds.transformations.episode_length(episode[rlds.STEPS]).numpy() == len(steps) > 1
        assert rlds.transformations.final_step(episode[rlds.STEPS])[rlds.IS_LAST].numpy()
        rewards = rlds.transformations.sum_dataset(episode[rlds.STEPS], lambda step: step[rlds.REWARD])
        assert rewards.numpy() == pytest.approx(sum(float(step[rlds.REWARD]) for step in steps))


def test_pairs_of_timesteps_are_those_of_the_recording(episodes: Any) -> None:
    rlds = import_rlds()
    steps = next(iter(episodes))[rlds.STEPS]
    actions = [int(step[rlds.ACTION]) for step in steps.as_numpy_iterator()]
    pairs = rlds.transformations.batch(steps, size=2, shift=1, drop_remainder=True)
    batched = [pair[rlds.ACTION].tolist() for pair in pairs.as_numpy_iterator()]
    assert batched == [list(pair) for pair in pairwise(actions)]


@without_reverb
def test_reverb_is_still_missing_afterwards(episodes: Any) -> None:
    rlds = import_rlds()
    assert "reverb" not in sys.modules
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("reverb")
    with pytest.raises(MissingPackageError, match=r"reverb\.PatternDataset, but Reverb is not installed"):
        rlds.transformations.pattern_map(episodes, [])
    with pytest.raises(MissingPackageError, match=r"reverb\.structured_writer\.pattern_from_transform, but Reverb"):
        rlds.transformations.pattern_map_from_transform(episodes, lambda step: step)


def test_a_real_reverb_is_not_shadowed(tmp_path: Path) -> None:
    # Stand-ins for both packages: what counts is which module rlds gets, and TensorFlow is slow to load.
    (tmp_path / "reverb.py").write_text("origin = 'installed'\n")
    (tmp_path / "rlds.py").write_text("import reverb\n")
    code = """
        from gato_pipelines.rlds.library import import_rlds
        rlds = import_rlds()
        print(rlds.reverb.origin, sys.modules["reverb"] is rlds.reverb)
    """
    assert run_python(code, tmp_path) == "installed True"


@without_reverb
def test_a_failed_import_leaves_no_placeholder() -> None:
    code = """
        import sys
        sys.modules["tensorflow"] = None  # as if it were not installed
        from gato_pipelines.rlds.library import import_rlds
        try:
            import_rlds()
        except Exception as error:
            print(type(error).__name__, error)
        print("reverb" in sys.modules)
    """
    error, placeholder = run_python(code).splitlines()
    assert error.startswith("MissingPackageError rlds cannot be imported because tensorflow is not installed: pip")
    assert placeholder == "False"
