"""Every file format gives the tokens that RLDS gives of the same episodes."""

import gzip
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gato_data.errors import GatoError, InputError
from gato_pipelines.containers.detect import open_container
from gato_pipelines.rlds.card import DatasetCard
from gato_pipelines.rlds.episode import RldsEpisode
from gato_pipelines.rlds.features import Features, Kind, Leaf
from gato_pipelines.rlds.writer import write_directory
from gato_schemas.dataset import read_manifest
from gato_schemas.tfrecord import frame, read_records
from tests.pipelines.sources.records import Written, read_dataset
from tests.pipelines.sources.reference import Expected, Tokens, flatten, read_with_tfds, tokenize
from tests.rlds_inputs import ingest

DATA = Path(__file__).parents[2] / "data"
RAW = DATA / "rlu_raw" / "Breakout"
JAT = DATA / "jat"
MINARI = DATA / "minari" / "mujoco" / "hopper" / "sample-v0"
_FLAGS = tuple(
    Leaf(path=f"steps/{name}", kind=Kind.TENSOR, dtype="bool") for name in ("is_first", "is_last", "is_terminal")
)


def tokens_of(source: str, path: Path, out: Path, **settings: Any) -> list[Written]:
    ingest(path, out, source=source, settings=settings)
    return read_dataset(out)


def assert_same(found: list[Written], wanted: list[Written] | list[Tokens]) -> None:
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        ids = other.tokens if isinstance(other, Written) else other.ids
        patches = np.asarray(other.patches).reshape(-1, 16, 16, 3)
        np.testing.assert_array_equal(one.tokens, ids)
        np.testing.assert_array_equal(one.patches, patches)


def write_rlds(folder: Path, name: str, leaves: tuple[Leaf, ...], episodes: list[RldsEpisode]) -> Path:
    leaves = tuple(sorted((*leaves, *_FLAGS), key=lambda leaf: leaf.path))
    card = DatasetCard(name=name, version="1.0.0", features=Features(leaves), module="tests")
    write_directory(folder, card, episodes, num_episodes=len(episodes))
    return folder


def flags(length: int, *, terminal: bool) -> dict[str, np.ndarray]:
    at = np.arange(length)
    last = at == length - 1
    return {"steps/is_first": at == 0, "steps/is_last": last, "steps/is_terminal": last & terminal}


class TestRawRlUnplugged:
    def test_the_tokens_are_those_of_tfdss_own_conversion(self, tmp_path: Path) -> None:
        import tensorflow as tf
        import tensorflow_datasets as tfds
        from tensorflow_datasets.rl_unplugged import atari_utils

        expected = Expected(images=("observation",), size=(64, 80))
        wanted = []
        for record in tf.data.TFRecordDataset(str(RAW / "run_1-00000-of-00001"), "GZIP"):
            steps = tfds.as_numpy(atari_utils.atari_example_to_rlds(record)["steps"])
            columns = flatten(steps)
            rows = [{key: values[at] for key, values in columns.items()} for at in range(len(columns["action"]))]
            wanted.append(tokenize(rows, expected))
        assert len(wanted) == 2
        assert_same(tokens_of("atari", RAW, tmp_path / "out"), wanted)

    def test_names_ids_and_returns(self, tmp_path: Path) -> None:
        found = tokens_of("atari", RAW, tmp_path / "out")
        assert [(e.task, e.agent, e.source_id) for e in found] == [
            ("breakout", "run_1", "0/0"),
            ("breakout", "run_1", "0/1"),
        ]
        assert [e.episode_return for e in found] == [5.0, 4.0]
        assert all(e.is_terminal for e in found)
        manifest = read_manifest(tmp_path / "out")
        assert manifest.source.inputs == ["rlu_atari/Breakout/raw"]
        assert "zero action and reward" in manifest.tasks["breakout"].final_step.reason

    def test_one_file_is_an_input_too(self, tmp_path: Path) -> None:
        file = RAW / "run_1-00000-of-00001"
        assert_same(tokens_of("atari", file, tmp_path / "a"), tokens_of("atari", RAW, tmp_path / "b"))

    @pytest.mark.parametrize("where", ["data", "length", "cut off", "gzip"])
    def test_damage_costs_the_episodes_behind_it(self, where: str, tmp_path: Path) -> None:
        folder = tmp_path / "Breakout"
        folder.mkdir()
        file = folder / "run_1-00000-of-00001"
        plain = bytearray(gzip.decompress((RAW / file.name).read_bytes()))
        second = 12 + int.from_bytes(plain[:8], "little") + 4
        if where == "data":
            plain[second + 500] ^= 1
        elif where == "length":
            plain[second + 8] ^= 1
        elif where == "cut off":
            del plain[second + 1000 :]
        packed = gzip.compress(bytes(plain))
        file.write_bytes(packed[: len(packed) * 3 // 4] if where == "gzip" else packed)
        container = open_container(folder)
        items = list(container.episodes(file.name, container.features.leaves, 0, 2))
        assert [item.episode is not None for item in items] == [True, False]
        assert items[1].count == 1
        assert f"{file.name} is damaged" in str(items[1].error)

    def test_other_records_are_refused_by_name(self, tmp_path: Path) -> None:
        file = tmp_path / "run_1-00000-of-00001"
        record = next(read_records(next((DATA / "rlds" / "procgen").rglob("*tfrecord*")))).data
        header, footer = frame(record)
        file.write_bytes(gzip.compress(header + record + footer))
        with pytest.raises(InputError, match="holds no Atari episodes of RL Unplugged"):
            open_container(file)


class TestJat:
    def test_four_channels_are_four_frames_and_the_last_is_the_newest(self, tmp_path: Path) -> None:
        """The same game as in the raw file: there each timestep has one gray frame."""
        found = tokens_of("atari", JAT / "atari-breakout", tmp_path / "jat")
        raw = tokens_of("atari", RAW, tmp_path / "raw")
        assert [len(episode.timestep_starts) for episode in found] == [100]
        np.testing.assert_array_equal(found[0].tokens, raw[0].tokens[: 100 * 22])
        np.testing.assert_array_equal(found[0].patches, raw[0].patches[: 100 * 20])
        assert found[0].task == "breakout"

    def test_babyai_is_mission_direction_and_grid(self, tmp_path: Path) -> None:
        rows = pq.read_table(JAT / "babyai-go-to-local").to_pylist()
        expected = Expected(texts=("text",), tensors=("discrete",), drop_last=False)
        wanted = [
            tokenize(
                [
                    {"text": text.encode(), "discrete": np.array(numbers), "action": np.array(action)}
                    for text, numbers, action in zip(
                        row["text_observations"], row["discrete_observations"], row["discrete_actions"], strict=True
                    )
                ],
                expected,
            )
            for row in rows
        ]
        found = tokens_of("babyai", JAT / "babyai-go-to-local", tmp_path / "out")
        assert_same(found, wanted)
        assert [episode.task for episode in found] == ["go-to-local"] * 4

    def test_continuous_rows_give_the_tokens_of_rlds(self, tmp_path: Path) -> None:
        rlds = DATA / "rlds" / "metaworld" / "scripted_v3" / "1.0.0"
        rows = [
            {
                "continuous_observations": [step["observation"].tolist() for step in steps[:-1]],
                "continuous_actions": [step["action"].tolist() for step in steps[:-1]],
                "rewards": [float(step["reward"]) for step in steps[:-1]],
            }
            for steps in read_with_tfds(rlds)
        ]
        lists = pa.list_(pa.list_(pa.float64()))
        schema = pa.schema(
            {"continuous_observations": lists, "continuous_actions": lists, "rewards": pa.list_(pa.float32())}
        )
        folder = tmp_path / "metaworld-reach"
        folder.mkdir()
        pq.write_table(
            pa.Table.from_pylist(rows[:7], schema), folder / "train-00000-of-00002.parquet", row_group_size=2
        )
        pq.write_table(pa.Table.from_pylist(rows[7:], schema), folder / "train-00001-of-00002.parquet")
        found = tokens_of("meta-world", folder, tmp_path / "a")
        assert_same(found, tokens_of("meta-world", rlds, tmp_path / "b"))
        assert {episode.task for episode in found} == {"reach"}

    def test_bad_rows_are_named_and_the_rest_is_kept(self, tmp_path: Path) -> None:
        lists = pa.list_(pa.list_(pa.float32()))
        schema = pa.schema({"continuous_observations": lists, "continuous_actions": lists})
        good = {"continuous_observations": [[1.0, 2.0]] * 3, "continuous_actions": [[0.5]] * 3}
        rows = [
            good,
            {**good, "continuous_actions": [[0.5], [0.5, 0.5], [0.5]]},
            {**good, "continuous_actions": [[0.5]] * 2},
            {**good, "continuous_observations": [[1.0, 2.0], None, [1.0, 2.0]]},
            {**good, "continuous_actions": [[0.5], [None], [0.5]]},
            {"continuous_observations": [], "continuous_actions": []},
            {"continuous_observations": None, "continuous_actions": None},
            good,
        ]
        folder = tmp_path / "mujoco-arm"
        folder.mkdir()
        pq.write_table(pa.Table.from_pylist(rows, schema), folder / "train-00000-of-00001.parquet")
        ingest(folder, tmp_path / "out", source="modular-rl", max_bad=6)
        letters = (tmp_path / "out" / "dead_letters.jsonl").read_text().splitlines()
        reasons = [
            "steps/action has 1 to 2 values a timestep",
            "features have different numbers of timesteps: {'steps/observation': 3, 'steps/action': 2}",
            "steps/observation has -1 to 2 values a timestep",
            "steps/action has 1 empty values",
            "the episode has no timestep",
            "is missing",
        ]
        assert len(letters) == 6
        for number, (letter, reason) in enumerate(zip(letters, reasons, strict=True), start=1):
            assert f'"record {number}"' in letter
            assert reason in letter
        assert len(read_dataset(tmp_path / "out")) == 2

    def test_a_damaged_file_costs_its_own_episodes(self, tmp_path: Path) -> None:
        folder = tmp_path / "babyai-go-to-local"
        shutil.copytree(JAT / "babyai-go-to-local", folder)
        whole = next(folder.iterdir()).rename(folder / "train-00000-of-00002.parquet").read_bytes()
        (folder / "train-00001-of-00002.parquet").write_bytes(whole[: len(whole) // 2])
        ingest(folder, tmp_path / "out", source="babyai", max_bad=1)
        assert len(read_dataset(tmp_path / "out")) == 4
        assert "train-00001-of-00002.parquet cannot be read" in (tmp_path / "out" / "dead_letters.jsonl").read_text()

    def test_other_parquet_files_are_refused(self, tmp_path: Path) -> None:
        pq.write_table(pa.table({"observation.state": [[1.0]], "action": [[1.0]]}), tmp_path / "0000.parquet")
        with pytest.raises(InputError, match=r"the columns .*: those of JAT are wanted"):
            open_container(tmp_path)


class TestMinari:
    def test_the_tokens_are_those_of_rlds(self, tmp_path: Path) -> None:
        leaves = (
            Leaf(path="steps/observation", kind=Kind.TENSOR, dtype="float64", shape=(11,), encoding="zlib"),
            Leaf(path="steps/action", kind=Kind.TENSOR, dtype="float32", shape=(3,)),
            Leaf(path="steps/reward", kind=Kind.TENSOR, dtype="float64", encoding="bytes"),
        )
        episodes = []
        with h5py.File(MINARI / "data" / "main_data.hdf5") as file:
            for number in range(4):
                group = file[f"episode_{number}"]
                observations, actions, rewards = (group[name][:] for name in ("observations", "actions", "rewards"))
                length = len(observations)
                tensors = {
                    "steps/observation": observations,
                    "steps/action": np.concatenate([actions, np.zeros((1, 3), np.float32)]),
                    "steps/reward": np.append(rewards, 0.0),
                    **flags(length, terminal=bool(group["terminations"][-1])),
                }
                episodes.append(RldsEpisode(num_timesteps=length, tensors=tensors))
        rlds = tokens_of("modular-rl", write_rlds(tmp_path / "rlds", "hopper", leaves, episodes), tmp_path / "a")
        found = tokens_of("modular-rl", MINARI, tmp_path / "b")
        assert_same(found, rlds)
        for ours, theirs in zip(found, rlds, strict=True):
            assert ours.episode_return == theirs.episode_return
            assert ours.is_terminal == theirs.is_terminal
            np.testing.assert_array_equal(ours.reward, theirs.reward)
        assert [episode.is_terminal for episode in found] == [True, True, True, False]
        assert {(episode.task, episode.agent) for episode in found} == {("Hopper-v5", "mujoco/hopper/sample-v0")}

    def test_dictionaries_texts_pictures_and_symbols(self, tmp_path: Path) -> None:
        """As minari writes them: nested groups, strings, JPEG images in rows of bytes, a small grid."""
        import cv2

        rng = np.random.default_rng(0)
        frames = rng.integers(0, 256, (4, 32, 48, 3), dtype=np.uint8)
        jpegs = [cv2.imencode(".jpg", frame)[1].tobytes() for frame in frames]
        grid = rng.integers(0, 11, (4, 7, 7, 3), dtype=np.uint8)
        with h5py.File(tmp_path / "main_data.hdf5", "w") as file:
            group = file.create_group("episode_0")
            observations = group.create_group("observations")
            observations.create_dataset(
                "camera", data=[np.frombuffer(j, np.uint8) for j in jpegs], dtype=h5py.vlen_dtype(np.uint8)
            )
            observations.create_dataset("grid", data=grid)
            observations.create_dataset("mission", data=["go"] * 4, dtype=h5py.string_dtype())
            observations.create_dataset("raw", data=frames)
            group.create_dataset("actions", data=np.array([1, 2, 3]))
            group.create_dataset("rewards", data=np.zeros(3))
            group.create_dataset("terminations", data=np.array([False, False, True]))
        found = tokens_of("rlds", tmp_path / "main_data.hdf5", tmp_path / "out")
        fields = read_manifest(tmp_path / "out").tasks[found[0].task].observations
        assert [(f.name, f.modality, f.shape) for f in fields] == [
            ("mission", "text", ()),
            ("camera", "image", (32, 48, 3)),
            ("raw", "image", (32, 48, 3)),
            ("grid", "discrete", (7, 7, 3)),
        ]
        expected = Expected(texts=("mission",), images=("camera", "raw"), tensors=("grid",), drop_last=False)
        rows = [
            {"mission": b"go", "camera": jpegs[at], "raw": frames[at], "grid": grid[at], "action": np.array(at + 1)}
            for at in range(3)
        ]
        assert_same(found, [tokenize(rows, expected)])

    def test_damaged_episodes_are_named_and_the_rest_is_kept(self, tmp_path: Path) -> None:
        shutil.copytree(MINARI / "data", tmp_path / "walker" / "data")
        with h5py.File(tmp_path / "walker" / "data" / "main_data.hdf5", "r+") as file:
            del file["episode_1/actions"]
            del file["episode_2/rewards"]
            file["episode_2/rewards"] = np.zeros(3)
        ingest(tmp_path / "walker", tmp_path / "out", source="modular-rl", max_bad=2)
        letters = (tmp_path / "out" / "dead_letters.jsonl").read_text()
        assert "episode_1: it has no actions" in letters
        assert "steps/reward has 3 timesteps, 15 were expected" in letters
        assert len(read_dataset(tmp_path / "out")) == 2


class TestD4rl:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        """Four real episodes one after the other; the third was cut off, the others ended in a terminal state."""
        steps = read_with_tfds(DATA / "rlds" / "modular_rl" / "walker2d_7_full" / "1.0.0")
        rows = [step for episode in steps for step in episode[:-1]]
        ends = np.cumsum([len(episode) - 1 for episode in steps]) - 1
        cut_off = np.zeros(len(rows), bool)
        cut_off[ends[2]] = True
        terminal = np.zeros(len(rows), bool)
        terminal[np.delete(ends, 2)] = True
        path = tmp_path / "walker2d-medium-v2.hdf5"
        with h5py.File(path, "w") as file:
            file["observations"] = np.stack([row["observation"] for row in rows])
            file["actions"] = np.stack([row["action"] for row in rows])
            file["rewards"] = np.stack([row["reward"] for row in rows])
            file["terminals"], file["timeouts"] = terminal, cut_off
            file["infos/action_log_probs"] = np.zeros(len(rows), np.float32)
            file["metadata/policy/fc0/weight"] = np.zeros((256, 17), np.float32)
        return path

    @pytest.mark.parametrize("with_next", [False, True])
    def test_the_tokens_are_those_of_tfdss_own_conversion(self, with_next: bool, file: Path, tmp_path: Path) -> None:
        """Its episodes have a placeholder of zeros behind terminal states, or behind all where next ones are known."""
        from tensorflow_datasets.d4rl import dataset_utils

        if with_next:
            with h5py.File(file, "r+") as opened:
                opened["next_observations"] = np.roll(opened["observations"][:], -1, axis=0)
        leaves = (
            Leaf(path="steps/observation", kind=Kind.TENSOR, dtype="float32", shape=(17,)),
            Leaf(path="steps/action", kind=Kind.TENSOR, dtype="float32", shape=(6,)),
            Leaf(path="steps/reward", kind=Kind.TENSOR, dtype="float32"),
        )
        episodes = []
        for _, episode in dataset_utils.generate_examples(str(file)):
            columns = {f"steps/{key}": np.asarray(episode["steps"][key]) for key in ("observation", "action", "reward")}
            last = {f"steps/{k}": np.asarray(episode["steps"][k], bool) for k in ("is_first", "is_last", "is_terminal")}
            episodes.append(RldsEpisode(num_timesteps=len(columns["steps/action"]), tensors={**columns, **last}))
        rlds = write_rlds(tmp_path / "rlds", "d4rl_mujoco_walker2d", leaves, episodes)
        found = tokens_of("modular-rl", file, tmp_path / "a")
        wanted = tokens_of("modular-rl", rlds, tmp_path / "b")
        policies = [read_manifest(tmp_path / name).tasks for name in "ab"]
        assert policies[0]["walker2d-medium-v2"].final_step.policy == "keep"
        assert policies[1]["d4rl_mujoco_walker2d"].final_step.policy == ("drop" if with_next else "drop-terminal")
        assert_same(found, wanted)
        assert [e.is_terminal for e in found] == [e.is_terminal for e in wanted] == [True, True, False, True]

    def test_it_says_what_is_left_out(self, file: Path, tmp_path: Path) -> None:
        tokens_of("modular-rl", file, tmp_path / "out")
        assert read_manifest(tmp_path / "out").tasks["walker2d-medium-v2"].left_out == {
            "infos/action_log_probs": "not part of the observation"
        }

    def test_without_timeouts_it_is_refused(self, file: Path) -> None:
        with h5py.File(file, "r+") as opened:
            del opened["timeouts"]
        with pytest.raises(InputError, match=r"has no timeouts .*cannot be told without \(--episode-length gives"):
            open_container(file)

    def test_a_time_limit_instead_of_timeouts(self, file: Path, tmp_path: Path) -> None:
        """Only the first episode, the longest, was cut off."""
        with h5py.File(file, "r+") as opened:
            ends = opened["terminals"][:] | opened["timeouts"][:]
            opened["timeouts"][:], opened["terminals"][:] = ends, ends
            opened["timeouts"][33:], opened["terminals"][:33] = False, False
        whole = tokens_of("modular-rl", file, tmp_path / "a")
        with h5py.File(file, "r+") as opened:
            del opened["timeouts"]
        found = tokens_of("modular-rl", file, tmp_path / "b", episode_length=33)
        assert_same(found, whole)
        assert [len(e.timestep_starts) for e in found] == [33, 15, 16, 22]
        assert [e.is_terminal for e in found] == [False, True, True, True]

    def test_a_time_limit_counts_from_the_last_end(self, tmp_path: Path) -> None:
        with h5py.File(tmp_path / "arm.hdf5", "w") as opened:
            opened["observations"] = np.arange(12, dtype=np.float32).reshape(12, 1)
            opened["actions"] = np.zeros((12, 1), np.float32)
            opened["terminals"] = np.isin(np.arange(12), [1, 10])
        found = tokens_of("rlds", tmp_path / "arm.hdf5", tmp_path / "out", episode_length=4)
        ends = [(len(e.timestep_starts), e.is_terminal) for e in found]
        assert ends == [(2, True), (4, False), (4, False), (1, True), (1, False)]

    def test_a_time_limit_for_nothing_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"says itself where episodes end \(Minari \(HDF5\)\): leave --episode-"):
            tokens_of("modular-rl", MINARI, tmp_path / "out", episode_length=10)
        with pytest.raises(GatoError, match="an episode length of 0 cannot be"):
            tokens_of("modular-rl", MINARI, tmp_path / "out", episode_length=0)


class TestHostileHdf5:
    def write(self, path: Path) -> Any:
        file = h5py.File(path, "w")
        file["actions"] = np.zeros((4, 2), np.float32)
        file["rewards"] = np.zeros(4, np.float32)
        file["terminals"], file["timeouts"] = np.zeros(4, bool), np.array([0, 0, 0, 1], bool)
        return file

    def test_links_to_other_files_are_refused(self, tmp_path: Path) -> None:
        with h5py.File(tmp_path / "secret.hdf5", "w") as file:
            file["observations"] = np.ones((4, 2), np.float32)
        with self.write(tmp_path / "arm.hdf5") as file:
            file["observations"] = h5py.ExternalLink(str(tmp_path / "secret.hdf5"), "observations")
        with pytest.raises(InputError, match="observations is a link to somewhere else"):
            open_container(tmp_path / "arm.hdf5")

    def test_values_in_other_files_are_refused(self, tmp_path: Path) -> None:
        (tmp_path / "secret.bin").write_bytes(bytes(32))
        with self.write(tmp_path / "arm.hdf5") as file:
            outside = [(str(tmp_path / "secret.bin"), 0, 32)]
            file.create_dataset("observations", (4, 2), np.float32, external=outside)
        container = open_container(tmp_path / "arm.hdf5")
        items = list(container.episodes("arm.hdf5", container.features.leaves))
        assert ["lies in other files" in str(item.error) for item in items] == [True]

    def test_a_virtual_set_is_refused(self, tmp_path: Path) -> None:
        with h5py.File(tmp_path / "secret.hdf5", "w") as file:
            file["data"] = np.ones((4, 2), np.float32)
        layout = h5py.VirtualLayout((4, 2), np.float32)
        layout[:] = h5py.VirtualSource(str(tmp_path / "secret.hdf5"), "data", shape=(4, 2))
        with self.write(tmp_path / "arm.hdf5") as file:
            file.create_virtual_dataset("observations", layout)
        container = open_container(tmp_path / "arm.hdf5")
        items = list(container.episodes("arm.hdf5", container.features.leaves))
        assert ["lies in other files" in str(item.error) for item in items] == [True]

    def test_a_huge_empty_set_takes_no_memory(self, tmp_path: Path) -> None:
        with self.write(tmp_path / "arm.hdf5") as file:
            file.create_dataset("observations", (4, 1 << 40), np.float32, chunks=(1, 1 << 20))
        assert (tmp_path / "arm.hdf5").stat().st_size < 100_000
        container = open_container(tmp_path / "arm.hdf5")
        items = list(container.episodes("arm.hdf5", container.features.leaves))
        assert ["bytes, at most" in str(item.error) for item in items] == [True]


class TestDetection:
    def test_a_folder_of_nothing_known(self, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").write_text("x")
        with pytest.raises(InputError, match="holds nothing that can be read here: an RLDS dataset"):
            open_container(tmp_path)

    def test_an_empty_folder(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="is empty"):
            open_container(tmp_path)

    def test_several_hdf5_files(self, tmp_path: Path) -> None:
        for name in ("a.hdf5", "b.hdf5"):
            h5py.File(tmp_path / name, "w").close()
        with pytest.raises(InputError, match=r"holds 2 HDF5 files: give one of them, or a pattern"):
            open_container(tmp_path)

    def test_several_rlds_data_sets(self) -> None:
        with pytest.raises(InputError, match="holds several datasets"):
            open_container(DATA / "rlds" / "modular_rl")

    @pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n" + bytes(100), b"x" * 1000])
    def test_no_hdf5_file(self, content: bytes, tmp_path: Path) -> None:
        (tmp_path / "a.hdf5").write_bytes(content)
        with pytest.raises(InputError, match="is no HDF5 file, or damaged"):
            open_container(tmp_path / "a.hdf5")


@pytest.mark.parametrize("lost", [0, 1, 2])
@pytest.mark.parametrize(
    ("source", "file", "name"),
    [
        ("atari", RAW / "run_1-00000-of-00001", "run_1-{:05}-of-00003"),
        ("babyai", JAT / "babyai-go-to-local" / "train-00000-of-00001.parquet", "train-{:05}-of-00003.parquet"),
    ],
    ids=["raw", "jat"],
)
def test_a_shard_that_the_others_promise_is_missed(
    source: str, file: Path, name: str, lost: int, tmp_path: Path
) -> None:
    folder = tmp_path / "Breakout"
    folder.mkdir()
    there = [folder / name.format(index) for index in range(3) if index != lost]
    for path in there:
        shutil.copy(file, path)
    message = rf"1 of 3 files of .* is missing, with an unknown number of episodes \({name.format(lost)}: No such"
    with pytest.raises(InputError, match=message):
        ingest(folder, tmp_path / "out", source=source)
    ingest(folder, tmp_path / "out", source=source, settings={"allow_missing_shards": True})
    ingest(there[0], tmp_path / "alone", source=source)
    whole, alone = read_dataset(tmp_path / "out"), read_dataset(tmp_path / "alone")
    for mine, theirs in zip(whole, [*alone, *alone], strict=True):
        np.testing.assert_array_equal(mine.tokens, theirs.tokens)
    account = read_manifest(tmp_path / "out").account
    assert [(note.kind, note.count) for note in account if note.kind == "missing"] == [("missing", 1)]


@pytest.mark.parametrize(
    "path",
    [
        RAW / "run_1-00000-of-00001",
        JAT / "babyai-go-to-local" / "train-00000-of-00001.parquet",
        MINARI / "data" / "main_data.hdf5",
    ],
    ids=["raw", "jat", "minari"],
)
def test_damage_anywhere_is_named_and_never_a_traceback(path: Path, tmp_path: Path) -> None:
    """A file cut off or changed at random: what is wrong is said of the file or of its episodes."""
    whole = gzip.decompress(path.read_bytes()) if path.parent == RAW else path.read_bytes()
    rng = np.random.default_rng(0)
    said: list[str] = []
    for number in range(60):
        data = bytearray(whole[: int(rng.integers(len(whole)))] if number % 5 == 0 else whole)
        for at in rng.integers(0, max(len(data), 1), int(rng.integers(1, 20))) if data else ():
            data[int(at)] ^= 1 << int(rng.integers(8))
        file = tmp_path / path.name
        file.write_bytes(gzip.compress(bytes(data), 1) if path.parent == RAW else bytes(data))
        open_container.cache_clear()
        try:
            container = open_container(file)
            items = [
                item
                for found in container.files("train")
                for item in container.episodes(found.name, container.features.steps, 0, found.num_episodes)
            ]
        except GatoError as error:
            said.append(str(error))
        else:
            said += [str(item.error) for item in items if item.error is not None][:1]
    assert len(said) > 20
    assert all(len(text) > 20 for text in said)
