"""The licence of the data: as the input says it, or as it is asked for."""

from pathlib import Path

import pytest

from gato_data.errors import SettingError
from gato_pipelines.ingest.run import run
from gato_pipelines.ingest.settings import IngestSettings
from gato_schemas.dataset import read_manifest
from tests.rlds_inputs import digests

TEXT = '{"text": "one two three"}\n'


def ingest(tmp_path: Path, licence: str = "", **asked: bool) -> list[str]:
    lines: list[str] = []
    settings = IngestSettings(workers=1, licence=licence, **asked)  # type: ignore[arg-type]
    run("massivetext", {}, tmp_path / "a.jsonl", tmp_path / "out", settings, lines.append)
    return lines


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "a.jsonl").write_text(TEXT)
    return tmp_path / "out"


def test_the_same_command_with_another_licence_writes_manifest_and_card_anew(tmp_path: Path, out: Path) -> None:
    ingest(tmp_path)
    before, unlicensed = digests(out), read_manifest(out)
    assert (unlicensed.source.licence, "license:\n- unknown\n" in (out / "README.md").read_text()) == ("", True)
    assert "the licence is CC-BY-4.0 now" in ingest(tmp_path, "CC-BY-4.0")
    manifest = read_manifest(out)
    assert (manifest.source.licence, manifest.content_id) == ("CC-BY-4.0", unlicensed.content_id)
    assert manifest.fingerprint == unlicensed.fingerprint
    assert "license:\n- cc-by-4.0\n" in (out / "README.md").read_text()
    changed = {name for name, digest in digests(out).items() if before[name] != digest}
    assert changed == {"README.md", "croissant.json", "dataset.json", "dataset_copy.json", "dataset_info.json"}
    licensed = digests(out)
    assert not any("licence" in line for line in ingest(tmp_path))
    assert digests(out) == licensed
    ingest(tmp_path, "CC-BY-4.0", overwrite=True)
    assert digests(out) == licensed


def test_a_readme_of_somebody_else_outlives_every_run(tmp_path: Path, out: Path) -> None:
    ingest(tmp_path)
    (out / "README.md").write_text("# My own words\n")
    ingest(tmp_path, "MIT")
    ingest(tmp_path, "MIT", overwrite=True)
    (tmp_path / "a.jsonl").write_text(TEXT.replace("one", "four"))
    ingest(tmp_path, "MIT", append=True)
    assert (out / "README.md").read_text() == "# My own words\n"
    assert read_manifest(out).content_id in (out / "croissant.json").read_text()


@pytest.mark.parametrize("licence", ["mit\n", " mit", "x" * 301, "\x1b[31m"])
def test_what_is_no_licence(licence: str) -> None:
    with pytest.raises(
        SettingError, match=r"^licence is '.*': an SPDX identifier such as CC-BY-4\.0 is wanted, or up to"
    ):
        IngestSettings(licence=licence)
