"""What every source keeps to."""

import dataclasses
import pickle
import shlex
import shutil
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest

from gato_cli.main import cli
from gato_cli.options import settings_options
from gato_data import image_decoding as images
from gato_data.errors import GatoError, InputError, SettingError
from gato_data.families import TABLE_1
from gato_pipelines.ingest.run import IngestSettings, plan_only
from gato_pipelines.registry.find import make_source, source_class, source_names
from gato_schemas.index import Part
from tests.pipelines.sources.cases import CASES, Case
from tests.rlds_inputs import digests, ingest

NAMES = source_names()
SAMPLES = [case for case in CASES if not case.settings]
IDS = [f"{case.source}-{case.task}" for case in SAMPLES]


@pytest.mark.parametrize("name", NAMES)
class TestEverySource:
    def test_it_is_a_frozen_dataclass_that_says_what_it_reads(self, name: str) -> None:
        cls: Any = source_class(name)
        assert dataclasses.is_dataclass(cls)
        assert cls.__dataclass_params__.frozen
        assert cls.__doc__.strip().splitlines()[0].endswith(".")
        assert cls.licence

    def test_its_families_are_rows_of_table_1(self, name: str) -> None:
        cls: Any = source_class(name)
        families = getattr(cls, "families", ()) or (cls.family,)
        assert set(filter(None, families)) <= set(TABLE_1)
        assert cls.family in {"", *families}

    def test_its_settings_are_plain_options_with_help(self, name: str) -> None:
        source = make_source(name, {})
        assert msgspec.json.encode(dataclasses.asdict(source))  # type: ignore[call-overload]
        for option in settings_options(type(source)):
            assert option.help, option.name
            assert option.help.endswith("."), option.name

    def test_it_travels_to_workers(self, name: str) -> None:
        source = make_source(name, {})
        assert pickle.loads(pickle.dumps(source)) == source

    def test_an_unknown_setting_is_named(self, name: str) -> None:
        with pytest.raises(SettingError, match=f"source '{name}' has no setting 'colour': it has "):
            make_source(name, {"colour": "red"})

    def test_nothing_there_is_an_error_with_a_sentence(self, name: str, tmp_path: Path) -> None:
        for path in (tmp_path, tmp_path / "absent"):
            with pytest.raises(GatoError) as caught:
                plan_only(name, {}, path, tmp_path / "out", IngestSettings())
            assert str(tmp_path) in str(caught.value)

    def test_its_example_is_a_command_that_exists(self, name: str) -> None:
        example = getattr(source_class(name), "example", "")
        if example:
            words = shlex.split(example)
            assert words[:3] == ["gato-data", "ingest", name]
            group = cli.get_command(click.Context(cli), "ingest")
            assert isinstance(group, click.Group)
            command = group.get_command(click.Context(group), name)
            assert command is not None
            command.make_context(name, words[3:])


def test_the_paper_has_a_source_for_every_row() -> None:
    found: set[str] = set()
    for name in NAMES:
        cls: Any = source_class(name)
        found |= set(getattr(cls, "families", ()) or (cls.family,))
    assert set(TABLE_1) <= found


@pytest.mark.parametrize("case", SAMPLES, ids=IDS)
class TestEveryControlSource:
    def test_parts_and_episodes_come_in_the_same_order_every_time(self, case: Case) -> None:
        source = make_source(case.source, case.settings)
        parts = source.parts(case.folder)
        assert parts
        assert parts == source.parts(case.folder)
        assert {part.task for part in parts} == {case.task}
        task = plan_only(case.source, case.settings, case.folder, Path("absent"), IngestSettings()).plan.tasks[
            case.task
        ]
        for part in parts:
            items = list(source.read(case.folder, part, task))
            assert [item.ordinal for item in items] == list(range(part.count))
            assert all(item.error is None and item.content is not None for item in items)

    def test_the_scan_decodes_no_image(self, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*args: Any, **kwargs: Any) -> None:
            raise AssertionError("an image was decoded")

        monkeypatch.setattr(images.import_cv2(), "imdecode", refuse)
        settings = {**case.settings, "min_return_fraction": 0.8, "action_range": "quantile"}
        source = make_source(case.source, settings)
        for part in source.parts(case.folder):
            scan = source.scan(case.folder, part)
            assert scan.part.count == len(scan.returns) == scan.ends.episodes

    def test_a_moved_input_gives_the_same_bytes_and_no_path_gets_into_a_file(self, case: Case, tmp_path: Path) -> None:
        shutil.copytree(case.folder, tmp_path / "moved" / "elsewhere")
        ingest(case.folder, tmp_path / "a" / "same", source=case.source, max_episodes=2)
        ingest(tmp_path / "moved" / "elsewhere", tmp_path / "b" / "same", source=case.source, max_episodes=2)
        assert digests(tmp_path / "a" / "same") == digests(tmp_path / "b" / "same")
        for path in (tmp_path / "b").rglob("*"):
            if path.is_file():
                data = path.read_bytes()
                assert str(tmp_path).encode() not in data
                assert str(case.folder).encode() not in data

    def test_a_part_names_its_input(self, case: Case, tmp_path: Path) -> None:
        plan = plan_only(case.source, case.settings, case.folder, tmp_path, IngestSettings()).plan
        names = make_source(case.source, case.settings).input_names(case.folder)
        assert {part.input for part in plan.parts} == set(names)
        assert all(not Path(part.file).is_absolute() and isinstance(part, Part) for part in plan.parts)

    def test_an_unknown_key_is_named(self, case: Case, tmp_path: Path) -> None:
        for option in ("observation_keys", "drop_keys", "action_keys"):
            with pytest.raises(InputError, match=rf"--{option.replace('_', '-')} names 'nonsense', which .* lacks"):
                plan_only(case.source, {option: ("nonsense",)}, case.folder, tmp_path, IngestSettings())

    def test_an_unknown_split_is_named(self, case: Case, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="has no split 'tset'"):
            plan_only(case.source, {"split": "tset"}, case.folder, tmp_path, IngestSettings())
