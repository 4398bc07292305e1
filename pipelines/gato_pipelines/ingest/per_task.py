"""One dataset per task: the inputs of each task become a folder of their own."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gato_data.dataset_names import dataset_name
from gato_data.errors import InputError
from gato_pipelines.ingest.inputs import find_inputs
from gato_pipelines.registry.find import make_source
from gato_pipelines.registry.own import blamed


def by_task(
    source: str, settings: Mapping[str, Any], inputs: Path | Sequence[Path], out: Path
) -> dict[Path, list[Path]]:
    """The inputs of every task, by the folder inside `out` that its dataset goes to, sorted.

    Raises:
        InputError: an input has no episodes, or holds several tasks; or the names of two tasks
            differ by signs that a dataset's name cannot have.
    """
    made = make_source(source, settings)
    found: dict[str, list[Path]] = {}
    with blamed(source, type(made)):
        for path in find_inputs(made, inputs).values():
            tasks = sorted({part.task for part in made.parts(path)})
            if len(tasks) != 1:
                held = f"holds the tasks {', '.join(tasks)}" if tasks else "has no episodes"
                raise InputError(f"{path} {held}: with --per-task every input has to hold one task")
            found.setdefault(tasks[0], []).append(path)
    folders: dict[Path, str] = {}
    for task in sorted(found):
        folder = out / dataset_name(Path(task.replace("/", "_")))
        if folder in folders:
            raise InputError(
                f"tasks {folders[folder]!r} and {task!r} would both go to {folder}: ingest them separately"
            )
        folders[folder] = task
    return {folder: found[task] for folder, task in folders.items()}
