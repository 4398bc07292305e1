"""The page itself: template, style, script and data in one file that loads nothing from anywhere."""

import base64
import hashlib
import html
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from gato_data.errors import OutputError
from gato_data.printable import printable
from gato_data.report.html.packed import json_of

SCRIPTS = ("elements.js", "charts.js", "columns.js", "tokens.js", "player.js", "episodes.js", "page.js")
"""What the page's script is made of, in this order."""


def render(title: str, datasets: list[dict[str, Any]], mixture: dict[str, Any] | None = None) -> str:
    """One self-contained HTML document; the same content gives the same bytes."""
    style, script = _resource("page.css"), "\n".join(map(_resource, SCRIPTS))
    policy = f"default-src 'none'; img-src data:; style-src {_digest(style)}; script-src {_digest(script)}"
    return Template(_resource("page.html")).substitute(
        title=html.escape(printable(title)),
        policy=html.escape(policy),
        style=style,
        script=script,
        data=embedded({"datasets": datasets, "mixture": mixture}),
    )


def embedded(content: Any) -> str:
    """JSON that may stand inside a script element: no character in it can end the element or begin a comment."""
    return json_of(content).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def write_page(path: Path, page: str) -> None:
    """Write the page.

    Raises:
        OutputError: the file cannot be written.
    """
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write the page {path}: {error.strerror or error}") from error


def _resource(name: str) -> str:
    return resources.files("gato_data.report.html").joinpath(name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    """What the policy allows: exactly this inline text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"
