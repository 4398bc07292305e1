"""LeRobot datasets: samples that lerobot wrote, and small ones with the traps that people met."""

import json
import shutil
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gato_data.errors import GatoError, InputError
from gato_pipelines.containers.container import Container, Conventions, RawItem
from gato_pipelines.containers.detect import open_container
from gato_pipelines.control_source import ControlSource
from gato_pipelines.plugin import check_source
from gato_pipelines.sources.lerobot import Source
from gato_schemas.dataset import read_manifest
from tests.lerobot_inputs import CAMERA, FEATURES, FPS, columns, feature, moving, write_v2, write_v3, write_video
from tests.pipelines.sources.records import Written, read_dataset
from tests.pipelines.sources.reference import Expected, tokenize
from tests.rlds_inputs import ingest

DATA = Path(__file__).parents[2] / "data" / "lerobot"
V2, V3, PUSHT = DATA / "arm-v21", DATA / "arm-v30", DATA / "pusht-v30"
TOP, WRIST = "observation.images.top", "observation.images.wrist"
TEXT = "steps/language_instruction"
STATE = "steps/observation/state"


def opened(path: Path, **conventions: Any) -> Container:
    open_container.cache_clear()
    return open_container(path, Conventions(**conventions))


def items_of(path: Path) -> list[RawItem]:
    """All episodes with all leaves."""
    container = opened(path)
    return [
        item
        for file in container.files("train")
        for item in container.episodes(file.name, container.features.leaves, file.first, file.num_episodes)
    ]


def frames_of(item: RawItem, path: str = "steps/observation/images/top") -> np.ndarray:
    assert item.episode is not None, item.error
    return np.stack([frame.copy() for frame in item.episode.frames[path]])


def reason(item: RawItem, path: str = "steps/observation/images/top") -> str:
    """Why the frames of an episode cannot be read."""
    with pytest.raises(GatoError) as found:
        frames_of(item, path)
    return str(found.value)


def decoded(path: Path) -> list[np.ndarray]:
    """What PyAV alone makes of a file, a frame at a time."""
    with av.open(str(path)) as file:
        return [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]


def steps_of(root: Path, number: int) -> list[dict[str, Any]]:
    """The timesteps of an episode of the v2.1 sample, by pandas' and PyAV's plain readers alone."""
    rows = pq.read_table(root / f"data/chunk-000/episode_{number:06d}.parquet").to_pylist()
    lines = (root / "meta/tasks.jsonl").read_text().splitlines()
    tasks = {line["task_index"]: line["task"] for line in map(json.loads, lines)}
    videos = {name: decoded(root / f"videos/chunk-000/{name}/episode_{number:06d}.mp4") for name in (TOP, WRIST)}
    return [
        {
            "text": tasks[row["task_index"]],
            **{name: frames[at] for name, frames in videos.items()},
            "state": np.array(row["observation.state"], np.float32),
            "action": np.array(row["action"], np.float32),
        }
        for at, row in enumerate(rows)
    ]


@pytest.fixture(scope="module")
def arms(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Written]]:
    """Both samples of the arm, ingested."""
    found = {}
    for root in (V2, V3):
        out = tmp_path_factory.mktemp("out") / root.name
        ingest(root, out, source="lerobot")
        found[root.name] = read_dataset(out)
        assert {"av", "libavcodec"} <= read_manifest(out).libraries.keys()
    return found


class TestSamples:
    def test_both_versions_give_the_same_tokens(self, arms: dict[str, list[Written]]) -> None:
        assert len(arms[V2.name]) == len(arms[V3.name]) == 5
        for old, new in zip(arms[V2.name], arms[V3.name], strict=True):
            assert old.source_id == new.source_id
            for name in ("tokens", "modality", "loss_mask", "position", "patches", "timestep_starts"):
                np.testing.assert_array_equal(getattr(old, name), getattr(new, name))

    def test_the_tokens_are_those_of_plain_numpy(self, arms: dict[str, list[Written]]) -> None:
        expected = Expected(texts=("text",), images=(TOP, WRIST), tensors=("state",), drop_last=False)
        for number in (0, 3):  # 3 changes its task half-way
            wanted = tokenize(steps_of(V2, number), expected)
            found = arms[V2.name][number]
            np.testing.assert_array_equal(found.tokens, wanted.ids)
            np.testing.assert_array_equal(found.loss_mask, wanted.mask)
            np.testing.assert_array_equal(found.patches, np.stack(wanted.patches))

    def test_frames_are_those_of_a_decoder_on_its_own(self) -> None:
        whole = {name: [] for name in (TOP, WRIST)}
        for number in range(2):
            for name, frames in whole.items():
                frames += decoded(V3 / f"videos/{name}/chunk-000/file-{number:03d}.mp4")
        items = items_of(V3)
        for name, path in ((TOP, "steps/observation/images/top"), (WRIST, "steps/observation/images/wrist")):
            found = np.concatenate([frames_of(item, path) for item in items])
            assert len(found) == len(whole[name]) == 174
            assert np.abs(found.astype(int) - np.stack(whole[name])).max() <= 1

    def test_lengths_tasks_and_numbers(self) -> None:
        episodes = [item.episode for item in items_of(V3)]
        assert [episode.num_timesteps for episode in episodes] == [31, 46, 12, 58, 27]
        assert [int(episode.episode["episode_id"]) for episode in episodes] == [0, 1, 2, 3, 4]
        assert [len(set(episode.texts[TEXT])) for episode in episodes] == [1, 1, 1, 2, 1]

    def test_rewards_and_flags(self, tmp_path: Path) -> None:
        episodes = [item.episode for item in items_of(PUSHT)]
        totals = [float(episode.tensors["steps/reward"].sum()) for episode in episodes]
        np.testing.assert_allclose(totals, [20.92157, 0, 7.65661], atol=1e-4)
        assert [bool(episode.tensors["steps/success"].any()) for episode in episodes] == [True, False, True]
        assert all(episode.tensors["steps/is_terminal"][-1] for episode in episodes)
        ingest(PUSHT, tmp_path / "out", source="lerobot", settings={"require_success": "success"})
        assert [episode.source_id for episode in read_dataset(tmp_path / "out")] == ["0", "2"]

    def test_the_contract_of_sources(self) -> None:
        assert check_source("lerobot", PUSHT) == 3

    def test_every_source_of_control_data_reads_it(self, tmp_path: Path) -> None:
        ingest(PUSHT, tmp_path / "a", source="rlds")
        ingest(PUSHT, tmp_path / "b", source="lerobot")
        for one, other in zip(read_dataset(tmp_path / "a"), read_dataset(tmp_path / "b"), strict=True):
            np.testing.assert_array_equal(one.tokens, other.tokens)
        assert read_manifest(tmp_path / "a").libraries["av"]

    def test_statistics_are_ranges_of_actions(self, tmp_path: Path) -> None:
        lows = {}
        for root in (V2, V3):
            ingest(root, tmp_path / root.name, source="lerobot", settings={"action_range": "stats"})
            (task,) = read_manifest(tmp_path / root.name).tasks.values()
            lows[root.name] = task.actions[0].low, task.actions[0].high
        said = json.loads((V3 / "meta/stats.json").read_text())["action"]
        np.testing.assert_allclose(lows[V3.name], [said["min"], said["max"]])
        np.testing.assert_allclose(lows[V2.name], lows[V3.name], atol=1e-6)

    def test_statistics_of_other_formats_are_refused(self, tmp_path: Path) -> None:
        (tmp_path / "stats").mkdir()
        root = shutil.copytree(PUSHT, tmp_path / "a")
        (root / "meta/stats.json").write_text("{}")
        with pytest.raises(InputError, match="has no statistics for action 'action' of 2: --action-range minmax"):
            ingest(root, tmp_path / "out", source="lerobot", settings={"action_range": "stats"})

    def test_parts_are_runs_of_episodes_and_give_the_same(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("gato_pipelines.containers.ranges.RANGE_EPISODES", 2)
        ingest(V3, tmp_path / "out", source="lerobot")
        assert len(read_manifest(tmp_path / "out").splits["train"].shards) == 3
        one = [frames_of(item) for item in items_of(V3)]
        monkeypatch.undo()
        for found, wanted in zip(one, (frames_of(item) for item in items_of(V3)), strict=True):
            np.testing.assert_array_equal(found, wanted)

    def test_files_of_a_part_are_those_of_its_episodes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("gato_pipelines.containers.ranges.RANGE_EPISODES", 2)
        source = Source()
        open_container.cache_clear()
        names = [source.files_of(V2, part) for part in source.parts(V2)]
        assert [len(found) for found in names] == [3, 6, 6]
        assert len({name for found in names for name in found}) == 15


class TestEpisodes:
    @pytest.mark.parametrize(
        ("text", "wanted"), [("0:2,4", [0, 1, 4]), ("3:", [3, 4]), (":1", [0]), ("2", [2]), ("1:3,2:4", [1, 2, 3])]
    )
    def test_by_their_numbers(self, text: str, wanted: list[int]) -> None:
        assert _picked(Source(episodes=text), V3) == wanted

    def test_numbers_have_gaps(self, tmp_path: Path) -> None:
        root = write_v2(tmp_path, {number: columns(4, number) for number in (3, 7, 20)})
        assert _picked(Source(episodes="7:20"), root) == [7]
        assert _picked(Source(), root) == [3, 7, 20]
        with pytest.raises(
            InputError, match=r"names 4, of which .* has none: its 3 episodes have numbers from 3 to 20"
        ):
            _picked(Source(episodes="4"), root)

    def test_of_another_format_by_their_places(self, tmp_path: Path) -> None:
        root = DATA.parent / "rlds" / "rlu_atari"
        ingest(root, tmp_path / "all", source="atari")
        ingest(root, tmp_path / "some", source="atari", settings={"episodes": "1:3"})
        ids = [episode.source_id for episode in read_dataset(tmp_path / "all")]
        assert [episode.source_id for episode in read_dataset(tmp_path / "some")] == ids[1:3]

    @pytest.mark.parametrize("text", ["a", "1-2", ",", "1:2:3", "-1"])
    def test_what_is_none_is_refused(self, text: str) -> None:
        with pytest.raises(GatoError, match=r"episodes .* are none: numbers and ranges such as 0:10,17 are wanted"):
            Source(episodes=text)


def _picked(source: ControlSource, root: Path) -> list[int]:
    open_container.cache_clear()
    container = source.container(root)
    return [
        int(item.episode.episode["episode_id"])
        for part in source.parts(root)
        for item in container.episodes(
            part.file, container.features.select("steps/action", "episode_id"), part.first, part.count
        )
    ]


class TestTraps:
    def test_rows_are_found_where_the_description_is_stale(self, tmp_path: Path) -> None:
        episodes = [columns(4, number) for number in range(4)]
        root = write_v3(tmp_path, episodes, files=[0, 0, 1, 1], said=[0, 0, 0, 1])
        for item, rows in zip(items_of(root), episodes, strict=True):
            np.testing.assert_array_equal(item.episode.tensors["steps/action"], np.stack(rows["action"]))

    @pytest.mark.parametrize("group", [1, 3, 8, 20])
    @pytest.mark.parametrize("said", [True, False])
    def test_rows_are_found_in_row_groups_of_any_size(self, group: int, said: bool, tmp_path: Path) -> None:
        """Whether or not the footer says of each which episodes are in it."""
        episodes = [columns(4, number) for number in (3, 0, 1, 2)]
        root = write_v3(tmp_path, episodes)
        path = root / "data/chunk-000/file-000.parquet"
        pq.write_table(pq.read_table(path), path, row_group_size=group, write_statistics=said)
        for item, number in zip(items_of(root), (1, 2, 3, 0), strict=True):
            np.testing.assert_array_equal(item.episode.tensors["steps/action"], np.stack(episodes[number]["action"]))

    @pytest.mark.parametrize("length", [3, 5])
    def test_other_rows_than_described_are_a_dead_letter(self, length: int, tmp_path: Path) -> None:
        root = write_v3(tmp_path, [columns(4, 0), columns(4, 1)])
        path = root / "meta/episodes/chunk-000/file-000.parquet"
        table = pq.read_table(path)
        pq.write_table(table.set_column(1, "length", pa.array([4, length])), path)
        first, second = items_of(root)
        assert first.episode is not None
        assert str(second.error) == f"episode 1 has 4 rows, meta says {length}"

    @pytest.mark.parametrize("column", ["task", "__index_level_0__"])
    def test_names_of_the_column_of_tasks(self, column: str, tmp_path: Path) -> None:
        root = write_v3(tmp_path, [columns(4, 0, task=7)])
        pq.write_table(pa.table({column: ["first", "second"], "task_index": [7, 3]}), root / "meta/tasks.parquet")
        assert items_of(root)[0].episode.texts[TEXT] == ["first"] * 4

    def test_a_task_out_of_range_is_a_dead_letter(self, tmp_path: Path) -> None:
        (item,) = items_of(write_v2(tmp_path, {0: columns(4, 0, task=5)}))
        assert str(item.error) == "row 0 has task_index 5, which is none of the 2 in meta (0 to 1)"

    def test_lists_of_fixed_and_of_free_size(self, tmp_path: Path) -> None:
        rows = columns(4, 0)
        fixed = pa.FixedSizeListArray.from_arrays(pa.array(np.concatenate(rows["action"])), 2)
        found = [
            items_of(write_v2(tmp_path / name, {0: rows | {"action": values}}))[0].episode.tensors["steps/action"]
            for name, values in (("a", rows["action"]), ("b", fixed))
        ]
        np.testing.assert_array_equal(*found)

    def test_numbers_are_what_is_declared_unless_they_would_change(self, tmp_path: Path) -> None:
        rows = {0: columns(2, 0) | {"observation.state": [[1, 2, 3], [4, 5, 6]]}}
        (item,) = items_of(write_v2(tmp_path / "whole", rows))
        assert item.episode is not None
        assert item.episode.tensors[STATE].dtype == np.float32
        assert item.episode.tensors[STATE].tolist() == [[1, 2, 3], [4, 5, 6]]
        rows[0]["observation.state"] = [[1.5, 2, 3], [4, 5, 6]]
        root = write_v2(tmp_path / "halves", rows, features=FEATURES | {"observation.state": feature("int64", 3)})
        with pytest.raises(GatoError, match="state is of float64, int64 is announced"):
            ingest(root, tmp_path / "out", source="lerobot")

    def test_other_peoples_names(self, tmp_path: Path) -> None:
        rows = columns(4, 0)
        pictures = [{"bytes": _png(frame), "path": None} for frame in moving(4)]
        renamed = {"image": pictures, "state": rows.pop("observation.state"), "actions": rows.pop("action"), **rows}
        features = {name: FEATURES[name] for name in rows}
        features |= {"image": feature("image", 32, 48, 3), "state": feature("float32", 3)}
        features |= {"actions": feature("float32", 2), "annotation.human.task": feature("int64", 1)}
        root = write_v2(tmp_path, {0: {**renamed, "annotation.human.task": [0] * 4}}, features=features)
        (item,) = items_of(root)
        np.testing.assert_array_equal(item.episode.tensors[STATE], np.stack(renamed["state"]))
        assert bytes(item.episode.images["steps/observation/image"][0]) == pictures[0]["bytes"]
        assert "steps/column/annotation.human.task" in item.episode.tensors

    def test_without_an_action_its_columns_are_named(self, tmp_path: Path) -> None:
        features = {name: value for name, value in FEATURES.items() if name != "action"}
        root = write_v2(tmp_path, {0: columns(4, 0)}, features=features)
        with pytest.raises(
            InputError, match=r"no column 'action' or 'actions' .* but episode_index, .* observation\.state"
        ):
            opened(root)

    def test_one_of_several_actions(self, tmp_path: Path) -> None:
        features = FEATURES | {"action.delta": feature("float32", 2)}
        rows = columns(4, 0)
        root = write_v2(tmp_path, {0: rows | {"action.delta": rows["action"][::-1]}}, features=features)
        assert "is action, not action.delta" in opened(root).notes[0].text
        chosen = opened(root, action_key="action.delta")
        (item,) = chosen.episodes("meta/info.json", chosen.features.leaves)
        np.testing.assert_array_equal(item.episode.tensors["steps/action"], np.stack(rows["action"][::-1]))

    def test_channels_first(self, tmp_path: Path) -> None:
        features = FEATURES | {CAMERA: feature("video", 3, 32, 48)}
        root = write_v2(tmp_path, {0: columns(4, 0)}, features=features)
        write_video(root / f"videos/chunk-000/{CAMERA}/episode_000000.mp4", moving(4))
        assert frames_of(items_of(root)[0]).shape == (4, 32, 48, 3)

    def test_splits(self, tmp_path: Path) -> None:
        episodes = {number: columns(4, number) for number in range(4)}
        root = write_v2(tmp_path / "a", episodes, splits={"train": "0:3", "val": "3:4"})
        container = opened(root)
        assert container.splits == ("train", "val")
        assert [(file.first, file.num_episodes) for file in container.files("val")] == [(3, 1)]
        alone = opened(write_v2(tmp_path / "b", episodes, splits={"train": "0:2"}))
        assert [file.num_episodes for file in alone.files("train")] == [4]

    def test_depth_is_left_out_unless_it_is_asked_for(self, tmp_path: Path) -> None:
        name, distances = "observation.images.far", np.linspace(0, 4095, 4 * 64 * 96).astype(np.uint16)
        path = tmp_path / f"a/videos/chunk-000/{name}/episode_000000.mp4"
        _write_depth(path, distances.reshape(4, 64, 96))
        features = FEATURES | {name: feature("video", 64, 96, 1, info={"is_depth_map": True})}
        root = write_v2(tmp_path / "a", {0: columns(4, 0)}, features=features)
        settings = {"observation_keys": ("images/far", "state")}
        ingest(root, tmp_path / "asked", source="lerobot", settings=settings)
        (episode,) = read_dataset(tmp_path / "asked")
        gray = episode.patches.reshape(4, 4, 6, 16, 16, 3).swapaxes(2, 3).reshape(4, 64, 96, 3)
        np.testing.assert_array_equal(gray[..., 0], (distances >> 4).reshape(4, 64, 96))
        ingest(root, tmp_path / "out", source="lerobot")
        (task,) = read_manifest(tmp_path / "out").tasks.values()
        assert task.left_out["images/far"].startswith("a map of labels or distances: name it")

    def test_a_picture_beside_the_rows_is_a_dead_letter(self, tmp_path: Path) -> None:
        pictures = pa.array(
            [{"bytes": None, "path": "../../secret.png"}] * 4, pa.struct({"bytes": pa.binary(), "path": pa.string()})
        )
        features = FEATURES | {"observation.image": feature("image", 32, 48, 3)}
        root = write_v2(tmp_path, {0: columns(4, 0) | {"observation.image": pictures}}, features=features)
        assert "steps/observation/image lacks images (are they links?)" in str(items_of(root)[0].error)


def _png(frame: np.ndarray) -> bytes:
    import cv2

    return bytes(cv2.imencode(".png", frame[..., ::-1])[1])


def _write_depth(path: Path, distances: np.ndarray) -> None:
    path.parent.mkdir(parents=True)
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx265", rate=FPS, options={"x265-params": "lossless=1:log-level=none"})
        stream.height, stream.width, stream.pix_fmt = *distances.shape[1:], "gray12le"
        for number, values in enumerate(distances):
            frame = av.VideoFrame.from_ndarray(values, format="gray12le")
            frame.pts = number
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


class TestDescriptions:
    @pytest.mark.parametrize("version", ["v1.6", "v2.2", "v4.0", "none", ""])
    def test_of_another_version(self, version: str, tmp_path: Path) -> None:
        root = shutil.copytree(PUSHT, tmp_path / "a")
        _change(root, codebase_version=version)
        with pytest.raises(
            InputError,
            match=r"LeRobot v1\.6 dataset .*, older than v2\.0|of version '.*', v2\.0, v2\.1, v3\.0 are read",
        ):
            opened(root)

    @pytest.mark.parametrize(
        "template",
        [
            "../../etc/{video_key}",
            "/etc/passwd",
            "{chunk_index.__class__}",
            "{chunk_index:999999999d}",
            "{chunk_index!r}",
            "{nothing}",
            "{{",
            "..",
            "",
        ],
    )
    @pytest.mark.parametrize("which", ["data_path", "video_path"])
    def test_names_of_files_stay_inside_and_small(self, which: str, template: str, tmp_path: Path) -> None:
        root = shutil.copytree(PUSHT, tmp_path / "a")
        _change(root, **{which: template})
        if which == "video_path" and not template:
            return
        with pytest.raises(InputError, match=r"info\.json of LeRobot names"):
            opened(root)

    def test_a_camera_whose_name_leads_outside(self, tmp_path: Path) -> None:
        features = FEATURES | {"observation.images/../../../x": feature("video", 32, 48, 3)}
        root = write_v2(tmp_path, {0: columns(4, 0)}, features=features)
        with pytest.raises(InputError, match="outside its folder"):
            items_of(root)

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"fps": 0}, "says 0.0 frames a second"),
            ({"fps": 1e300}, "frames a second"),
            ({"chunks_size": 0}, "0 episodes a folder"),
            ({"features": {}}, "no column 'action'"),
            ({"features": 3}, "cannot be read"),
            ({"video_path": None}, "no video_path"),
        ],
    )
    def test_what_cannot_be(self, change: dict[str, Any], said: str, tmp_path: Path) -> None:
        root = shutil.copytree(PUSHT, tmp_path / "a")
        _change(root, **change)
        with pytest.raises(InputError, match=said):
            opened(root)

    @pytest.mark.parametrize("name", ["meta/episodes/chunk-000/file-000.parquet", "meta/tasks.parquet"])
    @pytest.mark.parametrize("damage", ["cut off", "missing", "text"])
    def test_damage(self, name: str, damage: str, tmp_path: Path) -> None:
        root = shutil.copytree(PUSHT, tmp_path / "a")
        content = (root / name).read_bytes()
        (root / name).unlink()
        if damage != "missing":
            (root / name).write_bytes(content[:-30] if damage == "cut off" else b"no parquet")
        with pytest.raises(InputError, match="download it"):
            opened(root)

    @pytest.mark.parametrize(
        "part", ["data/chunk-000/file-000.parquet", "data", "meta", "meta/info.json", "videos/observation.image"]
    )
    def test_a_part_of_a_dataset_names_its_folder(self, part: str) -> None:
        with pytest.raises(InputError, match=f"is a part of the LeRobot dataset .*{PUSHT.name}, which is read whole"):
            opened(PUSHT / part)

    def test_rows_without_their_dataset(self, tmp_path: Path) -> None:
        shutil.copy(PUSHT / "data/chunk-000/file-000.parquet", tmp_path)
        with pytest.raises(InputError, match=r"rows of a LeRobot dataset \(columns .*, which is read whole"):
            opened(tmp_path / "file-000.parquet")

    @pytest.mark.parametrize("root", [V2, V3], ids=["v2.1", "v3.0"])
    def test_a_description_that_is_damaged_or_gone_is_named(self, root: Path, tmp_path: Path) -> None:
        root = shutil.copytree(root, tmp_path / "a")
        (root / "meta/info.json").write_text('{"codebase_version":')
        with pytest.raises(InputError, match=r"meta/info.json of .* cannot be read"):
            opened(root)
        (root / "meta/info.json").unlink()
        with pytest.raises(InputError, match=r"a lacks meta/info.json: download it$"):
            opened(root)

    def test_a_description_that_git_lfs_has_not_fetched(self, tmp_path: Path) -> None:
        root = shutil.copytree(V3, tmp_path / "a")
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 9\n"
        (root / "meta/tasks.parquet").write_text(pointer)
        with pytest.raises(InputError, match=r"tasks\.parquet is a Git LFS pointer, .* run git lfs pull$"):
            opened(root)

    def test_statistics_without_a_side(self, tmp_path: Path) -> None:
        root = shutil.copytree(PUSHT, tmp_path / "a")
        (root / "meta/stats.json").write_text('{"action": {"mean": [0, 0]}}')
        with pytest.raises(InputError, match=r"meta/stats.json .* cannot be read \(it has no min and max of 'action'"):
            ingest(root, tmp_path / "out", source="lerobot", settings={"action_range": "stats"})

    def test_episodes_that_are_counted_and_not_described_are_told(self, tmp_path: Path) -> None:
        root = shutil.copytree(V3, tmp_path / "a")
        assert not opened(root).notes
        (root / "meta/episodes/chunk-000/file-001.parquet").unlink()
        (note,) = opened(root).notes
        assert (note.kind, note.count) == ("left-out", 2)
        assert note.text.startswith("episodes that meta/info.json of a counts")
        assert "(5, not 3)" in note.text

    def test_damaged_rows_cost_their_episodes(self, tmp_path: Path) -> None:
        root = shutil.copytree(V2, tmp_path / "a")
        path = root / "data/chunk-000/episode_000002.parquet"
        path.write_bytes(path.read_bytes()[:3000])
        (root / "data/chunk-000/episode_000004.parquet").unlink()
        items = items_of(root)
        assert [item.episode is not None for item in items] == [True, True, False, True, False]
        assert "data/chunk-000/episode_000002.parquet cannot be read" in str(items[2].error)
        assert str(items[4].error) == "data/chunk-000/episode_000004.parquet is not there"


def _change(root: Path, **values: Any) -> None:
    path = root / "meta/info.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
