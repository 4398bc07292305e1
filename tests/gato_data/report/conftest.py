from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gato_data.report.dataset import summarize_dataset
from gato_data.report.html.content import dataset_content
from gato_data.report.html.page import render, write_page
from gato_data.report.quality import Thresholds, judge
from tests.gato_data.report import browser
from tests.gato_data.report.folders import caption_folder, robot_folder, write_folder


@pytest.fixture(scope="session")
def arm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("datasets") / "arm", robot_folder())


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("datasets") / "told", robot_folder("pick up the cube"))


@pytest.fixture(scope="session")
def captions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("datasets") / "captions", caption_folder())


@pytest.fixture(scope="session")
def chrome() -> Iterator[Any]:
    driver = browser.start()
    yield driver
    driver.quit()


@pytest.fixture
def show(chrome: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Opens the page of a dataset folder, at a link where one is given; nothing may be logged to the console."""

    def open_page(folder: Path, *, width: int = 1280, dark: bool = False, link: str = "") -> Any:
        summary = summarize_dataset(folder)
        content = dataset_content(summary, judge(summary, Thresholds()), 24)
        write_page(tmp_path / "page.html", render(summary.manifest.name, [content]))
        browser.window(chrome, width=width, dark=dark)
        chrome.get("about:blank")
        chrome.get((tmp_path / "page.html").as_uri() + link)
        browser.until(chrome, lambda: browser.css(chrome, ".card"))
        return chrome

    yield open_page
    assert chrome.get_log("browser") == []
