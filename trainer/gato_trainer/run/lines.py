"""The lines in which a person reads what a run measures; of many datasets, the worst few."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

_SHOWN = 6
"""Groups that are all shown; of more only those that are worst."""
_WORST = 3


def progress_line(record: dict[str, Any], steps: int) -> str:
    """One line from a log record."""
    parts = [
        f"step {record['step']}/{steps}",
        f"loss {_number(record['loss'])}{_by_group(record)}",
        action_line(record),
        f"gradient norm {_three(record['gradient_norm'])}, largest {_three(record['largest_gradient_norm'])}",
        f"lr {record['learning_rate']:.2e}",
        f"{record['tokens_per_second']:,.0f} tokens/s, {record['supervised_tokens_per_second']:,.0f} supervised",
        f"MFU {_share(record['mfu'])}",
        f"data wait {_share(record['data_wait'])}",
        f"{record['memory_bytes'] / 2**30:.2f} GiB",
    ]
    if left_out := record["windows_left_out"]:
        parts.append(f"{left_out:,} window{'s' if left_out > 1 else ''} left out")
    return " | ".join(parts)


def validation_line(report: dict[str, Any]) -> str:
    """What a person wants to know of an evaluation."""
    of_datasets = {name: shares["accuracy"] for name, shares in report["dataset_actions"].items()}
    actions = action_line(report)
    if len(of_datasets) > 1:
        actions += f" ({_few(of_datasets, _share, 'lowest')})"
    return f"validation loss {_number(report['loss'])}{_by_group(report)} | {actions}"


def action_line(report: dict[str, Any]) -> str:
    """Accuracy of actions beside what repeating the one before would have, which copying alone reaches."""
    line = f"action accuracy {_share(report['action_accuracy'])}"
    if report["repeated_actions"] is None:
        return line
    return (
        f"{line} ({_share(report['changed_action_accuracy'])} where it changes, repeating "
        f"{_share(report['repeated_actions'])})"
    )


def _by_group(report: dict[str, Any]) -> str:
    """Losses of datasets; of modalities, apart, since a dataset may be called like one."""
    groups = [_few(report[kind], _three, "highest") for kind in ("dataset_loss", "modality_loss")]
    return f" ({'; '.join(filter(None, groups))})" if any(groups) else ""


def _few(values: Mapping[str, float], text: Callable[[float], str], which: Literal["highest", "lowest"]) -> str:
    """All values by name, or of many those that are worst, and how many others there are."""
    if len(values) <= _SHOWN:
        return ", ".join(f"{name} {text(value)}" for name, value in values.items())
    worst = sorted(values.items(), key=lambda pair: pair[1], reverse=which == "highest")[:_WORST]
    shown = ", ".join(f"{name} {text(value)}" for name, value in worst)
    return f"{which} {shown}, {len(values) - _WORST:,} others"


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.4f}"


def _three(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3f}"


def _share(value: float | None) -> str:
    return "n/a" if value is None else f"{100 * value:.1f} %"
