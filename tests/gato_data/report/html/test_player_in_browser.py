"""Playing episodes in a real browser: buttons, keys, curves, links, search and order."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gato_data.report.html.page import render, write_page
from tests.gato_data.report import browser
from tests.gato_data.report.browser import css, until
from tests.gato_data.report.folders import SILENT, Folder, robot_episode, write_folder

pytestmark = pytest.mark.skipif(bool(browser.missing()), reason=browser.missing() or "never")


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two episodes, of 4,000 timesteps in several records and of 30."""
    episodes = [robot_episode(0, 4000), robot_episode(1, 30)]
    folder = Folder(name="long", specs={"robot": SILENT}, splits={"train": [episodes]})
    return write_folder(tmp_path_factory.mktemp("datasets") / "long", folder)


def timestep(page: Any) -> int:
    """The one that is shown, as all of the page says it."""
    heading = css(page, ".card p b")[0].text
    number = int(heading.removeprefix("Timestep "))
    assert int(css(page, ".player input")[0].get_attribute("value")) == number
    return number


def press(page: Any, key: str) -> None:
    page.switch_to.active_element.send_keys(key)


def test_it_plays_and_pauses(show: Callable[..., Any], long: Path) -> None:
    page = show(long)
    assert timestep(page) == 0
    css(page, "button[aria-label='play']")[0].click()
    until(page, lambda: "Timestep 0 " not in css(page, ".card")[0].text)
    css(page, "button[aria-label='pause']")[0].click()
    at = timestep(page)
    assert at > 0
    assert browser.pixels(page)[3][0] == 10 * at % 256  # the frame of this timestep
    page.execute_async_script("setTimeout(arguments[0], 500)")
    assert timestep(page) == at
    assert page.execute_script("return location.hash").endswith(f"&t={at}")


def test_speed_and_the_end(show: Callable[..., Any], long: Path) -> None:
    from selenium.webdriver.support.ui import Select

    page = show(long)
    browser.open_episode(page, 1)
    Select(css(page, "select[aria-label='speed']")[0]).select_by_visible_text("80 a second")
    css(page, "button[aria-label='play']")[0].click()
    until(page, lambda: css(page, "button[aria-label='play']") and "Timestep 29 " in css(page, ".card")[0].text)
    css(page, "button[aria-label='play']")[0].click()  # begins again
    until(page, lambda: css(page, "button[aria-label='play']") and "Timestep 29 " in css(page, ".card")[0].text)


def test_keys(show: Callable[..., Any], long: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    page = show(long)
    page.execute_script("document.activeElement.blur()")
    press(page, Keys.ARROW_RIGHT)
    press(page, Keys.ARROW_RIGHT)
    assert timestep(page) == 2
    press(page, Keys.ARROW_LEFT)
    assert timestep(page) == 1
    css(page, ".player input")[0].send_keys(Keys.PAGE_DOWN)
    assert timestep(page) == 11
    css(page, ".player input")[0].send_keys(Keys.END)
    assert timestep(page) == 3999
    css(page, ".player input")[0].send_keys(Keys.HOME)
    page.execute_script("document.querySelector('.card').focus()")
    press(page, " ")
    until(page, lambda: css(page, "button[aria-label='pause']"))
    press(page, " ")
    assert css(page, "button[aria-label='play']")
    at = timestep(page)
    page.execute_script("document.querySelector('.strip .token').focus()")
    press(page, Keys.ARROW_RIGHT)  # moves among the tokens
    assert timestep(page) == at
    search = css(page, "input[type=search]")[0]
    search.send_keys("x" + Keys.ARROW_LEFT + " ")
    assert timestep(page) == at
    assert search.get_attribute("value") == " x"


def test_a_click_on_a_curve_goes_there(show: Callable[..., Any], long: Path) -> None:
    from selenium.webdriver import ActionChains

    page = show(long)
    curve = css(page, "svg.seek")[1]
    ActionChains(page).move_to_element(curve).click().perform()
    assert abs(timestep(page) - 2000) < 20
    x = {line.get_attribute("x1") for line in css(page, "svg.seek .now")}
    assert len(x) == 1
    assert "300 stretches of 13 or 14 timesteps" in css(page, ".card")[0].text


def test_a_link_opens_episode_and_timestep(show: Callable[..., Any], long: Path) -> None:
    page = show(long, link="#episode=robot%2F00000%2F000000&t=3456")
    assert css(page, ".card h3")[0].text == "robot/00000/000000"
    assert timestep(page) == 3456
    link = next(a.get_attribute("href") for a in css(page, ".card dd a"))
    page.execute_script("location.hash = '#episode=robot/00000/000001&t=7'")
    until(page, lambda: css(page, ".card h3")[0].text == "robot/00000/000001")
    assert timestep(page) == 7
    page.execute_script("location.href = arguments[0]", link)
    until(page, lambda: css(page, ".card h3")[0].text == "robot/00000/000000")
    assert timestep(page) == 3456


def test_a_link_to_what_is_not_there(show: Callable[..., Any], long: Path) -> None:
    page = show(long, link="#episode=<b>none</b>&t=x")
    assert css(page, ".card h3")[0].text == "robot/00000/000000"
    assert "The episode <b>none</b> of the link is not on this page." in css(page, "#episodes-0")[0].text


def test_search_and_order(show: Callable[..., Any], arm: Path) -> None:
    from selenium.webdriver.support.ui import Select

    page = show(arm)

    def names() -> list[str]:
        return [name.text for name in css(page, ".list .name")]

    order = Select(css(page, "select[aria-label='order of episodes']")[0])
    order.select_by_visible_text("longest first")
    assert names()[0] == "robot/00000/000001"
    order.select_by_visible_text("lowest return first")
    assert names()[0] == "robot/00001/000000"
    search = css(page, "input[type=search]")[0]
    search.send_keys("VALID")
    assert names() == ["robot/00000/000000"]
    assert "1 of 4 episodes" in css(page, ".tools")[0].text
    search.send_keys(" nothing")
    assert names() == []


def test_the_command_shows_the_same_tokens(show: Callable[..., Any], long: Path) -> None:
    import shlex

    from gato_data.report.timeline import read_excerpt

    page = show(long, link="#episode=robot%2F00000%2F000000&t=3456")
    words = shlex.split(css(page, "code.command")[0].text)
    assert words[:3] == ["gato-data", "inspect", "shard"]
    assert words[4::2] == ["--record", "--timestep"]
    excerpt = read_excerpt(Path(words[3]), int(words[5]), timestep=int(words[7]))
    assert int(words[5]) > 0
    patch = css(page, ".group header")[0].text
    assert f"tokens {excerpt.start} to {excerpt.start + 3}" in patch
    assert excerpt.opened.record.sequence.reward[int(words[7])] == 3456


def test_many_datasets_are_folded_and_searched(chrome: Any, tmp_path: Path, arm: Path) -> None:
    from gato_data.report.dataset import summarize_dataset
    from gato_data.report.html.content import dataset_content
    from gato_data.report.quality import Thresholds, judge

    summary = summarize_dataset(arm)
    contents = [dataset_content(summary, judge(summary, Thresholds()), 2) for _ in range(5)]
    shares = np.arange(600, 0, -1) / 180_300
    mixture = {
        "name": "many.json", "facts": [], "stages": [], "columns": [["dataset", False], ["asked", True]],
        "rows": [[f"set{number}", "1%"] for number in range(600)],
        "shares": [[f"set{number}", share] for number, share in enumerate(shares.tolist())],
        "shown": [0, 1, 2, 3, 4], "hidden": 595,
    }  # fmt: skip
    write_page(tmp_path / "page.html", render("many", contents, mixture))
    browser.window(chrome, width=360)
    chrome.get((tmp_path / "page.html").as_uri())
    assert chrome.execute_script("return document.documentElement.scrollWidth") <= 360
    assert chrome.execute_script("return document.body.scrollHeight") < 3000
    assert len(css(chrome, "#plan .chart .bar")) == 40
    assert "560 others have 87.12% together" in css(chrome, "#plan figcaption")[0].text
    css(chrome, "input[aria-label='search datasets']")[0].send_keys("set59")
    assert [row.text.split()[0] for row in css(chrome, "#plan tbody tr:not([hidden])")] == ["set59"] + [
        f"set59{n}" for n in range(10)
    ]
    assert css(chrome, ".card") == []
    chrome.execute_script("location.hash = '#dataset-3'")
    until(chrome, lambda: css(chrome, "#dataset-3 .card"))
    chrome.execute_script("location.hash = '#dataset=4&episode=robot/00000/000000&t=1'")
    until(chrome, lambda: css(chrome, "#dataset-4 .card"))
    assert "Timestep 1 of 0 to" in css(chrome, "#dataset-4 .card")[0].text
    assert chrome.get_log("browser") == []
