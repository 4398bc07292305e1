"""`mix --plot`: asked and realised shares, and passes over each dataset, as one plot."""

from pathlib import Path
from typing import Any

from gato_data.errors import MissingPackageError, OutputError
from gato_data.mixing.plan import MixturePlan
from gato_data.printable import printable

ASKED, REALISED, PASSES, REPEATED = "#c9ced6", "#2f6db5", "#4f9d69", "#d1793b"


def draw_plan(plan: MixturePlan, out: Path) -> None:
    """Draw a plan into a file; its ending says the format (.png, .svg, .pdf).

    Raises:
        MissingPackageError: matplotlib is not installed.
        OutputError: the file cannot be written, or its ending is unknown.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingPackageError("--plot needs matplotlib: pip install 'gato-data[train]'") from error
    figure = Figure(figsize=(11, 1.6 + 0.34 * len(plan.datasets)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    _shares(left, plan)
    _passes(right, plan)
    figure.suptitle(
        f"{plan.steps:,} steps of {plan.batch_size:,} windows of {plan.context_length:,} tokens", fontsize=11
    )
    try:
        figure.savefig(out, dpi=150)
    except (OSError, ValueError) as error:
        raise OutputError(f"the picture {out} cannot be written ({error})") from error


def _shares(axes: Any, plan: MixturePlan) -> None:
    places = range(len(plan.datasets))
    asked = [100 * dataset.asked for dataset in plan.datasets]
    realised = [100 * dataset.realised for dataset in plan.datasets]
    axes.barh(places, asked, height=0.8, color=ASKED, label="asked")
    axes.barh(places, realised, height=0.4, color=REALISED, label="realised")
    for place, share in zip(places, realised, strict=True):
        axes.annotate(f"{share:.2f} %", (share, place), (3, 0), textcoords="offset points", va="center", fontsize=8)
    axes.set_yticks(places, [printable(dataset.name) for dataset in plan.datasets], fontsize=9)
    axes.invert_yaxis()
    axes.margins(x=0.14)
    axes.set_xlabel(f"share of {plan.measure.replace('-', ' ')} in %")
    axes.legend(loc="lower right", fontsize=8)
    _plain(axes)


def _passes(axes: Any, plan: MixturePlan) -> None:
    passes = [dataset.passes for dataset in plan.datasets]
    places = range(len(passes))
    axes.barh(places, passes, height=0.6, color=[REPEATED if times > 1 else PASSES for times in passes])
    for place, times in zip(places, passes, strict=True):
        axes.annotate(f"{times:,.2f}", (times, place), (3, 0), textcoords="offset points", va="center", fontsize=8)
    if min(filter(None, passes), default=1) * 100 < max(passes, default=1):
        axes.set_xscale("log")
    axes.axvline(1, color="black", linewidth=0.8, linestyle=":")
    axes.margins(x=0.18)
    axes.set_xlabel("passes over the dataset (orange: windows repeat)")
    _plain(axes)


def _plain(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
