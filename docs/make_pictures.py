"""Make the README's pictures from real data: record, ingest, inspect, and photograph the results in a browser.

    python docs/make_pictures.py

Needs the extras [ingest] and [simulators], selenium, and Chromium with its driver. Writes docs/pictures/.
"""

import io
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.terminal_theme import MONOKAI

from gato_data.report.terminal.timeline import print_record, print_timeline
from gato_data.report.timeline import read_excerpt

PICTURES = Path(__file__).parent / "pictures"
COMMANDS = (
    "record atari --game breakout --episodes 12 --out breakout-rlds",
    "ingest atari breakout-rlds --out breakout --holdout 0.2",
    "inspect dataset breakout --html breakout.html",
)
SHARD = "breakout/breakout-train.tfrecord-00000-of-00002"
TERMINAL = """<!doctype html><meta charset="utf-8"><style>
{stylesheet}
body {{ margin: 0; padding: 18px; background: #1b1d22; color: #d8dbe0; width: max-content; }}
pre {{ margin: 0; font: 14px/16px "DejaVu Sans Mono", monospace; }}
</style><pre>{code}</pre>"""


@contextmanager
def browser() -> Iterator[Any]:
    """A headless Chromium."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        yield driver
    finally:
        driver.quit()


def photograph(driver: Any, page: Path, picture: Path, width: int, height: int) -> None:
    """Save what a window of that size shows of a page."""
    from selenium.webdriver.support.ui import WebDriverWait

    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    driver.get(page.as_uri())
    if picture.stem == "page":  # a timestep in the middle of an episode says more than the first
        WebDriverWait(driver, 60).until(lambda _: driver.find_elements("css selector", ".card"))
        driver.execute_script("location.hash = document.querySelector('.card dd a').hash.replace('t=0', 't=60')")
        WebDriverWait(driver, 60).until(lambda _: "Timestep 60 " in driver.find_element("css selector", ".card").text)
        driver.execute_script("document.querySelector('.group:last-child .token').focus()")
        driver.execute_script("window.scrollTo(0, 0)")
    driver.save_screenshot(str(picture))


def terminal_page(folder: Path) -> str:
    """`inspect shard --record 0 --timestep 60` as a page."""
    console = Console(record=True, width=100, file=io.StringIO(), force_terminal=True, color_system="truecolor",
                      highlight=False, markup=False, emoji=False)  # fmt: skip
    shard = folder / SHARD
    console.print(f"$ gato-data inspect shard {SHARD} --record 0 --timestep 60", soft_wrap=True)
    excerpt = read_excerpt(shard, 0, timestep=60)
    print_record(console, excerpt.opened)
    print_timeline(console, excerpt.opened, excerpt.tokens)
    return console.export_html(theme=MONOKAI, code_format=TERMINAL, inline_styles=False)


def main() -> None:
    """Make both pictures."""
    PICTURES.mkdir(exist_ok=True)
    command = str(Path(sys.executable).parent / "gato-data")
    with tempfile.TemporaryDirectory() as name, browser() as driver:
        folder = Path(name)
        for line in COMMANDS:
            subprocess.run([command, *line.split()], cwd=folder, check=True)
        (folder / "terminal.html").write_text(terminal_page(folder), encoding="utf-8")
        photograph(driver, folder / "breakout.html", PICTURES / "page.png", 1120, 1420)
        photograph(driver, folder / "terminal.html", PICTURES / "terminal.png", 880, 920)


if __name__ == "__main__":
    main()
