"""Datasets at hf:// addresses, through the file system of huggingface_hub and a hub of this machine."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from click.testing import CliRunner, Result
from fsspec.registry import _registry

import gato_data
from gato_cli.main import cli
from gato_data.errors import InputError, MissingPackageError, OutputError
from gato_data.remote import folder as remote_folder
from gato_pipelines.ingest.run import IngestSettings, run
from gato_schemas.dataset import read_manifest
from tests.hub_standin import Hub, hub_of

ADDRESS = "hf://datasets/somebody/breakout"


@pytest.fixture
def hub(breakout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub that has the dataset somebody/breakout."""
    shutil.copytree(breakout, tmp_path / "hub" / "somebody" / "breakout")
    (tmp_path / "hub" / "somebody" / "breakout" / ".gitattributes").write_text("*.model filter=lfs\n")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with hub_of(tmp_path / "hub") as found:
        monkeypatch.setitem(fsspec.config.conf, "hf", {"endpoint": found.url, "token": False})
        remote_folder._system_of.cache_clear()
        yield found
    remote_folder._system_of.cache_clear()


def command(*arguments: str) -> Result:
    return CliRunner().invoke(cli, [*arguments])


def test_a_dataset_of_the_hub_is_opened_and_read(hub: Hub, breakout: Path) -> None:
    with gato_data.open(ADDRESS) as there, gato_data.open(breakout) as here:
        assert len(there.episodes) == len(here.episodes)
        for one, other in zip(
            *(d.batches(context_length=64, batch_size=4, steps=3) for d in (there, here)), strict=True
        ):
            assert (one.tokens == other.tokens).all()


def test_no_more_is_sent_than_is_read(hub: Hub, breakout: Path) -> None:
    with gato_data.open(ADDRESS) as dataset:
        dataset.episodes[0].tokens  # noqa: B018
    shard = read_manifest(breakout).splits["train"].shards[0]
    assert 0 < hub.sent(shard.name) < shard.size


def test_the_commands_take_its_address(hub: Hub, tmp_path: Path) -> None:
    for found in (
        command("inspect", "dataset", ADDRESS),
        command("inspect", "dataset", f"{ADDRESS}@main"),
        command("verify", ADDRESS),
        command("mix", ADDRESS, "--weights", "uniform", "--out", str(tmp_path / "mixture.json")),
    ):
        assert found.exit_code == 0, found.output
    assert command("verify", ADDRESS).output.startswith(f"{ADDRESS} is whole: ")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (
            "hf://datasets/somebody/nothing",
            "hf://datasets/somebody/nothing does not exist, or is empty: give the folder",
        ),
        ("hf://somebody/breakout", f"hf://somebody/breakout does not exist, or is empty: did you mean {ADDRESS}?"),
        (f"{ADDRESS}@v1", f"{ADDRESS}@v1 does not exist, or is empty: give the folder"),
        ("hf://datasets/somebody", "Repository id must be 'namespace/name'"),
        ("https://huggingface.co/datasets/somebody/breakout", f"is a page for people: give {ADDRESS}"),
    ],
)
def test_what_is_not_there(hub: Hub, address: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        gato_data.open(address)
    assert message in str(error.value)


def test_a_dataset_that_changed_there_is_refused(hub: Hub, breakout: Path) -> None:
    shard = read_manifest(breakout).splits["train"].shards[0]
    with gato_data.open(ADDRESS) as dataset:
        (hub.root / "somebody" / "breakout" / shard.name).write_bytes(b"\1" * shard.size)
        with pytest.raises(InputError, match="is another file than when it was opened"):
            dataset.episodes[0].tokens  # noqa: B018


def test_a_hub_that_cannot_be_reached(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(fsspec.config.conf, "hf", {"endpoint": "http://127.0.0.1:9", "token": False})
    remote_folder._system_of.cache_clear()
    with pytest.raises(InputError, match=f"^{ADDRESS} cannot be read .*: check the address"):
        gato_data.open(ADDRESS)


def test_an_ingest_reads_from_the_hub_and_does_not_write_there(hub: Hub, tmp_path: Path) -> None:
    texts = hub.root / "somebody" / "texts"
    texts.mkdir()
    (texts / "a.jsonl").write_text('{"text": "one two three"}\n')
    run("massivetext", {}, "hf://datasets/somebody/texts/a.jsonl", tmp_path / "texts", IngestSettings(workers=1))
    assert read_manifest(tmp_path / "texts").totals.episodes == 1
    with pytest.raises(OutputError, match=r"is only read, .* `hf upload somebody/new FOLDER \. --repo-type dataset`"):
        run("massivetext", {}, texts / "a.jsonl", "hf://datasets/somebody/new", IngestSettings(workers=1))


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    monkeypatch.delitem(_registry, "hf", raising=False)  # what an earlier test has loaded
    remote_folder._system_of.cache_clear()
    with pytest.raises(MissingPackageError, match=f"^{ADDRESS} needs another package: pip install huggingface_hub$"):
        gato_data.open(ADDRESS)
