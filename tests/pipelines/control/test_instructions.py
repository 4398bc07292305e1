"""Which text is observed as an instruction, and texts that are bytes or belong to the episode."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gato_data.errors import EpisodeError, InputError
from gato_pipelines.control.instructions import texts_of
from gato_pipelines.ingest.run import IngestSettings, plan_only
from gato_pipelines.rlds.episode import RldsEpisode
from gato_pipelines.rlds.features import Leaf
from gato_pipelines.source import Plan
from gato_schemas.dataset import read_manifest
from tests.pipelines.sources.made import ACTION, STATE, episode, tensor, text, write
from tests.pipelines.sources.records import read_dataset
from tests.rlds_inputs import ingest

ASKED = "put the red block into the bowl"


def padded(words: str, size: int, dtype: str) -> np.ndarray:
    return np.frombuffer(words.encode().ljust(size, b"\0"), np.uint8).astype(dtype)


def dataset(folder: Path, leaves: dict[Leaf, Any], once: dict[Leaf, Any] | None = None) -> Path:
    """Two episodes of three timesteps with these values in every one."""
    columns: dict[str, Any] = {
        "observation/state": np.zeros((3, 2), np.float32),
        "action": np.full((3, 1), 0.5, np.float32),
    }
    for leaf, value in leaves.items():
        name = leaf.path.removeprefix("steps/")
        columns[name] = np.stack([value] * 3) if isinstance(value, np.ndarray) else [value] * 3
    made = episode(columns, once={leaf.path: value for leaf, value in (once or {}).items()})
    return write(folder, (STATE, ACTION, *leaves, *(once or {})), [made, made])


def plan(folder: Path, **settings: Any) -> Plan:
    return plan_only("rlds", settings, folder, Path("absent"), IngestSettings()).plan


SIZE = text("steps/observation/size")
BESIDE = text("steps/language_instruction")


class TestAuto:
    @pytest.mark.parametrize(
        "name", ["language_instruction", "instruction", "multimodal_instruction", "prompt/task_instruction"]
    )
    def test_other_texts_do_not_hide_an_instruction(self, name: str, tmp_path: Path) -> None:
        folder = dataset(tmp_path / "rlds", {SIZE: "large", text(f"steps/{name}"): ASKED})
        task = plan(folder).tasks["arm"]
        assert [field.name for field in task.observations if field.modality == "text"] == sorted([name, "size"])

    def test_the_usual_name_goes_first(self, tmp_path: Path) -> None:
        others = {text("steps/a_instruction"): "a", text("steps/instruction"): "b"}
        folder = dataset(tmp_path / "rlds", {BESIDE: ASKED, **others})
        found = plan(folder)
        assert [field.name for field in found.tasks["arm"].observations] == ["language_instruction", "state"]
        assert found.tasks["arm"].left_out == {
            "a_instruction": "not part of the observation: --instruction-key takes it",
            "instruction": "not part of the observation: --instruction-key takes it",
        }

    def test_an_instruction_inside_the_observation_is_enough(self, tmp_path: Path) -> None:
        inside = text("steps/observation/natural_language_instruction")
        folder = dataset(tmp_path / "rlds", {inside: ASKED, BESIDE: ASKED})
        names = [field.name for field in plan(folder).tasks["arm"].observations]
        assert names == ["natural_language_instruction", "state"]

    def test_named_observations_are_all_there_is(self, tmp_path: Path) -> None:
        folder = dataset(tmp_path / "rlds", {BESIDE: ASKED})
        assert [f.name for f in plan(folder, observation_keys=("state",)).tasks["arm"].observations] == ["state"]


class TestLeftOut:
    def test_texts_that_are_no_tokens_are_counted_and_kept(self, tmp_path: Path) -> None:
        once = {text("episode_metadata/task"): "stack", text("episode_metadata/file_path"): "/x"}
        folder = dataset(tmp_path / "rlds", {BESIDE: ASKED, text("steps/language_instruction_2"): "other"}, once)
        ingest(folder, tmp_path / "out", source="rlds")
        found = [note for note in read_manifest(tmp_path / "out").account if note.kind == "left-out"]
        assert [(note.text, note.count) for note in found] == [
            (
                "episodes of task arm have texts that are no tokens (episode_metadata/file_path, "
                "episode_metadata/task): --instruction-key takes one",
                2,
            )
        ]
        left_out = read_manifest(tmp_path / "out").tasks["arm"].left_out
        assert left_out == {"language_instruction_2": "not part of the observation: --instruction-key takes it"}

    def test_only_episodes_that_are_read_count(self, tmp_path: Path) -> None:
        folder = dataset(tmp_path / "rlds", {}, {text("task"): "stack"})
        asked = IngestSettings(max_episodes=1)
        notes = plan_only("rlds", {}, folder, Path("absent"), asked).plan.notes
        assert [note.count for note in notes] == [1]

    @pytest.mark.parametrize("settings", [{"instruction_key": "none"}, {"drop_keys": ("size",)}])
    def test_what_was_asked_for_is_not_said(self, settings: dict[str, Any], tmp_path: Path) -> None:
        folder = dataset(tmp_path / "rlds", {SIZE: "large"})
        assert plan(folder, **settings).notes == []


class TestNamed:
    @pytest.mark.parametrize("key", ["episode_metadata/task", "task"])
    def test_a_text_of_the_episode_is_that_of_all_timesteps(self, key: str, tmp_path: Path) -> None:
        folder = dataset(tmp_path / "rlds", {}, {text("episode_metadata/task"): ASKED})
        field = plan(folder, instruction_key=key).tasks["arm"].observations[0]
        assert (field.name, field.modality, field.shape) == ("episode_metadata/task", "text", ())
        ingest(folder, tmp_path / "out", source="rlds", settings={"instruction_key": key})
        beside = dataset(tmp_path / "beside", {BESIDE: ASKED})
        ingest(beside, tmp_path / "same", source="rlds")
        for mine, theirs in zip(read_dataset(tmp_path / "out"), read_dataset(tmp_path / "same"), strict=True):
            np.testing.assert_array_equal(mine.tokens, theirs.tokens)

    @pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
    @pytest.mark.parametrize(("place", "size"), [("observation/", 512), ("observation/", 40), ("", 128)])
    def test_bytes_padded_with_zeros(self, dtype: str, place: str, size: int, tmp_path: Path) -> None:
        """As Language Table has them: int32 of 512 elements."""
        leaf = tensor(f"steps/{place}instruction", dtype, (size,))
        folder = dataset(tmp_path / "rlds", {leaf: padded(ASKED, size, dtype)})
        settings = {"instruction_key": "instruction"}
        task = plan(folder, **settings).tasks["arm"]
        assert [(field.name, field.modality) for field in task.observations] == [
            ("instruction", "text"),
            ("state", "continuous"),
        ]
        assert task.left_out == {}
        ingest(folder, tmp_path / "out", source="rlds", settings=settings)
        beside = dataset(tmp_path / "beside", {text("steps/instruction"): ASKED})
        ingest(beside, tmp_path / "same", source="rlds")
        for mine, theirs in zip(read_dataset(tmp_path / "out"), read_dataset(tmp_path / "same"), strict=True):
            np.testing.assert_array_equal(mine.tokens, theirs.tokens)

    def test_bytes_of_the_episode(self, tmp_path: Path) -> None:
        leaf = tensor("task", "uint8", (64,))
        folder = dataset(tmp_path / "rlds", {}, {leaf: padded(ASKED, 64, "uint8")})
        ingest(folder, tmp_path / "out", source="rlds", settings={"instruction_key": "task"})
        beside = dataset(tmp_path / "beside", {BESIDE: ASKED})
        ingest(beside, tmp_path / "same", source="rlds")
        for mine, theirs in zip(read_dataset(tmp_path / "out"), read_dataset(tmp_path / "same"), strict=True):
            np.testing.assert_array_equal(mine.tokens, theirs.tokens)

    def test_a_long_vector_that_nobody_named_is_left_out_with_advice(self, tmp_path: Path) -> None:
        leaf = tensor("steps/observation/instruction", "int32", (512,))
        folder = dataset(tmp_path / "rlds", {leaf: padded(ASKED, 512, "int32")})
        assert plan(folder).tasks["arm"].left_out == {
            "instruction": "512 numbers in each timestep: name it in --observation-keys to keep it, or in "
            "--instruction-key if they are the bytes of a text"
        }

    def test_a_name_of_several_texts(self, tmp_path: Path) -> None:
        folder = dataset(tmp_path / "rlds", {text("steps/a/words"): "a", text("steps/b/words"): "b"})
        message = r"--instruction-key names 'words', which could be any of arm/1\.0\.0: it has a/words, b/words"
        with pytest.raises(InputError, match=message):
            plan(folder, instruction_key="words")
        assert plan(folder, instruction_key="b/words").tasks["arm"].observations[0].name == "b/words"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([104, 300, 0], r"holds no text in timestep 1: values 0 to 300, bytes were expected"),
        ([104, -1, 0], r"values -1 to 104"),
        ([104, 0, 105], r"zeros stand between its bytes"),
        ([255, 254, 0], r"its bytes are not UTF-8 \(invalid start byte\)"),
    ],
)
def test_bytes_that_are_no_text(values: list[int], message: str) -> None:
    leaf = tensor("steps/words", "int32", (3,))
    rows = np.array([[104, 105, 0], values], np.int32)
    with pytest.raises(EpisodeError, match=message):
        texts_of(RldsEpisode(num_timesteps=2, tensors={leaf.path: rows}), leaf)


def test_bytes_of_several_texts() -> None:
    leaf = tensor("steps/words", "uint8", (6,))
    rows = np.stack([padded(words, 6, "uint8") for words in ("ü", "stop", "ü", "")])
    assert texts_of(RldsEpisode(num_timesteps=4, tensors={leaf.path: rows}), leaf) == ["ü", "stop", "ü", ""]
