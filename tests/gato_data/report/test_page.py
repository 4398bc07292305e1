import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gato_data.errors import OutputError
from gato_data.report.dataset import summarize_dataset
from gato_data.report.episodes import EpisodeList
from gato_data.report.html.content import dataset_content
from gato_data.report.html.distributions import histogram
from gato_data.report.html.image import data_uri
from gato_data.report.html.page import embedded, render, write_page
from gato_data.report.html.pick import pick
from gato_data.report.quality import Thresholds, judge
from tests.gato_data.report.folders import SILENT, Folder, robot_episode, write_folder


def content_of(folder: Path, limit: int = 24) -> dict[str, Any]:
    summary = summarize_dataset(folder)
    return dataset_content(summary, judge(summary, Thresholds()), limit)


@given(
    st.recursive(st.text() | st.floats() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
)
def test_nothing_in_the_data_can_end_its_script_element(value: Any) -> None:
    text = embedded(value)
    assert not re.search(r"[<>&]", text)
    assert text.isascii()
    json.loads(text)


def test_the_page_is_one_file_without_addresses(told: Path) -> None:
    page = render("a <title>", [content_of(told)])
    assert "<title>a &lt;title&gt;</title>" in page
    addresses = set(re.findall(r"https?://[^\"' ]+", page))
    assert addresses == {"http://www.w3.org/2000/svg"}  # a name, not an address to load from
    assert "default-src &#x27;none&#x27;" in page


def test_the_same_dataset_gives_the_same_page(told: Path) -> None:
    assert render("x", [content_of(told)]) == render("x", [content_of(told)])


def test_every_token_of_a_shown_timestep_is_on_the_page(told: Path) -> None:
    content = content_of(told)
    assert (len(content["episodes"]), content["num_episodes"]) == (4, 4)
    for episode in content["episodes"]:
        assert len(episode["parts"]) == episode["timesteps"]
        for part in episode["parts"]:
            sizes = [g["rows"] * g["columns"] if "frame" in g else len(g["ids"]) for g in part["groups"]]
            assert sum(sizes) == part["total"]
        assert sum(part["total"] for part in episode["parts"]) == episode["tokens"]


def test_curves_are_the_decoded_actions(told: Path) -> None:
    episode = content_of(told)["episodes"][1]
    assert episode["curves"]["times"] == [0, 1, 2, 3]
    assert episode["curves"]["reward"] == [0, 1, 2, 3]
    assert list(episode["curves"]["actions"]) == ["action/arm[0]", "action/arm[1]", "action/button"]
    assert episode["curves"]["actions"]["action/arm[1]"] == pytest.approx([-1, 0, 1, 2], abs=2 / 1024)
    assert episode["curves"]["actions"]["action/button"] == [3, 4, 3, 4]


def test_a_long_episode_is_sampled_over_all_its_chunks(tmp_path: Path) -> None:
    folder = Folder(name="long", specs={"robot": SILENT}, splits={"train": [[robot_episode(0, 4000)]]})
    (episode,) = content_of(write_folder(tmp_path / "long", folder))["episodes"]
    steps = [part["step"] for part in episode["parts"]]
    assert (steps[0], steps[-1], len(steps)) == (0, 3999, 24)
    assert (episode["timesteps"], episode["tokens"]) == (4000, 44_000)
    assert [part["reward"] for part in episode["parts"]] == [str(step) for step in steps]
    assert len(episode["curves"]["times"]) == len(episode["curves"]["reward"]) == 300


def episodes(timesteps: np.ndarray, returns: np.ndarray, tasks: int = 1) -> EpisodeList:
    size = len(timesteps)
    zeros = np.zeros(size, np.int32)
    return EpisodeList(
        shards=["s"],
        splits=["train"],
        tasks=[f"task{n}" for n in range(tasks)],
        shard=zeros,
        record=np.arange(size, dtype=np.int32),
        split=zeros,
        task=(np.arange(size) % tasks).astype(np.int32),
        timesteps=timesteps,
        images=timesteps,
        patches=timesteps,
        tokens=22 * timesteps,
        loss_tokens=timesteps,
        episode_return=returns.astype(np.float32),
        terminal=zeros.astype(bool),
        hash=np.arange(size, dtype=np.uint64),
    )


def test_ten_thousand_episodes_are_sampled() -> None:
    random = np.random.default_rng(0)
    lengths, returns = random.integers(10, 1000, 10_000), random.normal(size=10_000)
    lengths[1234], lengths[4321], returns[99], returns[77] = 5000, 1, 50, -50
    picks = pick(episodes(lengths, returns), 24)
    assert len(picks) == 24
    assert [p.episode for p in picks] == sorted(p.episode for p in picks)
    why = {p.episode: p.why for p in picks if p.why}
    assert why == {1234: "longest", 4321: "shortest", 99: "highest return", 77: "lowest return"}
    assert max(np.diff([p.episode for p in picks])) < 1000


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_a_small_sample_is_still_not_larger_than_asked(limit: int) -> None:
    returns = np.full(50, np.nan)
    assert len(pick(episodes(np.arange(1, 51), returns, tasks=7), limit)) == limit


def test_few_episodes_are_all_shown() -> None:
    assert [p.episode for p in pick(episodes(np.ones(3, np.int64), np.zeros(3)), 24)] == [0, 1, 2]


def test_histograms_of_whole_numbers_have_whole_intervals() -> None:
    found = histogram(np.array([1.0, 1, 2, 4]))
    assert found["edges"] == ["1", "2", "3", "4", "5"]
    assert found["counts"] == [2, 1, 0, 1]
    assert found["marks"] == ["1", "1", "1.5", "2.5", "4"]


@given(st.lists(st.floats(-1e30, 1e30), min_size=1, max_size=50))
def test_histograms_count_everything(values: list[float]) -> None:
    found = histogram(np.array(values))
    assert sum(found["counts"]) == len(values)
    assert len(found["edges"]) == len(found["counts"]) + 1 <= 33


def test_frames_are_exact_where_they_fit() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    uri, exact = data_uri(noise, 10**6)
    assert exact
    assert uri.startswith("data:image/webp;base64,")
    small, exact = data_uri(noise, 3000)
    assert not exact
    assert len(small) < len(uri) / 2


def test_a_page_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot write the page"):
        write_page(tmp_path / "no" / "page.html", "")
