"""Files of the site under their names in the repository, so that a link that leads somewhere on a code host does here.

MkDocs reads `docs/` alone and calls its files by their names in it. This hook gives each the name that it has in the
repository, and adds those outside of `docs/` that are pages or that a page links.
"""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel

ROOT = Path(__file__).parents[2]
PAGES = {
    "README.md": "index.html",
    "CHANGELOG.md": "changelog.html",
    "CONTRIBUTING.md": "contributing.html",
    "SECURITY.md": "security.html",
    "gato_data/assets/README.md": "text-model.html",
    "tests/data/README.md": "test-data.html",
}
"""Where pages outside of `docs/` stand in the site."""
LINKED = ("CITATION.cff", "recipes/mirrored.py", "recipes/missions.py")
"""What pages link that is no page."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Every file of the repository that is part of the site, and those of the theme."""
    found = [_placed(file, config) for file in files if file.inclusion != InclusionLevel.EXCLUDED]
    found += [_outside(name, place, config) for name, place in PAGES.items()]
    found += [_outside(name, f"files/{name}", config) for name in LINKED]
    return Files(found)


def _placed(file: File, config: MkDocsConfig) -> File:
    """A file of `docs/` by its name in the repository; one of the theme stays."""
    if file.src_dir != config.docs_dir:
        return file
    return _outside(f"docs/{file.src_uri}", file.dest_uri, config)


def _outside(name: str, place: str, config: MkDocsConfig) -> File:
    included = InclusionLevel.INCLUDED
    return File(name, str(ROOT), config.site_dir, config.use_directory_urls, dest_uri=place, inclusion=included)
