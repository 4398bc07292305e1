"""Run the notebooks of docs/tutorials/, each in an empty folder, and keep what they print and draw.

    python docs/run_notebooks.py

Needs the extras [ingest], [simulators], [train] and [dev].
"""

import os
import re
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

NOTEBOOKS = sorted((Path(__file__).parent / "tutorials").glob("*.ipynb"))
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def executed(notebook: Path, folder: Path) -> NotebookNode:
    """A notebook as it is after its cells were run in a folder, without the colours of terminals.

    Raises:
        CellExecutionError: a cell fails.
    """
    programs = Path(sys.executable).parent
    environment = {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "IPYTHONDIR": str(folder / ".ipython"),
        "COLUMNS": "100",
    }
    client = NotebookClient(
        nbformat.read(notebook, as_version=4),
        timeout=300,
        record_timing=False,
        coalesce_streams=True,
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": str(folder)}},
    )
    content = client.execute(env=environment)
    for cell in content.cells:
        for output in cell.get("outputs", ()):
            if output.output_type == "stream":
                output.text = _COLOURS.sub("", output.text)
    content.metadata = nbformat.from_dict({"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    return content


def main() -> None:
    """Run all notebooks."""
    for notebook in NOTEBOOKS:
        with tempfile.TemporaryDirectory() as folder:
            nbformat.write(executed(notebook, Path(folder)), notebook)
        print(f"{notebook} was run")


if __name__ == "__main__":
    main()
