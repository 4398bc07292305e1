"""Minari's Arrow storage gives the tokens of the same episodes in HDF5; spaces that begin below 0 do in both."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gato_data.detokenize import decode_ids
from gato_data.errors import GatoError, InputError
from gato_data.vocabulary import Vocabulary
from gato_pipelines.containers.detect import open_container
from gato_schemas.dataset import read_manifest
from gato_schemas.sequence import POSITION_ACTION
from tests.pipelines.sources.records import Written, read_dataset
from tests.rlds_inputs import ingest

DATA = Path(__file__).parents[2] / "data" / "minari"
HOPPER = DATA / "mujoco" / "hopper" / "sample-v0"
CARTPOLE = DATA / "cartpole" / "random-v0"


def column(values: Any) -> pa.Array:
    """A column as minari writes it: boxes flattened, dictionaries as structs."""
    if isinstance(values, Mapping):
        return pa.StructArray.from_arrays([column(inside) for inside in values.values()], list(values))
    if isinstance(values, list) or values.ndim == 1:
        return pa.array(values)
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), int(np.prod(values.shape[1:])))


def padded(values: np.ndarray) -> np.ndarray:
    """T values and a last one that means nothing."""
    return np.concatenate([values, np.zeros_like(values[:1])])


def write_table(table: pa.Table, path: Path) -> None:
    if path.suffix == ".parquet":
        pq.write_table(table, path)
        return
    with pa.OSFile(str(path), "w") as file, pa.ipc.new_file(file, table.schema) as out:
        out.write_table(table)


def write_arrow(folder: Path, episodes: list[dict[str, Any]], suffix: str = ".arrow", **metadata: Any) -> Path:
    for number, values in enumerate(episodes):
        data = folder / "data" / str(number)
        data.mkdir(parents=True)
        columns = {name: column(v if name == "observations" else padded(v)) for name, v in values.items()}
        write_table(pa.table(columns), data / f"part-0{suffix}")
    (folder / "data" / "metadata.json").write_text(json.dumps({"data_format": suffix[1:], **metadata}))
    return folder


def write_hdf5(folder: Path, episodes: list[dict[str, Any]], **metadata: Any) -> Path:
    (folder / "data").mkdir(parents=True)
    with h5py.File(folder / "data" / "main_data.hdf5", "w") as file:
        for number, values in enumerate(episodes):
            group = file.create_group(f"episode_{number}")
            for name, value in values.items():
                store(group, name, value)
    (folder / "data" / "metadata.json").write_text(json.dumps({"data_format": "hdf5", **metadata}))
    return folder


def store(group: Any, name: str, value: Any) -> None:
    if isinstance(value, Mapping):
        for inside, found in value.items():
            store(group.require_group(name), inside, found)
    elif isinstance(value, list) and isinstance(value[0], bytes):
        rows = [np.frombuffer(one, np.uint8) for one in value]
        group.create_dataset(name, data=rows, dtype=h5py.vlen_dtype(np.uint8))
    elif isinstance(value, list):
        group.create_dataset(name, data=value, dtype=h5py.string_dtype())
    else:
        group[name] = value


def read(folder: Path, out: Path, **settings: Any) -> list[Written]:
    ingest(folder, out, source="rlds", settings=settings)
    return read_dataset(out)


def assert_same(found: list[Written], wanted: list[Written]) -> None:
    assert len(found) == len(wanted) > 0
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one.tokens, other.tokens)
        np.testing.assert_array_equal(one.patches, other.patches)
        np.testing.assert_array_equal(one.reward, other.reward)
        assert (one.task, one.is_terminal) == (other.task, other.is_terminal)


def hopper() -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The episodes of the sample in HDF5, and its description."""
    with h5py.File(HOPPER / "data" / "main_data.hdf5") as file:
        names = ("observations", "actions", "rewards", "terminations", "truncations")
        episodes = [{name: file[f"episode_{number}"][name][:] for name in names} for number in range(4)]
    return episodes, json.loads((HOPPER / "data" / "metadata.json").read_text())


def actions_of(episode: Written) -> list[int]:
    return [int(token) for token in episode.tokens[episode.position == POSITION_ACTION]]


class TestArrow:
    @pytest.mark.parametrize("suffix", [".arrow", ".parquet"])
    def test_the_tokens_are_those_of_hdf5(self, suffix: str, tmp_path: Path) -> None:
        episodes, metadata = hopper()
        arrow = write_arrow(tmp_path / "arrow", episodes, suffix, **metadata | {"data_format": suffix[1:]})
        found = read(arrow, tmp_path / "a")
        assert_same(found, read(HOPPER, tmp_path / "b"))
        assert_same(read(arrow / "data", tmp_path / "c"), found)
        assert found[0].task == "Hopper-v5"
        assert found[0].agent == "mujoco/hopper/sample-v0"

    def test_as_minari_writes_it(self, tmp_path: Path) -> None:
        found = read(CARTPOLE, tmp_path / "out")
        assert [len(episode.timestep_starts) for episode in found] == [11, 36, 18]
        assert [episode.episode_return for episode in found] == [11.0, 36.0, 18.0]
        assert all(episode.is_terminal and episode.task == "CartPole-v1" for episode in found)
        assert [(actions_of(one)[0], actions_of(one)[-1]) for one in found] == [(1, 0), (1, 0), (0, 1)]
        manifest = read_manifest(tmp_path / "out")
        [field] = manifest.tasks["CartPole-v1"].observations
        assert (field.name, field.shape) == ("observation", (4,))
        vocabulary = Vocabulary(manifest.vocabulary.text_size)
        first = decode_ids(found[0].tokens[:4].reshape(1, 4), field, vocabulary, compand=True)
        np.testing.assert_allclose(first[0], [0.01251, 0.039721, 0.027569, -0.027479], atol=0.002)

    def test_dictionaries_tuples_texts_and_pictures(self, tmp_path: Path) -> None:
        import cv2

        rng = np.random.default_rng(0)
        frames = rng.integers(0, 256, (4, 32, 48, 3), dtype=np.uint8)
        pair = (rng.normal(size=(4, 2)), rng.integers(0, 5, 4))
        observations = {
            "camera": [cv2.imencode(".jpg", frame)[1].tobytes() for frame in frames],
            "grid": rng.integers(0, 11, (4, 7, 7, 3), dtype=np.uint8),
            "mission": ["go"] * 4,
            "pair": dict(zip("01", pair, strict=True)),
        }
        spaces = {
            "camera": {"type": "Box", "shape": (32, 48, 3)},
            "grid": {"type": "Box", "shape": (7, 7, 3)},
            "mission": {"type": "Text"},
            "pair": {"type": "Tuple", "subspaces": [{"type": "Box", "shape": [2]}, {"type": "Discrete", "n": 5}]},
        }
        metadata = {"observation_space": json.dumps({"type": "Dict", "subspaces": spaces}), "dataset_id": "a/b-v0"}
        rest = {"actions": np.array([1, 2, 3]), "rewards": np.ones(3), "terminations": np.array([False, False, True])}
        arrow = write_arrow(tmp_path / "arrow", [{"observations": observations, **rest}], **metadata)
        in_hdf5 = observations | {"pair": dict(zip(("_index_0", "_index_1"), pair, strict=True))}
        hdf5 = write_hdf5(tmp_path / "hdf5", [{"observations": in_hdf5, **rest}], **metadata)
        assert_same(read(arrow, tmp_path / "a"), read(hdf5, tmp_path / "b"))
        tasks = [read_manifest(tmp_path / name).tasks["a-b-v0"].observations for name in "ab"]
        assert [f.name for f in tasks[0]] == ["mission", "camera", "grid", "pair/_index_0", "pair/_index_1"]
        assert tasks[0] == tasks[1]

    def test_the_last_row_means_nothing_where_it_is_null(self, tmp_path: Path) -> None:
        """Minari pads spaces that are no boxes, such as MultiDiscrete, with nulls, and boxes with zeros."""
        rng = np.random.default_rng(1)
        actions = rng.integers(0, 5, (3, 2))
        rest = {"rewards": np.array([1, 2, 3]), "terminations": np.array([False, False, True])}
        plain = {"observations": rng.normal(size=(4, 3)), "actions": actions, **rest}
        arrow = write_arrow(tmp_path / "arrow", [plain])
        columns = {name: [*column(padded(values)).to_pylist()[:-1], None] for name, values in rest.items()}
        columns |= {"observations": column(plain["observations"]), "actions": [*actions.tolist(), None]}
        write_table(pa.table(columns), arrow / "data" / "0" / "part-0.arrow")
        hdf5 = write_hdf5(tmp_path / "hdf5", [plain])
        found = read(arrow, tmp_path / "a")
        for mine, theirs in zip(found, read(hdf5, tmp_path / "b"), strict=True):
            np.testing.assert_array_equal(mine.tokens, theirs.tokens)
            np.testing.assert_array_equal(mine.reward, theirs.reward)
        assert [one.is_terminal for one in found] == [True]

    @pytest.mark.parametrize("lost", [0, 1, 2])
    @pytest.mark.parametrize("empty", [True, False])
    def test_an_episode_that_is_not_there_is_missed(self, lost: int, empty: bool, tmp_path: Path) -> None:
        """Half-downloaded, told by its folder or by what the description announces."""
        episodes, metadata = hopper()
        described = metadata | {"data_format": "arrow", "total_episodes": 3}
        folder = write_arrow(tmp_path / "in", episodes[:3], **described)
        whole = read(write_arrow(tmp_path / "whole", episodes[:3], **described), tmp_path / "whole-out")
        (folder / "data" / str(lost) / "part-0.arrow").unlink()
        if not empty:
            (folder / "data" / str(lost)).rmdir()
        message = rf"is missing, with 1 episode \({lost}/part-0.arrow: No such file .*--allow-missing-shards"
        with pytest.raises(InputError, match=message):
            ingest(folder, tmp_path / "out", source="rlds")
        found = read(folder, tmp_path / "out", allow_missing_shards=True)
        for mine, theirs in zip(found, [*whole[:lost], *whole[lost + 1 :]], strict=True):
            np.testing.assert_array_equal(mine.tokens, theirs.tokens)
        assert [note.count for note in read_manifest(tmp_path / "out").account if note.kind == "missing"] == [1]

    def test_no_episode_is_there(self, tmp_path: Path) -> None:
        folder = tmp_path / "in"
        (folder / "data").mkdir(parents=True)
        (folder / "data" / "metadata.json").write_text(json.dumps({"observation_space": "{}", "total_episodes": 3}))
        with pytest.raises(InputError, match="holds no episode"):
            open_container(folder)

    def test_numbers_that_hdf5_skips_or_lacks_cost_themselves_alone(self, tmp_path: Path) -> None:
        whole = read(write_hdf5(tmp_path / "whole", hopper()[0]), tmp_path / "whole-out")
        folder = write_hdf5(tmp_path / "in", hopper()[0], total_episodes=4)
        with h5py.File(folder / "data" / "main_data.hdf5", "a") as file:
            del file["episode_1"], file["episode_3"]
        ingest(folder, tmp_path / "out", source="rlds", max_bad=2)
        manifest = read_manifest(tmp_path / "out")
        assert manifest.dead_letters == 2
        for mine, theirs in zip(read_dataset(tmp_path / "out"), whole[0::2], strict=True):
            np.testing.assert_array_equal(mine.tokens, theirs.tokens)

    def test_a_damaged_episode_costs_itself(self, tmp_path: Path) -> None:
        shutil.copytree(CARTPOLE, tmp_path / "in")
        file = tmp_path / "in" / "data" / "1" / "part-0.arrow"
        file.write_bytes(file.read_bytes()[:900])
        ingest(tmp_path / "in", tmp_path / "out", source="rlds", max_bad=1)
        assert len(read_dataset(tmp_path / "out")) == 2
        assert "episode 1 cannot be read" in (tmp_path / "out" / "dead_letters.jsonl").read_text()

    def test_empty_values_are_named(self, tmp_path: Path) -> None:
        episodes = [{"observations": np.zeros((3, 2)), "actions": np.zeros(2)} for _ in range(2)]
        folder = write_arrow(tmp_path / "in", episodes)
        table = pa.table({"observations": [[0.0, 0.0]] * 3, "actions": [0.5, None, 0.0]})
        write_table(table, folder / "data" / "1" / "part-0.arrow")
        ingest(folder, tmp_path / "out", source="rlds", max_bad=1)
        assert "steps/action has 1 empty values" in (tmp_path / "out" / "dead_letters.jsonl").read_text()

    def test_a_first_episode_that_cannot_be_read(self, tmp_path: Path) -> None:
        shutil.copytree(CARTPOLE, tmp_path / "in")
        (tmp_path / "in" / "data" / "0" / "part-0.arrow").write_bytes(b"ARROW1 rubbish")
        with pytest.raises(InputError, match="episode 0 cannot be read"):
            open_container(tmp_path / "in")

    def test_damage_anywhere_is_named_and_never_a_traceback(self, tmp_path: Path) -> None:
        shutil.copytree(CARTPOLE, tmp_path / "in")
        file = tmp_path / "in" / "data" / "0" / "part-0.arrow"
        whole, rng = file.read_bytes(), np.random.default_rng(0)
        said: list[str] = []
        for number in range(60):
            data = bytearray(whole[: int(rng.integers(len(whole)))] if number % 5 == 0 else whole)
            for at in rng.integers(0, max(len(data), 1), int(rng.integers(1, 20))) if data else ():
                data[int(at)] ^= 1 << int(rng.integers(8))
            file.write_bytes(data)
            open_container.cache_clear()
            try:
                container = open_container(tmp_path / "in")
                items = list(container.episodes("metadata.json", container.features.leaves, 0, 1))
            except GatoError as error:
                said.append(str(error))
            else:
                said += [str(item.error) for item in items if item.error is not None]
        assert len(said) > 20
        assert all(len(text) > 20 for text in said)

    def test_an_episode_that_changes_is_noticed(self, tmp_path: Path) -> None:
        shutil.copytree(CARTPOLE, tmp_path / "in")
        container = open_container(tmp_path / "in")
        [file] = container.files("train")
        container.check_unchanged(file.name, file.size)
        with (tmp_path / "in" / "data" / "2" / "part-0.arrow").open("ab") as opened:
            opened.write(b"more")
        with pytest.raises(InputError, match="changed while it was ingested"):
            container.check_unchanged(file.name, file.size)


class TestStart:
    @pytest.mark.parametrize("write", [write_arrow, write_hdf5])
    @pytest.mark.parametrize(("start", "n"), [(-1, 3), (5000, 4)])
    def test_values_that_begin_elsewhere_get_ids_from_0(self, write: Any, start: int, n: int, tmp_path: Path) -> None:
        actions = np.array([start, start + n - 1, start + 1])
        space = json.dumps({"type": "Discrete", "dtype": "int64", "start": start, "n": n})
        episode = {"observations": np.zeros((4, 2)), "actions": actions}
        found = read(write(tmp_path / "in", [episode], action_space=space), tmp_path / "out")
        assert actions_of(found[0]) == [0, n - 1, 1]
        manifest = read_manifest(tmp_path / "out")
        [field] = manifest.tasks["in"].actions
        assert field.start == start
        vocabulary = Vocabulary(manifest.vocabulary.text_size)
        np.testing.assert_array_equal(decode_ids(np.array(actions_of(found[0])), field, vocabulary), actions)
        said = [(note.kind, note.text) for note in manifest.account]
        assert ("read", f"values of steps/action begin at {start}, which is id 0") in said
        [row] = [row for row in manifest.statistics if row.role == "action"]
        assert (row.low, row.high) == ([start], [start + n - 1])

    def test_values_that_fit_stay_as_they_are(self, tmp_path: Path) -> None:
        space = json.dumps({"type": "Discrete", "start": 1, "n": 3})
        episode = {"observations": np.zeros((4, 2)), "actions": np.array([1, 3, 2])}
        found = read(write_hdf5(tmp_path / "in", [episode], action_space=space), tmp_path / "out")
        assert actions_of(found[0]) == [1, 3, 2]

    def test_of_an_observation_in_a_dictionary(self, tmp_path: Path) -> None:
        space = {"type": "Dict", "subspaces": {"lane": {"type": "Discrete", "start": -2, "n": 5}}}
        episode = {"observations": {"lane": np.array([-2, 2, 0, 1])}, "actions": np.array([1, 0, 2])}
        folder = write_arrow(tmp_path / "in", [episode], observation_space=json.dumps(space))
        found = read(folder, tmp_path / "out")
        assert found[0].tokens.reshape(3, 3)[:, 0].tolist() == [0, 4, 2]
        assert read_manifest(tmp_path / "out").tasks["in"].observations[0].start == -2

    @pytest.mark.parametrize("space", ["", "{", '{"type": "Discrete", "start": 1e300}', "[]"])
    def test_a_space_that_cannot_be_read_says_nothing(self, space: str, tmp_path: Path) -> None:
        episode = {"observations": np.zeros((4, 2)), "actions": np.array([1, 3, 2])}
        found = read(write_hdf5(tmp_path / "in", [episode], action_space=space), tmp_path / "out")
        assert actions_of(found[0]) == [1, 3, 2]
