"""The loss curves of a run as a PNG, from its log."""

from pathlib import Path

from gato_data.errors import MissingPackageError
from gato_trainer.run.log import read_log


def plot_losses(out: Path) -> Path | None:
    """Draw loss over steps, in all and by dataset, with the validation's; None if the log has no points.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    curves = _curves(out)
    if not curves:
        return None
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingPackageError("the loss curve needs matplotlib: pip install 'gato-data[train]'") from error
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    for name, points in curves.items():
        steps, losses = zip(*points, strict=True)
        style = "-" if name == "loss" else "--" if name.startswith("validation") else ":"
        axes.plot(steps, losses, style, label=name, linewidth=2 if name == "loss" else 1)
    axes.set_xlabel("step")
    axes.set_ylabel("loss per supervised token (nats)")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    FigureCanvasAgg(figure).print_png(str(out / "loss.png"))
    return out / "loss.png"


def _curves(out: Path) -> dict[str, list[tuple[int, float]]]:
    curves: dict[str, list[tuple[int, float]]] = {}
    for _, line in read_log(out):
        if line is None:
            continue
        if line.kind == "train":
            values = {"loss": line.loss, **line.dataset_loss}
        else:
            values = {f"validation {name}": value for name, value in line.dataset_loss.items()}
        for name, value in values.items():
            if value is not None:
                curves.setdefault(name, []).append((line.step, value))
    return curves
