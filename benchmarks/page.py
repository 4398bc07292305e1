"""How large the page of a dataset is, how long it takes to write and, in a browser, until its first episode is drawn.

    gato-data record atari --game breakout --episodes 200 --max-frames 100 --out breakout-rlds
    gato-data ingest atari breakout-rlds --out breakout
    python benchmarks/page.py breakout --episodes 200

Needs Chromium with its driver and selenium. Prints one JSON object for each dataset.
"""

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from gato_data.report.dataset import summarize_dataset
from gato_data.report.html.content import dataset_content
from gato_data.report.html.page import render, write_page
from gato_data.report.quality import Thresholds, judge


def browser() -> Any:
    """A headless Chromium."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu"):
        options.add_argument(argument)
    return webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))


def measure(folder: Path, episodes: int, driver: Any) -> dict[str, Any]:
    """Sizes in bytes, times in seconds of one page."""
    from selenium.webdriver.support.ui import WebDriverWait

    start, busy = time.perf_counter(), time.process_time()
    summary = summarize_dataset(folder)
    content = dataset_content(summary, judge(summary, Thresholds()), episodes)
    with tempfile.TemporaryDirectory() as name:
        page = Path(name) / "page.html"
        write_page(page, render(folder.name, [content]))
        written, used = time.perf_counter() - start, time.process_time() - busy
        start = time.perf_counter()
        driver.get(page.as_uri())
        WebDriverWait(driver, 600, poll_frequency=0.02).until(lambda _: driver.find_elements("css selector", ".card"))
        return {
            "dataset": folder.name,
            "episodes": len(content["episodes"]),
            "timesteps": sum(episode["timesteps"] for episode in content["episodes"]),
            "shown_timesteps": sum(episode["shown"] for episode in content["episodes"]),
            "exact": content["exact"],
            "page_bytes": page.stat().st_size,
            "patch_bytes": sum(map(len, content["sheets"])),
            "column_bytes": sum(len(episode["columns"]) for episode in content["episodes"]),
            "write_seconds": round(written, 2),
            "write_cpu_seconds": round(used, 2),
            "load_seconds": round(time.perf_counter() - start, 2),
        }


def main() -> None:
    """Measure the datasets that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--episodes", type=int, default=200)
    options = parser.parse_args()
    driver = browser()
    try:
        for folder in options.folders:
            print(json.dumps(measure(folder, options.episodes, driver)), flush=True)
    finally:
        driver.quit()


if __name__ == "__main__":
    main()
