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
from gato_data.report.html.page import embedded, render, write_page
from gato_data.report.html.pick import pick
from gato_data.report.quality import Thresholds, judge


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


def test_a_page_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot write the page"):
        write_page(tmp_path / "no" / "page.html", "")
