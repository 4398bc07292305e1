"""The documents: every command has a page, every command line in them is one that works, every link leads somewhere."""

import re
import runpy
import shlex
from collections.abc import Iterator
from pathlib import Path, PurePath

import click
import pytest

from gato_cli.main import cli

ROOT = Path(__file__).parents[1]
PAGES = sorted({*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "tests").rglob("*.md")})
LONG = 20
"""Words in a row that no two pages share."""
TEXTS = sorted(
    path
    for folder in ("gato_data", "schemas", "pipelines", "cli", "trainer", "tests", "benchmarks", "docs", ".ci")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in {".py", ".md", ".toml", ".json", ".html", ""} and path.is_file() and "data" not in path.parts
) + sorted(path for path in ROOT.iterdir() if path.suffix in {".py", ".md", ".toml", ".txt"})


def commands(
    group: click.Command = cli, words: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yields every command that does something, with the words that call it."""
    if takes_arguments(group):
        yield words, group
    if not isinstance(group, click.Group):
        return
    context = click.Context(group, info_name=" ".join(("gato-data", *words)))
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, name
        yield from commands(command, (*words, name))


def takes_arguments(command: click.Command) -> bool:
    """Returns whether a command does something itself: it is no group, or one such as mix."""
    return not isinstance(command, click.Group) or any(isinstance(item, click.Argument) for item in command.params)


def command_lines(text: str) -> Iterator[list[str]]:
    """Yields the arguments of every gato-data command line in a text; a backslash joins lines."""
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        match = re.match(r"\s*(?:\$ )?gato-data (.+)", line)
        if match:
            yield shlex.split(match.group(1), comments=True)


def fenced(text: str) -> str:
    """Returns what stands in the fenced blocks of a Markdown text."""
    return "\n".join(re.findall(r"^```[^\n]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL))


def unknown_words(arguments: list[str]) -> list[str]:
    """Returns the commands and options of a command line that do not exist."""
    command: click.Command = cli
    words = iter(arguments)
    options = {name for option in cli.params for name in option.opts}
    for word in words:
        if word.startswith("-") or not isinstance(command, click.Group):
            break
        found = command.get_command(click.Context(command), word)
        if found is None:
            if takes_arguments(command):
                break
            return [word]
        command = found
    known = options | {"-h", "--help"}
    known |= {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
    used = [word.partition("=")[0] for word in arguments if re.match(r"--?[a-z]", word)]
    return [word for word in used if word not in known]


@pytest.mark.parametrize("name", cli.list_commands(click.Context(cli)))
def test_every_command_has_a_page(name: str) -> None:
    page = ROOT / "docs" / "commands" / f"{name}.md"
    assert page.is_file(), f"write docs/commands/{name}.md"
    text = page.read_text(encoding="utf-8")
    for words, _ in commands():
        if words[0] == name:
            assert f"gato-data {' '.join(words)}" in text


def test_the_help_of_every_command_has_an_example() -> None:
    found = list(commands())
    assert len(found) >= 7
    without = [words for words, command in found if f"gato-data {' '.join(words)}" not in (command.help or "")]
    assert without == []


def test_every_command_line_in_a_help_text_exists() -> None:
    lines = [line for _, command in commands() for line in command_lines(command.help or "")]
    assert {shlex.join(line): unknown_words(line) for line in lines if unknown_words(line)} == {}


def test_every_command_line_of_the_demo_exists() -> None:
    lines = [shlex.split(line) for line in runpy.run_path(str(ROOT / "dev.py"))["DEMO"]]
    assert {shlex.join(line): unknown_words(line) for line in lines if unknown_words(line)} == {}


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page.parent.name != "tutorials"],  # test_tutorials.py runs those
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_every_command_line_in_a_page_exists(page: Path) -> None:
    lines = list(command_lines(fenced(page.read_text(encoding="utf-8"))))
    assert {shlex.join(line): unknown_words(line) for line in lines if unknown_words(line)} == {}


def test_no_ingest_that_is_shown_writes_into_its_input() -> None:
    pages = [line for page in PAGES for line in command_lines(fenced(page.read_text(encoding="utf-8")))]
    helps = [line for _, command in commands() for line in command_lines(command.help or "")]
    group = cli.get_command(click.Context(cli), "ingest")
    assert isinstance(group, click.Group)
    sources, found = group.list_commands(click.Context(group)), []
    for line in pages + helps:
        if line[0] != "ingest" or line[1] not in sources or "--help" in line:
            continue
        command = group.get_command(click.Context(group), line[1])
        assert command is not None
        given = command.make_context(line[1], line[2:]).params
        if any(is_inside(given["out"], place) for place in given["inputs"]):
            found.append(line)
    assert len(pages) > 60
    assert found == []


def is_inside(out: Path | str, place: Path | str) -> bool:
    """Returns whether an output lies in an input, or in the folder of a pattern."""
    folder = PurePath(str(place).partition("*")[0]) if "*" in str(place) else PurePath(place)
    return PurePath(out).is_relative_to(folder)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert broken == []


def test_no_page_says_what_another_says() -> None:
    found: dict[tuple[str, ...], str] = {}
    doubled = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for left_out in (r"^```.*?^```", r"^## Exit codes$.*?(?=^## |\Z)"):  # every command has its own codes
            text = re.sub(left_out, "", text, flags=re.MULTILINE | re.DOTALL)
        words = re.findall(r"[\w/.%'-]+", text)
        runs = {tuple(words[at : at + LONG]) for at in range(len(words) - LONG + 1)}
        doubled += [f"{page.name} and {found[run]}: {' '.join(run)}" for run in runs if run in found]
        found |= dict.fromkeys(runs, page.name)
    assert doubled == []


def anchors(page: Path) -> set[str]:
    """Returns the anchors of a page's headings, made as code hosts make them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_no_file_names_a_place_on_somebodys_machine() -> None:
    assert len(TEXTS) > 100
    personal = re.compile(r"(?<![\w.}~-])/(?:home|root|Users|work)/\w[\w./-]*")
    found = {str(path.relative_to(ROOT)): personal.findall(path.read_text(encoding="utf-8")) for path in TEXTS}
    assert {name: places for name, places in found.items() if places} == {}


def test_unknown_words_are_found() -> None:
    assert unknown_words(["ingest", "atari", "x", "--out", "y"]) == []
    assert unknown_words(["ingest", "atari", "x", "--into", "y"]) == ["--into"]
    assert unknown_words(["ingets", "atari"]) == ["ingets"]
