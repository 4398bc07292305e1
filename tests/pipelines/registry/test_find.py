"""Sources by name."""

import subprocess
import sys

import pytest

from gato_data.errors import SettingError
from gato_pipelines.registry.find import make_source, source_class, source_names


def test_names_are_listed_without_importing_a_source() -> None:
    code = (
        "import sys; from gato_pipelines.registry.find import source_names; names = source_names(); "
        "print(*names); print(*[m for m in sys.modules if m.startswith('gato_pipelines.sources.')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    names, imported = done.stdout.splitlines()
    assert "atari" in names.split()
    assert names.split() == sorted(source_names())
    assert imported == ""


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("atarri", "no source named 'atarri'. Did you mean 'atari'?"),
        ("../atari", "no source named '../atari'. Did you mean 'atari'?"),
        ("", f"no source named ''. There are: {', '.join(source_names())}."),
        ("os.path", f"no source named 'os.path'. There are: {', '.join(source_names())}."),
    ],
)
def test_an_unknown_source(name: str, message: str) -> None:
    with pytest.raises(SettingError) as raised:
        source_class(name)
    assert str(raised.value) == message


def test_settings_are_the_fields_of_the_source() -> None:
    settings = {"image_size": (32, 48), "final_step": "keep"}
    source = make_source("atari", settings)
    assert {name: getattr(source, name) for name in settings} == settings
    assert source != make_source("atari", {})


def test_an_unknown_setting() -> None:
    with pytest.raises(SettingError, match=r"^source 'atari' has no setting 'image_sizes': it has .*image_size, "):
        make_source("atari", {"image_sizes": (1, 2)})
