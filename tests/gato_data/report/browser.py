"""A headless Chromium for the tests of the page, or the reason why there is none."""

import shutil
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def missing() -> str:
    """What is not installed; empty where everything is."""
    if find_spec("selenium") is None:
        return "needs the package selenium"
    if not any(map(shutil.which, BROWSERS)):
        return "needs a Chromium browser on PATH (Debian: chromium)"
    return "" if shutil.which("chromedriver") else "needs chromedriver on PATH (Debian: chromium-driver)"


def start() -> Any:
    """A driver; its console messages are kept."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = next(path for path in map(shutil.which, BROWSERS) if path)
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))


def css(driver: Any, selector: str) -> list[Any]:
    """All elements of a selector."""
    found: list[Any] = driver.find_elements("css selector", selector)
    return found


def until(driver: Any, condition: Callable[[], Any], seconds: int = 60) -> None:
    """Wait for what the page does by and by."""
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(driver, seconds, poll_frequency=0.05).until(lambda _: condition())


def open_episode(page: Any, number: int) -> None:
    """Click an episode of the list and wait for it."""
    button = css(page, "button.episode")[number]
    name = button.find_element("css selector", ".name").text
    button.click()
    until(page, lambda: css(page, ".card h3")[0].text == name)


def pixels(page: Any) -> list[list[int]]:
    """A pixel of each patch of the first picture, which is of 2 x 2 patches."""
    found: list[list[int]] = page.execute_script(
        """
        const canvas = document.createElement("canvas");
        canvas.width = canvas.height = 32;
        const context = canvas.getContext("2d", { willReadFrequently: true });
        context.drawImage(document.querySelector(".mosaic canvas"), 0, 0);
        return [[0, 0], [20, 3], [3, 20], [20, 20]].map(([x, y]) => [...context.getImageData(x, y, 1, 1).data]);
        """
    )
    return found


def window(driver: Any, *, width: int = 1280, dark: bool = False) -> None:
    """The size of the window, and light or dark."""
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
