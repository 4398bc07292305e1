"""What ingest and record show while they run: a bar that fits the terminal, lines in a log, nothing harmful."""

import io
import re
from typing import Any

import pytest

from gato_cli import ingest_progress
from gato_cli.ingest_progress import IngestProgress, RecordProgress, duration
from gato_pipelines.ingest.progress import StageProgress

HALF: Any = {
    "stage": "write",
    "parts": 12,
    "parts_done": 5,
    "episodes": 1000,
    "episodes_done": 500,
    "tokens": 1_234_567,
    "size": 30_000_000,
    "seconds": 60.0,
}
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


def drawn(stream: io.StringIO) -> list[str]:
    """What was drawn, one line for every drawing."""
    return [line.rstrip() for line in re.split(r"[\r\n]+", CONTROL.sub("", stream.getvalue())) if line.strip()]


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("columns", "end"),
    [
        (40, " 5/12 parts"),
        (60, " 5/12 parts, 60 s left"),
        (80, " 5/12 parts, 60 s left, 500/1,000 episodes, 1,234,567 tokens"),
        (200, " 5/12 parts, 60 s left, 500/1,000 episodes, 1,234,567 tokens, 500.0 kB/s"),
    ],
)
def test_the_bar_fits_the_terminal(monkeypatch: pytest.MonkeyPatch, columns: int, end: str) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    stream = Terminal()
    with IngestProgress(stream) as shown:
        shown.show(StageProgress(**HALF))
    (line,) = {line for line in drawn(stream) if "parts" in line}
    assert line.startswith("writing ━")
    assert line.endswith(end)
    assert len(line) <= columns
    bar = line.removeprefix("writing ").removesuffix(end)
    assert set(bar) <= set("━╸╺")
    assert len(bar) >= 12
    assert stream.getvalue().count("\x1b[?25l") == stream.getvalue().count("\x1b[?25h") == 1


def test_a_log_gets_plain_lines_and_none_at_the_end() -> None:
    stream = io.StringIO()
    with IngestProgress(stream) as shown:
        assert shown.every == 60
        shown.show(StageProgress(stage="scan", parts=1))
        shown.show(StageProgress(**HALF))
        shown.show(StageProgress(**{**HALF, "episodes_done": 1000, "parts_done": 12}))
    assert stream.getvalue().splitlines() == [
        "scanning: 0%, 0/1 part",
        "writing: 50%, 5/12 parts, 60 s left, 500/1,000 episodes, 1,234,567 tokens, 500.0 kB/s",
    ]


def test_a_terminal_without_a_cursor_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    with IngestProgress(Terminal()) as shown:
        assert shown.every == 60


def test_lines_beside_the_bar_are_printable() -> None:
    stream = io.StringIO()
    with IngestProgress(stream) as shown:
        shown.say("a note of\x1b[2J " + "x" * 5000 + " [red]")
    (line,) = stream.getvalue().splitlines()
    assert line.startswith("a note of\\x1b[2J xxx")
    assert len(line) < 2100


def test_the_bar_is_taken_away_after_a_failure() -> None:
    stream = Terminal()
    shown = IngestProgress(stream)

    def fail() -> None:
        with shown:
            shown.show(StageProgress(**HALF))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert stream.getvalue().count("\x1b[?25l") == stream.getvalue().count("\x1b[?25h") == 1


def test_a_recording_shows_a_line_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(ingest_progress.time, "monotonic", lambda: now)
    stream = io.StringIO()
    with RecordProgress(stream, 200) as shown:
        for episode in range(1, 201):
            now += 1.0
            shown.show(episode, 100 * episode)
    assert stream.getvalue().splitlines() == [
        "recording: 30%, 60/200 episodes, 2 min left, 6,000 timesteps",
        "recording: 60%, 120/200 episodes, 80 s left, 12,000 timesteps",
        "recording: 90%, 180/200 episodes, 20 s left, 18,000 timesteps",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (99, "99 s"), (99.6, "2 min"), (5940, "99 min"), (6000, "1 h 40 min"), (200_000, "2 days")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
