"""Where this machine keeps what it found out about its kernels."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """Below `XDG_CACHE_HOME`, or ~/.cache."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(given) if os.path.isabs(given) else Path.home() / ".cache") / "gato-data" / "kernels"
