"""The settings of reading; on a command line each is the option of the same name."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from gato_data.errors import SettingError
from gato_data.reading.history import written_history
from gato_data.remote.record_cache import CACHE_BYTES
from gato_data.settings import check, deciding, recorded, setting
from gato_data.shards.checked import Verify

WindowMode: TypeAlias = Literal["timestep", "token"]
_SHARE: dict[str, Any] = {
    "minimum": 0,
    "maximum": 1,
    "refusal": "{name} {value} is not a share: a number from 0 to 1 is wanted",
}


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
        history: most earlier timesteps that a timestep of a window sees, of all datasets or by name, as
            `gato_data.reading.history.parse_history` reads it, or a whole number; None for all. Windows with a limit
            get no prompt.
        memory: bytes for batches, indexes, tables and what is kept inflated, together.
        inflated: bytes of them for inflated patches and columns, which coming batches need again; None is a sixteenth.
        threads: that read ahead in `MixtureReader.stream`.
        verify: what of a shard is checked: one of `CHECKED`.
        max_open_files: shards kept open at a time.
        cache: where records of datasets at addresses are kept; None is the user's folder for caches.
        cache_size: bytes that this process keeps there.
        map_files: map shards without compressed patches into memory; their size is checked before every batch.

    Raises:
        SettingError: a number is out of range.
    """

    context_length: int = setting(1024, "Input tokens of a window.", minimum=1)
    seed: int = setting(0, "Keys every random choice.")
    window: WindowMode = setting(
        "timestep",
        "Windows start at timesteps, or anywhere.",
        refusal="{name} {value!r} is unknown: 'timestep' or 'token' is wanted",
    )
    prompt_share: float = setting(0.25, "Share of windows that get a prompt (paper section 2.3: 0.25).", **_SHARE)
    prompt_end_share: float = setting(
        0.5, "Share of prompts from the end of an episode (paper section 2.3: 0.5).", **_SHARE
    )
    prompt_tokens: int | None = setting(None, "Most tokens of a prompt; half the context if not given.")
    prompt_loss: bool = setting(True, "Train on the actions and texts of prompts too.")
    pack: bool = setting(False, "Put several short episodes into one window, as segments.")
    history: str | None = setting(
        None,
        "Most earlier timesteps that one sees, of all datasets or NAME=N,NAME=N; all in its window if not given.",
        "N",
        records_default=False,
    )
    memory: int = setting(
        4 * 2**30, "Bytes for batches, indexes, tables and what is kept inflated.", "SIZE", minimum=2**20, decides=False
    )
    inflated: int | None = setting(
        None,
        "Bytes of it for inflated patches and columns; a sixteenth if not given.",
        "SIZE",
        minimum=0,
        decides=False,
    )
    threads: int = setting(2, "Threads that read ahead.", minimum=1, decides=False)
    verify: Verify = setting(
        "touched",
        "What is checked: touched, records when first read; frames, some; full, all when opened; off, sizes alone.",
        decides=False,
    )
    max_open_files: int = setting(512, "Shards kept open at a time.", minimum=1, decides=False)
    map_files: bool = setting(
        True,
        "Map shards without compressed patches into memory, which is faster.",
        decides=False,
    )

    cache: Path | None = setting(
        None, "Keeps what is read from addresses.  [default: ~/.cache/gato-data]", "DIR", decides=False
    )
    cache_size: int = setting(
        CACHE_BYTES, "Bytes of records that every process keeps there.", "SIZE", minimum=2**20, decides=False
    )

    def __post_init__(self) -> None:
        check(self)
        if self.history is not None:
            object.__setattr__(self, "history", written_history(self.history))
        if self.prompt_tokens is not None and not 0 <= self.prompt_tokens < self.context_length:
            raise SettingError(
                f"a prompt of {self.prompt_tokens} tokens leaves nothing of a context of {self.context_length}: "
                f"a number from 0 to {self.context_length - 1} is wanted"
            )

        if self.inflated is not None and self.inflated > self.memory // 4:
            raise SettingError(
                f"{self.inflated / 2**20:,.1f} MiB of inflated patches and columns are more than a quarter of the "
                f"memory, {self.memory / 2**22:,.1f} MiB: raise --memory"
            )

    @property
    def most_inflated(self) -> int:
        """Bytes of inflated patches and columns that are kept."""
        return self.memory // 16 if self.inflated is None else self.inflated

    @property
    def most_prompt_tokens(self) -> int:
        """The longest prompt."""
        return self.context_length // 2 if self.prompt_tokens is None else self.prompt_tokens

    def stream(self) -> dict[str, object]:
        """The settings that decide which tokens are read; the others only decide how."""
        kept = recorded(self)
        return {name: value for name, value in deciding(self).items() if name in kept}
