"""The page in a real browser: what a person sees and does."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.gato_data.report import browser
from tests.gato_data.report.browser import css
from tests.gato_data.report.folders import ROBOT, Folder, robot_episode, write_folder

pytestmark = pytest.mark.skipif(bool(browser.missing()), reason=browser.missing() or "never")

HOSTILE = "\u202e</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>\x1b[2J שלום 🤖"


def test_the_page_says_what_the_tokens_of_a_timestep_are(show: Callable[..., Any], told: Path) -> None:
    page = show(told)
    assert page.title == "arm"
    headings = ["Episodes", "Quality", "Fields", "Distributions", "Account", "About"]
    assert [heading.text for heading in css(page, "h2")] == headings
    text = page.find_element("tag name", "body").text
    assert (
        "4 patch tokens of observation/camera, 1 token of observation/gripper, 2 tokens of observation/pose, 1 sepa"
        in text
    )
    assert "All 4 episodes are shown." in text
    groups = [group.text.splitlines()[0] for group in css(page, ".group")]
    assert groups == [
        "observation/instruction",
        "observation/camera",
        "observation/gripper",
        "observation/pose",
        "separator",
        "action/arm",
        "action/button",
    ]
    trained = [token.get_attribute("aria-label") for token in css(page, ".group .token.loss")]
    assert trained[-1].endswith("action/button \u00b7 id 3 \u00b7 value 3 \u00b7 trained on (loss mask 1)")


def test_clicking_an_episode_shows_its_frames(show: Callable[..., Any], arm: Path) -> None:
    page = show(arm)
    browser.open_episode(page, 1)
    assert css(page, ".card h3")[0].text == "robot/00000/000001"
    for _ in range(2):
        css(page, "button[aria-label='next timestep']")[0].click()
    assert browser.pixels(page) == [[255, 0, 0, 255], [0, 128, 0, 255], [0, 0, 64, 255], [30, 30, 30, 255]]
    css(page, "button[aria-label='next timestep']")[0].click()
    assert "Timestep 3 of 0 to 3, reward 3" in css(page, ".card")[0].text
    assert browser.pixels(page)[3] == [40, 40, 40, 255]
    assert len(css(page, ".mosaic .token")) == 4


def test_the_keyboard_reaches_every_token(show: Callable[..., Any], arm: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    page = show(arm)
    first = css(page, ".strip .token")[0]
    page.execute_script("arguments[0].focus()", first)
    detail = css(page, ".detail")[0]
    assert detail.text.startswith(
        "token 0 \u00b7 position 0 \u00b7 patch \u00b7 observation/camera \u00b7 row 0, column 0"
    )
    page.switch_to.active_element.send_keys(Keys.ARROW_DOWN)
    assert "token 2 " in detail.text
    assert "row 1, column 0" in detail.text
    for _ in range(5):
        page.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    assert "position: separator \u00b7 separator \u00b7 separator \u00b7 id 33024" in detail.text
    page.switch_to.active_element.send_keys(Keys.END)
    assert "action/button" in detail.text
    assert len(css(page, ".strip .token[tabindex='0']")) == 1
    slider = css(page, "input[type=range]")[0]
    slider.send_keys(Keys.ARROW_RIGHT)
    assert "Timestep 1 of 0 to 2, reward 1" in css(page, ".card")[0].text


def test_tab_alone_gets_from_the_top_to_the_tokens(show: Callable[..., Any], arm: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    page = show(arm)
    seen = []
    for _ in range(30):
        page.switch_to.active_element.send_keys(Keys.TAB)
        active = page.switch_to.active_element
        seen.append(active.get_attribute("class") or active.tag_name)
        if "token" in seen[-1]:
            break
    assert "episode" in seen
    assert "token" in seen[-1]


def test_markup_in_data_stays_text(show: Callable[..., Any], tmp_path: Path) -> None:
    episode = dataclasses.replace(robot_episode(0, 2, HOSTILE), task=HOSTILE, source_episode_id=HOSTILE)
    folder = Folder(name="arm", family=HOSTILE, specs={HOSTILE: ROBOT}, splits={"train": [[episode]]})
    page = show(write_folder(tmp_path / "hostile", folder))
    assert page.execute_script("return window.hacked") is None
    assert len(css(page, "script")) == 2
    assert css(page, "#page img[src='x']") == []
    shown = css(page, ".card h3")[0].text
    assert shown.startswith("\\u202e</script><script>window.hacked = 1</script><img src=x")
    assert "\\u202e" in css(page, ".card dd")[0].text
    pieces = "".join(token.text for token in css(page, ".group .m-text"))
    assert "script" in pieces


@pytest.mark.parametrize("fixture", ["told", "captions"])
def test_a_phone_shows_it_without_scrolling_sideways(
    show: Callable[..., Any], request: pytest.FixtureRequest, fixture: str
) -> None:
    page = show(request.getfixturevalue(fixture), width=360)
    assert page.execute_script("return document.documentElement.scrollWidth") <= 360


def luminance(colour: str) -> float:
    channels = [float(value) / 255 for value in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("dark", [False, True])
def test_everything_can_be_read_in_light_and_dark(show: Callable[..., Any], told: Path, dark: bool) -> None:
    page = show(told, dark=dark)
    pairs = page.execute_script(
        """
        const solid = (element) => {
          for (let at = element; at; at = at.parentElement) {
            const colour = getComputedStyle(at).backgroundColor;
            if (!colour.endsWith(", 0)")) return colour;
          }
          return "rgb(255, 255, 255)";
        };
        const selector = "p, dt, dd, th, td, b, .dim, .token, a, button, figcaption, .problem, .notice";
        return [...document.querySelectorAll(selector)]
          .filter((element) => element.textContent.trim() && !element.closest(".mosaic"))
          .map((element) => [getComputedStyle(element).color, solid(element), element.textContent.slice(0, 30)]);
        """
    )
    assert len(pairs) > 100
    assert (luminance(pairs[0][1]) < 0.1) == dark
    for front, back, text in pairs:
        light, shade = sorted((luminance(front), luminance(back)), reverse=True)
        assert (light + 0.05) / (shade + 0.05) >= 4.5, (text, front, back)


def test_nothing_is_loaded_from_anywhere(show: Callable[..., Any], told: Path) -> None:
    page = show(told)
    loaded = page.execute_script("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert [name for name in loaded if not name.startswith("data:")] == []


def test_documents_are_shown_in_reading_order(show: Callable[..., Any], captions: Path) -> None:
    page = show(captions)
    assert [group.text.splitlines()[0] for group in css(page, ".group")] == ["image", "text"]
    assert "the picture is the first 30 x 16 pixels" in css(page, ".group")[0].text
    browser.open_episode(page, 1)
    headers = [group.text.splitlines()[1] for group in css(page, ".group")]
    assert headers == ["tokens 0 to 3, text, not trained on", "tokens 4 to 6, text, trained on"]
