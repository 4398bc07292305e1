"""Views: what is written, what it keeps, and that a view reads as a dataset of its episodes alone would."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gato_data
from gato_data.errors import MixtureError
from gato_data.mixing.make import add_stage, plan_mixture
from gato_data.reading.batch import Batch
from gato_data.reading.reader import MixtureReader, ReadSettings, open_mixture
from gato_data.shards.episodes import OpenDataset
from gato_data.shards.views import View, joined_name, split_name
from gato_schemas.dataset import read_manifest
from gato_schemas.mixture import read_mixture
from tests.gato_data.reading.folders import Made, decode, episodes, write_dataset

Mix = Callable[..., Path]
SETTINGS = ReadSettings(context_length=64)
LETTERS = st.characters(codec="utf-8", exclude_characters='"', exclude_categories=("Cc", "Zs", "Zl", "Zp"))
NAMES = st.lists(st.text(LETTERS, min_size=1), min_size=1, max_size=3)


@given(names=NAMES, number=st.floats(-1e9, 1e9), operator=st.sampled_from(["=", "!="]))
def test_what_a_view_writes_it_reads(names: list[str], number: float, operator: str) -> None:
    quoted = "|".join(f'"{name}"' for name in names)
    view = View.parse(f" task {operator} {quoted}, return>={number!r},share=0:0.25 ,terminal = yes")
    assert [each.column for each in view.conditions] == ["task", "return", "share", "terminal"]
    assert view.conditions[0].values == tuple(names)
    assert View.parse(str(view)) == view
    assert split_name(joined_name("breakout", view)) == ("breakout", view)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("taks=pong", r"no view by 'taks'. Did you mean 'task'\? There are task, agent, return, "),
        ("task", "'task' is no condition of a view: write it as in task=pong,return>=20"),
        ("return>=high", "'return>=high' compares with 'high': a number is wanted"),
        ("return>=nan", "a number is wanted"),
        ("task>pong", "'task>pong' wants = or != and a name"),
        ("task=", "wants = or != and a name"),
        ("share=0.5", "'share=0.5' is no share: write two numbers from 0 to 1, as in share=0:0.1"),
        ("share=10%", "'share=10%' is no share"),
        ("share=0:0.1:0.2", "is no share"),
        ("return=>20", "'return=>20' compares by '=>': one of = != < <= > >= is wanted"),
        ("task==pong", "'task==pong' compares by '=='"),
        ("return>2;length<9", "compares with '2;length<9': a number is wanted, and a comma between conditions"),
        ("return>2 and length<9", "a number is wanted, and a comma between conditions"),
        ("share=0.5:0.2", "'share=0.5:0.2' is no share: write two numbers from 0 to 1"),
        ("terminal=maybe", "'terminal=maybe' wants yes or no"),
        ("success=yes", "an index does not say whether an episode succeeded: ingest with --require-success"),
        ("task=a task=b", "is no condition|no task"),
    ],
)
def test_what_is_no_view(text: str, message: str, library: Path, mix: Mix) -> None:
    with pytest.raises(MixtureError, match=message):
        mix(library / "pong", weights=f"pong[{text}]=1")


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Two tasks and two agents in one dataset of three shards, patches and none, cut into records."""
    made = [*episodes("pong", [30, 1, 70, 7], seed=1), *episodes("walker", [40, 8, 22], seed=2, agents=3)]
    folder = tmp_path_factory.mktemp("several")
    write_dataset(folder / "both", {"train": [made[:2], made[2:5], made[5:]]}, chunk_tokens=100)
    return {"folder": folder, "made": made}


KEPT: dict[str, Callable[[Made], bool]] = {
    "task=pong": lambda made: made.task == "pong",
    "task=pong|walker,agent!=agent0": lambda made: made.agent != "agent0",
    "length>=20,length<70": lambda made: 20 <= made.sequence.num_timesteps < 70,
    "tokens<=200": lambda made: made.sequence.num_tokens <= 200,
    "loss-tokens>30": lambda made: int(made.sequence.loss_mask.sum()) > 30,
}


def same(one: Batch, other: Batch) -> bool:
    values = ((getattr(batch, entry.name) for entry in fields(Batch)) for batch in (one, other))
    return all(np.array_equal(a, b) for a, b in zip(*values, strict=True))


@pytest.mark.parametrize("encoding", ["zlib", "raw"])
@pytest.mark.parametrize("view", KEPT)
def test_a_view_reads_as_its_episodes_alone(several: dict[str, Any], view: str, encoding: Any, tmp_path: Path) -> None:
    made: list[Made] = several["made"]
    shards = [made[:2], made[2:5], made[5:]]
    kept = [[each for each in shard if KEPT[view](each)] for shard in shards]
    whole = write_dataset(tmp_path / "both", {"train": shards}, chunk_tokens=100, encoding=encoding)
    alone = write_dataset(tmp_path / "alone", {"train": kept}, chunk_tokens=100, encoding=encoding)
    mixture = plan_mixture([whole], {f"both[{view}]": 1.0}, folder=tmp_path)
    assert [dataset.name for dataset in mixture.datasets] == [f"both[{View.parse(view)}]"]
    views = [OpenDataset(whole, read_manifest(whole), View.parse(view))]
    few = [OpenDataset(alone, read_manifest(alone))]
    with MixtureReader(mixture, views, settings=SETTINGS) as one, MixtureReader(mixture, few, settings=SETTINGS) as two:
        samples = range(2 * one.num_windows)
        assert one.num_windows == two.num_windows
        assert same(one.batch(samples), two.batch(samples))
        ids = {window.pieces[-1].episode_id for window in one.explain(samples)}
    wholes = zip(decode(whole), made, strict=True)
    assert ids == {stored.episode_id for stored, each in wholes if KEPT[view](each)}


def test_shares_part_a_dataset(several: dict[str, Any]) -> None:
    folder = several["folder"] / "both"
    parts = [gato_data.open(folder, where=f"share={share}") for share in ("0:0.3", "0.3:0.7", "0.7:1")]
    ids = [episode.id for part in parts for episode in part.episodes]
    assert sorted(ids) == sorted(each.id for each in gato_data.open(folder).episodes)
    assert sum(part.episodes.num_tokens for part in parts) == gato_data.open(folder).episodes.num_tokens


def test_tasks_of_one_dataset_get_weights_of_their_own(several: dict[str, Any], mix: Mix) -> None:
    path = mix(several["folder"] / "both", weights="both[task=pong]=3,both[ task = walker ]=1")
    with open_mixture(path, settings=SETTINGS) as reader:
        assert reader.dataset_names == ("both[task=pong]", "both[task=walker]")
        batch = reader.batch(range(400))
        assert np.bincount(batch.dataset).tolist() == [300, 100]
        identity = reader.planner.identity()
    assert {"dataset both[task=pong]", "dataset both[task=walker]"} <= set(identity)


def test_a_view_leaves_out_what_another_dataset_has(several: dict[str, Any], tmp_path: Path, mix: Mix) -> None:
    made: list[Made] = several["made"]
    other = write_dataset(tmp_path / "other", {"train": [made[:1]], "validation": [made[4:5]]})
    path = mix(several["folder"] / "both", other, weights="both[not-in=other]=1,other=1")
    with gato_data.open(path) as dataset:
        assert len(dataset.episodes) == len(made) - 2 + 1
    with pytest.raises(MixtureError, match="leaves out what 'others' has, which is no dataset of the mixture"):
        open_mixture(mix(several["folder"] / "both", other, weights="both[not-in=others]=1,other=1"))


def test_a_stage_may_bring_a_view(several: dict[str, Any], mix: Mix) -> None:
    folder = several["folder"] / "both"
    path = mix(folder, weights="both=1")
    longer = add_stage(read_mixture(path), path, 100, [folder], "both=0,both[length>=30]=1")
    assert [dataset.name for dataset in longer.datasets] == ["both", "both[length>=30]"]
    assert [stage.weights for stage in longer.stages] == [[1, 0], [0, 1]]


def test_a_view_of_nothing_and_names_that_are_not_there(several: dict[str, Any], mix: Mix) -> None:
    folder = several["folder"] / "both"
    with pytest.raises(MixtureError, match=r"dataset both has no task 'pog'. Did you mean 'pong'\?"):
        mix(folder, weights="both[task=pog]=1")
    with pytest.raises(MixtureError, match=r"both\[task=pong\] has two weights, 1 and 2: give it one"):
        mix(folder, weights='both[task=pong]=1,both[task="pong"]=2')
    with pytest.raises(MixtureError, match=r"'both\[task=pong' has a bracket that is not closed"):
        mix(folder, weights="both[task=pong=1")
    path = mix(folder, weights="both[length>=1000]=1")
    with pytest.raises(
        MixtureError, match=r"a window in split 'train': no episode meets the conditions of both\[length>=1000\]"
    ):
        open_mixture(path)
    mixture = read_mixture(path)
    with pytest.raises(MixtureError, match=r"no window: no episode of it in 'train' of two tokens or more meets its"):
        open_mixture(mix(folder, weights="both[length>=1000]=1,both[length<1000]=1"))
    assert msgspec.to_builtins(mixture)["datasets"][0]["view"] == "length>=1000"
