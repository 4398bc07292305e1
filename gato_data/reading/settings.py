"""The settings of reading; on a command line each is the option of the same name."""

from dataclasses import dataclass, field, fields
from typing import Literal, TypeAlias

from gato_data.errors import SettingError

WindowMode: TypeAlias = Literal["timestep", "token"]
Verify: TypeAlias = Literal["touched", "frames", "full", "off"]
"""What is checked of a shard."""
CHECKED: dict[Verify, str] = {
    "touched": "the size of every shard, and the checksum of every record when it is first read",
    "frames": "the size of every shard, and where some of its records begin and end",
    "full": "the size of every shard, and the checksum of every record when its shard is first opened",
    "off": "the size of every shard alone",
}
"""What a run says of it."""

_NOT_IN_STREAM = frozenset(("memory", "threads", "verify", "max_open_files", "map_files"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSettings:
    """How windows are drawn and read.

    Attributes:
        context_length: input tokens of a window, L; a window holds up to L + 1 tokens.
        seed: keys every random choice.
        window: "timestep" starts windows at timesteps, "token" anywhere.
        prompt_share: share of windows that get a prompt from another episode (paper section 2.3: 0.25).
        prompt_end_share: share of prompts taken from the end of that episode (paper section 2.3: 0.5).
        prompt_tokens: most tokens of a prompt; None is half the context.
        prompt_loss: train on the prompt's own actions and texts too, as the paper's letter has it.
        pack: put several short episodes into one window, as segments.
        memory: bytes for batches, indexes and tables together.
        threads: that read ahead in `MixtureReader.stream`.
        verify: what of a shard is checked: one of `CHECKED`.
        max_open_files: shards kept open at a time.
        map_files: map shards without compressed patches into memory; their size is checked before every batch.

    Raises:
        SettingError: a number is out of range.
    """

    context_length: int = field(default=1024, metadata={"help": "Input tokens of a window."})
    seed: int = field(default=0, metadata={"help": "Keys every random choice."})
    window: WindowMode = field(default="timestep", metadata={"help": "Windows start at timesteps, or anywhere."})
    prompt_share: float = field(
        default=0.25, metadata={"help": "Share of windows that get a prompt (paper section 2.3: 0.25)."}
    )
    prompt_end_share: float = field(
        default=0.5, metadata={"help": "Share of prompts from the end of an episode (paper section 2.3: 0.5)."}
    )
    prompt_tokens: int | None = field(
        default=None, metadata={"help": "Most tokens of a prompt; half the context if not given."}
    )
    prompt_loss: bool = field(default=True, metadata={"help": "Train on the actions and texts of prompts too."})
    pack: bool = field(default=False, metadata={"help": "Put several short episodes into one window, as segments."})
    memory: int = field(default=4 * 2**30, metadata={"help": "Bytes for batches, indexes and tables together."})
    threads: int = field(default=2, metadata={"help": "Threads that read ahead."})
    verify: Verify = field(
        default="touched",
        metadata={"help": "What is checked: records when first read, some frames, all when opened, sizes."},
    )
    max_open_files: int = field(default=512, metadata={"help": "Shards kept open at a time."})

    map_files: bool = field(
        default=True, metadata={"help": "Map shards without compressed patches into memory, which is faster."}
    )

    def __post_init__(self) -> None:
        for name, least in (("context_length", 1), ("threads", 1), ("max_open_files", 1), ("memory", 2**20)):
            if getattr(self, name) < least:
                raise SettingError(f"{name} {getattr(self, name)} is not possible: at least {least} is wanted")
        for name in ("prompt_share", "prompt_end_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise SettingError(f"{name} {getattr(self, name)} is not a share: a number from 0 to 1 is wanted")
        if self.window not in ("timestep", "token"):
            raise SettingError(f"window {self.window!r} is unknown: 'timestep' or 'token' is wanted")
        if self.prompt_tokens is not None and not 0 <= self.prompt_tokens < self.context_length:
            raise SettingError(
                f"a prompt of {self.prompt_tokens} tokens leaves nothing of a context of {self.context_length}: "
                f"a number from 0 to {self.context_length - 1} is wanted"
            )

    @property
    def most_prompt_tokens(self) -> int:
        """The longest prompt."""
        return self.context_length // 2 if self.prompt_tokens is None else self.prompt_tokens

    def stream(self) -> dict[str, object]:
        """The settings that decide which tokens are read; the others only decide how."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name not in _NOT_IN_STREAM}
