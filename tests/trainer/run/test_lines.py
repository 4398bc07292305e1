"""What a person sees stays readable with hundreds of datasets."""

import json
import warnings
from pathlib import Path

import pytest

from gato_trainer.run.lines import validation_line
from gato_trainer.run.plot import plot_losses


def report(datasets: int) -> dict[str, object]:
    return {
        "loss": 1.5,
        "dataset_loss": {f"set{number}": number / 8 for number in range(datasets)},
        "modality_loss": {"text": 3.0},
        "action_accuracy": 0.5,
        "repeated_actions": None,
        "dataset_actions": {f"set{number}": {"accuracy": number / 1000} for number in range(datasets)},
    }


def test_of_many_datasets_the_worst_are_named() -> None:
    assert validation_line(report(1)) == "validation loss 1.5000 (set0 0.000; text 3.000) | action accuracy 50.0 %"
    assert validation_line(report(604)) == (
        "validation loss 1.5000 (highest set603 75.375, set602 75.250, set601 75.125, 601 others; text 3.000) | "
        "action accuracy 50.0 % (lowest set0 0.0 %, set1 0.1 %, set2 0.2 %, 601 others)"
    )


@pytest.mark.parametrize("datasets", [1, 6, 604])
def test_the_curves_of_any_number_of_datasets_have_room(datasets: int, tmp_path: Path) -> None:
    """Names with what matplotlib takes for TeX or hides among them, and too long ones."""
    names = ["_hidden", "a$b", "n" * 300, *(f"set{number}" for number in range(datasets))][:datasets]
    with open(tmp_path / "log.jsonl", "w") as log:
        for step in (1, 10, 20):
            losses = {name: 1 / step + number for number, name in enumerate(names)}
            for kind in ("train", "validation"):
                log.write(json.dumps({"kind": kind, "step": step, "loss": 1.0, "dataset_loss": losses}) + "\n")
        log.write(json.dumps({"kind": "skipped", "step": 20, "reason": "skip_steps", "windows": []}) + "\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        path = plot_losses(tmp_path)
    assert path is not None
    data = path.read_bytes()
    assert (int.from_bytes(data[16:20]), int.from_bytes(data[20:24])) == (1000, 550)
