"""Input that something writes to while it is ingested: files of texts, archives, and folders of small files."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from gato_data.errors import InputError
from gato_pipelines.ingest import dataset_writer
from gato_pipelines.ingest import run as ingesting
from gato_pipelines.ingest.runners import run_over
from gato_pipelines.ingest.settings import IngestSettings
from tests.document_inputs import make_tar, six_samples
from tests.rlds_inputs import digests


def lines(folder: Path) -> Path:
    """Two files of JSON lines."""
    folder.mkdir(parents=True)
    for name in ("a.jsonl", "b.jsonl"):
        (folder / name).write_text("".join(json.dumps({"text": f"{name} {n}"}) + "\n" for n in range(5)))
    return folder


def small_files(folder: Path) -> Path:
    """Files of one document each, which share a part."""
    folder.mkdir(parents=True)
    for name in ("a.txt", "b.txt", "c.txt"):
        (folder / name).write_text(f"The text of {name}.")
    return folder


def run(source: str, folder: Path, out: Path) -> None:
    ingesting.run(source, {}, folder, out, IngestSettings(workers=1))


@pytest.mark.parametrize(
    ("make", "changes", "part"),
    [(lines, "b.jsonl", "b.jsonl"), (small_files, "c.txt", "a.txt")],
)
@pytest.mark.parametrize("change", ["longer", "shorter", "gone"])
def test_texts_that_change_after_the_scan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], Path], changes: str, part: str, change: str
) -> None:
    source, out = make(tmp_path / "in"), tmp_path / "out"
    run("massivetext", source, tmp_path / "undisturbed" / "out")
    path, content = source / changes, (source / changes).read_bytes()
    before = sum(p.stat().st_size for p in source.iterdir()) if make is small_files else len(content)

    def changed(*arguments: object) -> None:
        if change == "gone":
            path.unlink()
        else:
            path.write_bytes(content * 2 if change == "longer" else content[:-7])
        run_over(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(dataset_writer, "run_over", changed)
        with pytest.raises(InputError) as raised:
            run("massivetext", source, out)
    if change == "gone":
        assert str(raised.value).startswith(f"{part} cannot be read (No such file or directory)")
    else:
        now = before + (len(content) if change == "longer" else -7)
        assert str(raised.value) == (
            f"{part} changed while it was ingested: it had {before} bytes and has {now} now; run the same command "
            "again when nothing writes to it any more, finished shards are kept"
        )
    assert not (out / "dataset.json").exists()
    path.write_bytes(content)
    run("massivetext", source, out)
    assert digests(out) == digests(tmp_path / "undisturbed" / "out")


def test_a_text_that_grows_between_two_runs_is_scanned_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small files share one part, which keeps its name when one of them grows."""
    source, out = small_files(tmp_path / "in"), tmp_path / "out"

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(dataset_writer, "run_over", stopped)
        with pytest.raises(KeyboardInterrupt):
            run("massivetext", source, out)
    (source / "b.txt").write_text("Another text, which is longer than the one before.")
    run("massivetext", source, out)
    run("massivetext", source, tmp_path / "new" / "out")
    assert digests(out) == digests(tmp_path / "new" / "out")


def test_an_archive_that_grows_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    archive = make_tar(folder / "00000.tar", six_samples())
    size = archive.stat().st_size

    def changed(*arguments: object) -> None:
        with archive.open("ab") as file:
            file.write(bytes(512))
        run_over(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(dataset_writer, "run_over", changed)
    with pytest.raises(InputError, match=f"{archive.name} changed while it was ingested: it had {size} bytes"):
        run("align", folder, tmp_path / "out")
