"""Checks the site that was built: every link in it leads somewhere, and reading it needs nothing from elsewhere.

Links of Markdown are checked by MkDocs; this looks at the HTML, into which docstrings and the theme write theirs too.
"""

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import get_plugin_logger

log = get_plugin_logger("links")
_FETCHED = {"link": "href", "script": "src", "img": "src", "iframe": "src", "source": "src"}
"""Tags whose target a browser fetches with the page."""


class _Page(HTMLParser):
    """What a page links and fetches, and the anchors that it has."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors = {"", "__top"}
        self.links: set[str] = set()
        self.fetched: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.add(given["href"])
        if _FETCHED.get(tag) in given:
            self.fetched.add(given[_FETCHED[tag]])


def on_post_build(config: MkDocsConfig) -> None:
    """Warn of everything that is wrong; `strict` makes an error of it."""
    for problem in problems(Path(config.site_dir)):
        log.warning(problem)


def problems(site: Path) -> Iterator[str]:
    """A sentence for each link that leads nowhere, and for each thing that would be fetched from elsewhere."""
    pages = {path.resolve(): _Page(path) for path in sorted(site.rglob("*.html"))}
    for path, page in pages.items():
        name = path.relative_to(site.resolve()).as_posix()
        for link in sorted(page.links | page.fetched):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                if link in page.fetched and parts.scheme != "data":
                    yield f"{name} fetches {link}: a page of the site needs nothing from elsewhere"
                continue
            target = (site if parts.path.startswith("/") else path.parent) / unquote(parts.path).lstrip("/")
            target = (target if parts.path else path).resolve()
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file():
                yield f"{name} links {link}, which is not there"
            elif target in pages and unquote(parts.fragment) not in pages[target].anchors:
                yield f"{name} links {link}, which has no such anchor"
