"""A headless Chromium for the tests of the page, or the reason why there is none."""

import shutil
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
