"""GPUs by name: what their makers say of them, and machines that a run is planned for without having them."""

from dataclasses import dataclass

from gato_data.errors import SettingError
from gato_data.settings import check, setting


@dataclass(frozen=True, slots=True)
class Card:
    """A GPU by its maker's data sheet: its name, dense bf16 matrix FLOP/s, and GiB of memory."""

    name: str
    peak_flops: float
    memory_gib: float


CARDS = (
    Card("H200", 989e12, 141),
    Card("H100 PCIe", 756e12, 80),
    Card("H100", 989e12, 80),
    Card("B200", 2250e12, 180),
    Card("A100-40", 312e12, 40),
    Card("A100", 312e12, 80),
    Card("L40S", 362e12, 48),
    Card("RTX 4090", 165e12, 24),
)
"""All of them compute in bf16. Of several whose name is part of a device's, the first is meant."""

DEFAULT_CARD = "H100"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedMachine:
    """GPUs that a plan is made for, whether or not they are here; without any value, this machine.

    Attributes:
        gpus: how many there are, one process each.
        gpu: the name of one of `CARDS`.
        gpu_memory: GiB of each, where it is another than the card's.
    """

    gpus: int | None = setting(
        None, "With --dry-run: plan for so many GPUs.", minimum=1, refusal="{name} must be at least 1; got {value}"
    )
    gpu: str | None = setting(None, f"With --dry-run: plan for this card, such as {DEFAULT_CARD} or RTX 4090.", "NAME")
    gpu_memory: float | None = setting(
        None,
        "With --dry-run: GiB of a card that has no name here.",
        "GIB",
        minimum=1,
        maximum=10_000,
        refusal="{name} is GiB of a GPU, a number from {minimum} to {maximum:,}; got {value}",
    )

    def __post_init__(self) -> None:
        check(self)
        if self.gpu is not None:
            card_named(self.gpu)

    @property
    def is_given(self) -> bool:
        """Whether a plan is for GPUs that need not be here."""
        return (self.gpus, self.gpu, self.gpu_memory) != (None, None, None)

    @property
    def name(self) -> str:
        """The card in words."""
        if self.gpu is None and self.gpu_memory is not None:
            return "GPU"
        return card_named(self.gpu or DEFAULT_CARD).name

    @property
    def memory_gib(self) -> float:
        """GiB of each card."""
        return self.gpu_memory or card_named(self.gpu or DEFAULT_CARD).memory_gib


THIS_MACHINE = PlannedMachine()
"""Nothing else is planned for."""


def card_named(name: str) -> Card:
    """The card that a user names: `RTX 4090`, `rtx-4090` and `NVIDIA GeForce RTX 4090` are one.

    Raises:
        SettingError: it is none of `CARDS`.
    """
    for card in CARDS:
        if _plain(card.name) == _plain(name):
            return card
    known = ", ".join(card.name for card in CARDS)
    raise SettingError(f"no card named {name!r} is known, but {known}; give its memory instead: --gpu-memory GIB")


def _plain(name: str) -> str:
    kept = "".join(letter for letter in name.lower() if letter.isalnum())
    for word in ("nvidia", "geforce", "gb"):
        kept = kept.replace(word, "")
    return kept


def peak_flops_of(device_name: str) -> float | None:
    """Dense bf16 FLOP/s of a device by the name that its driver gives it; None if it is not known."""
    return next((card.peak_flops for card in CARDS if card.name in device_name), None)
