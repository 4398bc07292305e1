"""The loss curves of a run as a PNG, from its log."""

from dataclasses import dataclass, field
from pathlib import Path

from gato_data.errors import MissingPackageError
from gato_data.printable import printable
from gato_trainer.run.log import SkippedLine, TrainLine, read_log

_NAMED = 8
"""Datasets that have a colour and a name: those whose last loss is highest; of more, the others are grey."""
_GREY = "0.8"
_CHARACTERS = 36
"""Of a name."""

Points = list[tuple[int, float]]


@dataclass(slots=True)
class _Losses:
    """One group's curves, in training and in evaluations."""

    train: Points = field(default_factory=list)
    validation: Points = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.train or self.validation)

    @property
    def last(self) -> float:
        """The newest loss."""
        return max(self.train[-1:] + self.validation[-1:])[1]


def plot_losses(out: Path) -> Path | None:
    """Draw loss over steps, in all and by dataset, of training and evaluations; None if the log has no points.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    whole, datasets = _curves(out)
    if not whole:
        return None
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingPackageError("the loss curve needs matplotlib: pip install 'gato-data[train]'") from error

    def draw(losses: _Losses, label: str, color: str, width: float, layer: int = 2) -> None:
        axes.plot([], [], "-", color=color, linewidth=width, label=label)
        for points, style in ((losses.train, "-"), (losses.validation, "--")):
            marker = "." if len(points) == 1 else ""
            steps, values = zip(*points, strict=True) if points else ((), ())
            axes.plot(steps, values, style, color=color, linewidth=width, marker=marker, zorder=layer)

    figure = Figure(figsize=(10, 5.5))
    axes = figure.add_axes((0.07, 0.1, 0.62, 0.85))
    worst = sorted(datasets, key=lambda name: datasets[name].last, reverse=True)
    named, others = worst[:_NAMED], worst[_NAMED:]
    alone = len(named) == 1
    draw(whole, _label(named[0]) if alone else "all", "black", 2, layer=3)
    for number, name in enumerate(() if alone else named):
        draw(datasets[name], _label(name), f"C{number}", 1)
    for name in others:
        draw(datasets[name], "_", _GREY, 0.4, layer=1)
    if others:
        axes.plot([], [], "-", color=_GREY, label=f"{len(others):,} others, with lower losses")
    if whole.validation:
        axes.plot([], [], "--", color="black", label="dashed: evaluations")
    axes.set_xlabel("step")
    axes.set_ylabel("loss per supervised token (nats)")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0, frameon=False)
    FigureCanvasAgg(figure).print_png(str(out / "loss.png"))
    return out / "loss.png"


def _label(name: str) -> str:
    """A dataset's name as a legend shows it: short, without TeX, and not hidden by an underscore at its beginning."""
    short = name if len(name) <= _CHARACTERS else f"{name[: _CHARACTERS - 3]}..."
    hidden = " " if short.startswith("_") else ""
    return hidden + printable(short).replace("$", r"\$")


def _curves(out: Path) -> tuple[_Losses, dict[str, _Losses]]:
    """The curves of all datasets together, and of each by name."""
    whole = _Losses()
    datasets: dict[str, _Losses] = {}
    for _, line in read_log(out):
        if line is None or isinstance(line, SkippedLine):
            continue
        kind = "train" if isinstance(line, TrainLine) else "validation"
        found = [(whole, line.loss)]
        found += [(datasets.setdefault(name, _Losses()), value) for name, value in line.dataset_loss.items()]
        for losses, value in found:
            if value is not None:
                getattr(losses, kind).append((line.step, value))
    return whole, {name: losses for name, losses in datasets.items() if losses}
