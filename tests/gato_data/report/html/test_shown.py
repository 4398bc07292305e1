"""Whole episodes are on the page, exactly, and what does not fit is thinned and told."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gato_data.report.dataset import summarize_dataset
from gato_data.report.html import shown
from gato_data.report.html.content import dataset_content
from gato_data.report.html.packed import json_of
from gato_data.report.quality import Thresholds, judge
from gato_schemas.episode import Document, EpisodeSpec, Image, Text
from tests.gato_data.report.folders import SILENT, Folder, robot_episode, write_folder
from tests.gato_data.report.html.unpacking import Unpacked, pictures


def content_of(folder: Path, limit: int = 24, share: float = 1.0) -> dict[str, Any]:
    summary = summarize_dataset(folder)
    return dataset_content(summary, judge(summary, Thresholds()), limit, share)


def noisy(number: int, timesteps: int) -> Any:
    camera = np.random.default_rng(number).integers(0, 255, (timesteps, 32, 32, 3), dtype=np.uint8)
    episode = robot_episode(number, timesteps)
    return dataclasses.replace(episode, observations={**episode.observations, "camera": camera})


def silent(path: Path, *episodes: Any) -> Path:
    return write_folder(path, Folder(name="arm", specs={"robot": SILENT}, splits={"train": [list(episodes)]}))


def test_every_timestep_of_a_long_episode_is_on_the_page(tmp_path: Path) -> None:
    content = content_of(silent(tmp_path / "long", robot_episode(0, 4000)))
    (episode,) = content["episodes"]
    assert (episode["timesteps"], episode["shown"], episode["tokens"]) == (4000, 4000, 44_000)
    assert len(episode["chunks"]) > 1
    found = Unpacked(episode)
    np.testing.assert_array_equal(found.steps, np.arange(4000))
    np.testing.assert_array_equal(found.reward, np.arange(4000, dtype=np.float32))
    np.testing.assert_array_equal(found.offset, np.concatenate([11 * np.arange(n) for n in episode["chunks"]]))


def test_frames_are_the_pixels_of_the_episode(tmp_path: Path) -> None:
    episodes = [robot_episode(0, 300), noisy(1, 20)]
    content = content_of(silent(tmp_path / "arm", *episodes))
    patches = pictures(content)
    assert content["exact"]
    assert len({patch.tobytes() for patch in patches[: 3 + 256 + 80]}) >= 3 + 26 + 80  # each of them once
    for episode, raw in zip(content["episodes"], episodes, strict=True):
        (cells,) = Unpacked(episode).cells.values()
        for step in (0, 7, len(raw.reward) - 1):
            blocks = patches[cells[:4, step]].reshape(2, 2, 16, 16, 3)
            np.testing.assert_array_equal(
                blocks.transpose(0, 2, 1, 3, 4).reshape(32, 32, 3), raw.observations["camera"][step]
            )


def test_tokens_are_the_ids_and_their_values(told: Path) -> None:
    content = content_of(told)
    assert [episode["shown"] for episode in content["episodes"]] == [3, 4, 1, 2]
    for episode in content["episodes"]:
        found = Unpacked(episode)
        totals = [content["layouts"][number]["total"] for number in found.layout]
        assert sum(totals) == episode["tokens"]
    groups = content["layouts"][0]["groups"]
    assert [group["name"] for group in groups][-3:] == ["separator", "action/arm", "action/button"]
    button, cells = groups[-1], Unpacked(content["episodes"][1]).cells[0]
    texts = [content["tables"][button["tables"][0]][str(id)] for id in cells[button["first"]]]
    assert texts == ["3", "4", "3", "4"]


def test_what_does_not_fit_is_thinned_evenly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = silent(tmp_path / "noise", noisy(0, 400), noisy(1, 10))
    whole = content_of(folder)
    assert [episode["shown"] for episode in whole["episodes"]] == [400, 10]
    monkeypatch.setattr(shown, "PAGE_BYTES", 60_000)
    content = content_of(folder)
    long, short = content["episodes"]
    assert 10 <= long["shown"] < 400
    assert short["shown"] == 10  # a short one loses nothing before a long one is as short
    steps = Unpacked(long).steps
    assert (steps[0], steps[-1]) == (0, 399)
    assert np.ptp(np.diff(steps.astype(int))) <= 1
    assert not content["exact"]
    assert len(json_of([content["episodes"], content["sheets"]])) < 75_000
    np.testing.assert_array_equal(Unpacked(long).low, Unpacked(whole["episodes"][0]).low)  # curves stay whole


def test_more_patches_than_memory_allows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = silent(tmp_path / "noise", *(noisy(number, 50) for number in range(4)))
    monkeypatch.setattr(shown, "MOST", 300)
    counts = [episode["shown"] for episode in content_of(folder)["episodes"]]
    assert len(counts) == 4
    assert 1 <= counts[0] <= 18  # 4 patches a timestep, 4 episodes
    assert len(set(counts)) == 1


def test_one_timestep_of_each_is_shown_however_small_the_share(tmp_path: Path) -> None:
    folder = silent(tmp_path / "noise", noisy(0, 50), noisy(1, 50))
    content = content_of(folder, share=1e-6)
    assert [episode["shown"] for episode in content["episodes"]] == [1, 1]
    assert len(pictures(content)) >= 8


def test_a_long_document_is_cut_and_says_so(tmp_path: Path) -> None:
    picture = Image(np.zeros((1024, 512, 3), np.uint8))
    document = Document(task="page", segments=(Text("a"), picture))
    folder = Folder(name="pages", specs={"page": EpisodeSpec((), ())}, splits={"train": [[document]]})
    content = content_of(write_folder(tmp_path / "pages", folder))
    (layout,) = content["layouts"]
    assert layout["total"] > 2048
    assert sum(group["count"] for group in layout["groups"]) == 1024
    assert "rows" not in layout["groups"][-1]


def test_the_command_of_an_episode_can_be_pasted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = silent(tmp_path / "it's a folder", robot_episode(0, 3))
    (episode,) = content_of(folder)["episodes"]
    assert episode["command"].startswith("gato-data inspect shard '/")
    assert "it'\"'\"'s a folder/arm-train.tfrecord-00000-of-00001'" in episode["command"]
    monkeypatch.chdir(tmp_path)
    folder.rename("-arm")
    (episode,) = content_of(Path("-arm"))["episodes"]
    assert episode["command"] == "gato-data inspect shard ./-arm/arm-train.tfrecord-00000-of-00001"
