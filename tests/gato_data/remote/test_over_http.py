"""`gato_data.open` over HTTP: batches and episodes are those of the folder; grown datasets; loaders with workers."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
from torch.utils.data import DataLoader

import gato_data
from gato_data.errors import InputError, MixtureError
from gato_data.mixing.make import plan_mixture
from gato_data.mixing.mixture_file import write_mixture
from gato_data.reading.batch import Batch
from gato_data.remote import fetch
from gato_data.remote.as_it_is import as_it_is
from gato_data.torch import Windows
from gato_data.verify.dataset import verify_dataset
from gato_schemas.mixture import Mixture
from tests.object_store import Bucket
from tests.remote_folders import run
from tests.rlds_inputs import moving, write

OPTIONS = {"context_length": 100, "batch_size": 8, "seed": 3}


def at(mixture: Mixture, *addresses: str) -> Mixture:
    """The mixture with its datasets at addresses."""
    moved = [msgspec.structs.replace(d, path=a) for d, a in zip(mixture.datasets, addresses, strict=True)]
    return msgspec.structs.replace(mixture, datasets=moved)


def same(one: Sequence[Batch], other: Sequence[Batch]) -> None:
    assert len(one) == len(other) > 0
    for here, there in zip(one, other, strict=True):
        for name in ("tokens", "loss_mask", "modality", "position", "patches", "sample", "dataset"):
            np.testing.assert_array_equal(getattr(here, name), getattr(there, name), err_msg=name)


def test_a_folder_and_a_mixture_file(bucket: Bucket, library: Path, tmp_path: Path) -> None:
    addresses = [bucket.put(library / name, name) for name in ("pong", "walker")]
    with gato_data.open(library / "pong") as here, gato_data.open(addresses[0], cache=tmp_path / "cache") as away:
        same([*here.batches(**OPTIONS)], [*away.batches(**OPTIONS, cache_size=2**20)])
        assert [e.id for e in here.episodes] == [e.id for e in away.episodes]
        np.testing.assert_array_equal(here.episodes[1].patches, away.episodes[1].patches)
    folders = [library / "pong", library / "walker"]
    write_mixture(tmp_path / "local.json", plan_mixture(folders, "uniform", folder=tmp_path))
    mixture = plan_mixture(folders, "uniform", folder=tmp_path)
    write_mixture(tmp_path / "away.json", at(mixture, *addresses))
    bucket.write("mixture.json", (tmp_path / "away.json").read_bytes())
    with (
        gato_data.open(tmp_path / "local.json") as here,
        gato_data.open(f"s3://{bucket.name}/mixture.json", cache=tmp_path / "cache") as away,
    ):
        same([*here.batches(**OPTIONS, steps=12)], [*away.batches(**OPTIONS, steps=12)])


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_loader_with_workers(bucket: Bucket, library: Path, tmp_path: Path, method: str) -> None:
    address = bucket.put(library / "pong", "pong")
    found = []
    for path in (str(library / "pong"), address):
        windows = Windows(path, context_length=100, batch_size=8, steps=6, cache=tmp_path / "cache")
        loader = DataLoader(windows, batch_size=None, num_workers=2, multiprocessing_context=method)
        found.append([batch["tokens"].numpy().copy() for batch in loader])
    for here, there in zip(*found, strict=True):
        np.testing.assert_array_equal(here, there)


def test_a_dataset_that_grew(bucket: Bucket, tmp_path: Path) -> None:
    write(tmp_path / "one", [moving(number, length=4 + number) for number in range(4)], shards=2)
    write(tmp_path / "two", [moving(number, length=4 + number) for number in range(4, 6)])
    run(tmp_path / "one", tmp_path / "grown")
    before = gato_data.open(tmp_path / "grown").mixture
    address = bucket.put(tmp_path / "grown", "grown")
    write_mixture(tmp_path / "before.json", at(before, address))
    options = {**OPTIONS, "context_length": 16}
    with gato_data.open(tmp_path / "before.json", cache=tmp_path / "cache") as dataset:
        wanted = [*dataset.batches(**options)]
    run(tmp_path / "two", tmp_path / "grown", append=True)
    bucket.remove("grown")
    bucket.put(tmp_path / "grown", "grown")
    assert any(name.startswith("grown/parents/") for name in bucket.names("grown"))
    with gato_data.open(tmp_path / "before.json", cache=tmp_path / "cache") as dataset:
        same([*dataset.batches(**options)], wanted)  # the parent in the bucket
    with gato_data.open(address, cache=tmp_path / "cache") as dataset:
        assert len(dataset.episodes) == len(gato_data.open(tmp_path / "grown").episodes)
    with as_it_is(address, tmp_path / "cache") as folder:
        verdict = verify_dataset(folder)
    assert verdict.whole, verdict.findings.kept
    assert verdict.findings.notes == verify_dataset(tmp_path / "grown").findings.notes


def test_a_shard_that_changes_is_refused(
    bucket: Bucket, library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "FIRST_WAIT", 0.0)
    with gato_data.open(bucket.put(library / "pong", "pong"), cache=tmp_path / "cache") as dataset:
        for name in bucket.names("pong"):
            if ".tfrecord-" in name and not name.endswith(".index"):
                bucket.write(name, bytes((library / name).stat().st_size))
        with pytest.raises(
            InputError, match=rf"s3://{bucket.name}/pong/pong-\S+ is another file than when it was open"
        ):
            [*dataset.batches(**OPTIONS)]
    bucket.put(library / "walker", "pong")
    write_mixture(tmp_path / "mixture.json", dataset.mixture)
    with pytest.raises(MixtureError, match="dataset pong is not what it was"):
        gato_data.open(tmp_path / "mixture.json", cache=tmp_path / "cache")
