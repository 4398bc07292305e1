"""Which inputs there are: one check for every source, with the close name that may have been meant."""

import os
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from gato_data.errors import InputError
from gato_pipelines.ingest.inputs import check_place, find_inputs
from gato_pipelines.registry.find import make_source, source_names
from tests.document_inputs import make_tsv
from tests.remote_folders import empty_memory, run, up
from tests.rlds_inputs import moving, write


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    """fsspec's memory, empty before and after."""
    yield from empty_memory()


@pytest.mark.parametrize("source", source_names())
def test_what_is_not_there_is_no_input_of_any_source(source: str, tmp_path: Path) -> None:
    (tmp_path / "breakout").mkdir()
    with pytest.raises(InputError) as raised:
        find_inputs(make_source(source, {}), tmp_path / "braekout")
    assert str(raised.value) == f"{tmp_path}/braekout does not exist: did you mean {tmp_path}/breakout?"


@pytest.mark.parametrize(
    ("given", "close"),
    [
        ("atari/Pong", "atari/pong"),
        ("atrai/pong/1.0.0", "atari/pong/1.0.0"),
        ("atari/pong/1.0.0/x.jsonl", ""),
        ("nothing/like/it", ""),
    ],
)
def test_the_first_name_that_is_missing_is_mended(tmp_path: Path, given: str, close: str) -> None:
    (tmp_path / "atari" / "pong" / "1.0.0").mkdir(parents=True)
    hint = f"did you mean {tmp_path / close}?" if close else "give the folder or the file of a dataset"
    with pytest.raises(InputError) as raised:
        check_place(tmp_path / given, given)
    assert str(raised.value) == f"{given} does not exist: {hint}"


def test_a_link_to_nothing_a_pipe_and_a_closed_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match=r"^link is a link to what does not exist: give"):
        check_place(tmp_path / "link", "link")
    with pytest.raises(InputError, match=r"^pipe is a pipe or a device: write its content to a file and give that$"):
        check_place(tmp_path / "pipe", "pipe")

    def closed(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", closed)  # root may read everything
    with pytest.raises(InputError, match=r"^mine cannot be read \(Permission denied\): mend that"):
        check_place(tmp_path, "mine")


@pytest.mark.parametrize("name", ["x" * 300, "a\0b"])
def test_names_that_no_disk_can_have(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"^it cannot be read \("):
        check_place(tmp_path / name, "it")


class TestPathsOfSettings:
    def test_inside_the_input_or_from_here(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder = make_tsv(tmp_path / "cc")
        monkeypatch.chdir(tmp_path)
        for images in ("images", "cc/images", str(folder / "images")):
            assert list(find_inputs(make_source("conceptual-captions", {"images": images}), folder)) == ["cc"]

    @pytest.mark.parametrize(
        ("setting", "value", "message"),
        [
            ("images", "imges", "--images imges does not exist: did you mean {folder}/images?"),
            ("images", "cc/imges", "--images cc/imges does not exist: did you mean cc/images?"),
            (
                "annotations",
                "captoins.tsv",
                "--annotations captoins.tsv does not exist: did you mean {folder}/captions.tsv?",
            ),
            ("images", "zzz", "--images zzz does not exist: give the folder or the file of a dataset"),
            (
                "images",
                "s3://bucket/images",
                "--images s3://bucket/images is remote: copy it to this machine, or put it .*",
            ),
        ],
    )
    def test_a_misspelt_one(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, value: str, message: str
    ) -> None:
        folder = make_tsv(tmp_path / "cc")
        monkeypatch.chdir(tmp_path)
        with pytest.raises(InputError, match=f"^{message.format(folder=folder)}$".replace("?", r"\?")):
            find_inputs(make_source("conceptual-captions", {setting: value}), folder)


class TestRemote:
    def test_a_close_address(self, memory: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
        up(memory, write(tmp_path / "rlds", [moving(0)]), "memory://bucket/recordings")
        with pytest.raises(InputError) as raised:
            run("memory://bucket/recordigns", tmp_path / "out")
        assert str(raised.value) == (
            "memory://bucket/recordigns does not exist, or is empty: did you mean memory://bucket/recordings?"
        )

    def test_episodes_for_a_source_of_documents(self, memory: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
        """Every file of a corpus is fetched when it is read; those that tell a format are here before."""
        given = up(memory, write(tmp_path / "rlds", [moving(0)]), "memory://bucket/recordings")
        with pytest.raises(
            InputError, match=r"^memory://bucket/recordings looks like an RLDS dataset \(features\.json\)"
        ):
            run(given, tmp_path / "out", "massivetext")
