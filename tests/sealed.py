"""Manifests that say something else under a checksum that fits."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gato_schemas.dataset import MANIFEST, manifest_checksum


def write_sealed(folder: Path, content: dict[str, Any]) -> None:
    """Write the JSON of a manifest, with the checksum that it has to have."""
    (folder / MANIFEST).write_text(json.dumps({**content, "checksum": manifest_checksum(content)}))


def edit_manifest(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change the JSON of a manifest and seal it."""
    content = json.loads((folder / MANIFEST).read_text())
    change(content)
    write_sealed(folder, content)
