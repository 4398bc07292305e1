"""Notebooks as pages: their texts, code, and what the cells printed and drew; nothing is run."""

from base64 import b64decode
from collections.abc import Iterator
from typing import Any

import nbformat
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel

_BASH = "%%bash\n"
BESIDE = "notebook"
"""The folder of what a page made of a notebook shows or links."""


class NotebookPage(File):
    """A notebook, which MkDocs would only copy."""

    def is_documentation_page(self) -> bool:
        """Whether it becomes a page."""
        return True


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Put a page where a notebook is, with its pictures and the notebook itself beside it."""
    for file in [file for file in files if file.src_uri.endswith(".ipynb")]:
        files.remove(file)
        source = file.content_string
        text, beside = markdown(nbformat.reads(source, as_version=4), file.name)
        beside[f"{file.name}.ipynb"] = source.encode()
        place = file.dest_uri.removesuffix(".ipynb")
        page = NotebookPage(
            file.src_uri, None, config.site_dir, config.use_directory_urls, dest_uri=f"{place}.html",
            inclusion=InclusionLevel.INCLUDED,
        )  # fmt: skip
        page.content_string = f"{text}\n[This page as a notebook]({BESIDE}/{file.name}.ipynb)\n"
        files.append(page)
        for name, content in beside.items():
            at = f"{file.src_uri.rpartition('/')[0]}/{BESIDE}/{name}"
            added = File.generated(config, at, content=content, inclusion=InclusionLevel.INCLUDED)
            added.dest_uri = f"{place.rpartition('/')[0]}/{BESIDE}/{name}"
            files.append(added)
    return files


def markdown(notebook: nbformat.NotebookNode, name: str) -> tuple[str, dict[str, bytes]]:
    """A notebook as Markdown, and its PNG pictures by the names of files beside it."""
    texts: list[str] = []
    pictures: dict[str, bytes] = {}
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            texts.append(cell.source)
            continue
        language = "bash" if cell.source.startswith(_BASH) else "python"
        texts.append(_fenced(cell.source.removeprefix(_BASH), language))
        for kind, value in _shown(cell.outputs):
            if kind == "image/png":
                picture = f"{name}-{len(pictures) + 1}.png"
                pictures[picture] = b64decode(value)
                texts.append(f"![What the cell above draws]({BESIDE}/{picture})")
            else:
                texts.append(_fenced(value, "text"))
    return "\n\n".join(texts) + "\n", pictures


def _shown(outputs: list[Any]) -> Iterator[tuple[str, str]]:
    """Kind and content of what a cell shows: its picture, or else a text."""
    for output in outputs:
        data = output.data if "data" in output else {"text/plain": output.text}
        kind = "image/png" if "image/png" in data else "text/plain"
        yield kind, data[kind]


def _fenced(text: str, language: str) -> str:
    return f"```{language}\n{text.rstrip()}\n```"
