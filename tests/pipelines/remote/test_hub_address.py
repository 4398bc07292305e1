"""Datasets at an address of the Hub, through a stand-in for its file system: no network."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import _registry

from gato_data.errors import InputError, MissingPackageError
from gato_data.remote import folder
from gato_data.remote.address import as_place
from gato_pipelines.ingest.run import IngestSettings, plan_only
from tests.document_inputs import ingest
from tests.remote_folders import run, up
from tests.rlds_inputs import digests

HUB = Path(__file__).parents[2] / "data" / "documents" / "hub"


class StandIn(MemoryFileSystem):
    """Files in memory under the addresses of the Hub."""

    protocol = "hf"
    store: ClassVar[dict[str, object]] = {}


@pytest.fixture
def hub() -> Iterator[fsspec.AbstractFileSystem]:
    before = _registry.get("hf")
    fsspec.register_implementation("hf", StandIn, clobber=True)
    folder._system_of.cache_clear()
    yield fsspec.filesystem("hf")
    StandIn.store.clear()
    folder._system_of.cache_clear()
    _registry.pop("hf")
    if before is not None:
        _registry["hf"] = before


@pytest.mark.parametrize("name", ["hf_caption", "imagefolder", "energon_interleaved"])
def test_an_address_is_read_as_its_folder_is(hub: fsspec.AbstractFileSystem, tmp_path: Path, name: str) -> None:
    address = up(hub, HUB / name, f"hf://datasets/somebody/{name}")
    hub.pipe_file(f"{address}/.gitattributes", b"*.parquet filter=lfs")
    ingest("hub", HUB / name, tmp_path / "local" / "out")
    run(address, tmp_path / "remote" / "out", "hub", holdout=0.0)
    assert digests(tmp_path / "remote" / "out") == digests(tmp_path / "local" / "out")


def test_a_revision_and_a_pattern(hub: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    address = up(hub, HUB / "hf_caption", "hf://datasets/somebody/photos@main")
    run(f"{address}/data/train-00000-*.parquet", tmp_path / "out", "hub", holdout=0.0)
    run(address, tmp_path / "all", "hub", holdout=0.0)


def test_without_the_package_of_the_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    monkeypatch.delitem(_registry, "hf", raising=False)  # what an earlier test has loaded
    folder._system_of.cache_clear()
    address = "hf://datasets/somebody/photos"
    with pytest.raises(MissingPackageError, match=rf"^{address} needs another package: pip install huggingface_hub$"):
        plan_only("hub", {}, address, tmp_path / "out", IngestSettings())


@pytest.mark.parametrize("behind", ["", "/", "/tree/main/data", "/viewer?split=train"])
def test_a_page_of_the_hub_names_its_address(behind: str) -> None:
    with pytest.raises(InputError, match="is a page for people: give hf://datasets/somebody/photos, which"):
        as_place(f"https://huggingface.co/datasets/somebody/photos{behind}")
    file = "https://huggingface.co/datasets/somebody/photos/resolve/main/train.parquet"
    assert as_place(file) == file
