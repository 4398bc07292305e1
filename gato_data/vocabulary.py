"""The one table of id ranges: which ids stand for text, discrete values, continuous values and the separator."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from gato_data.errors import SettingError
from gato_schemas.dataset import VocabularyInfo
from gato_schemas.sequence import Modality

DISCRETE_VALUES = 1024
"""Discrete values are integers in [0, 1024) (paper section 2.1)."""
CONTINUOUS_BINS = 1024
"""Uniform bins on [-1, 1] (paper section 2.1 and appendix B)."""
MAX_UINT16_ROWS = 65535
"""Largest table whose ids and filler fit uint16."""
MAX_TEXT_SIZE = 2**24
"""Pieces of a text model: far above any, and all ids fit int32."""

DiscreteIds = Literal["paper", "separate"]


@dataclass(frozen=True)
class Vocabulary:
    """Id ranges for a text model of `text_size` pieces; 33,025 rows for the paper's 32,000.

        text        [0, V)
        discrete    [0, 1024)                 "paper": shared with text ids, as the paper prints it
                    [V + 1025, V + 2049)      "separate": a range of their own, after the separator
        continuous  [V, V + 1024)
        separator   V + 1024

    Attributes:
        text_size: pieces of the text model, V.
        discrete_ids: "paper" or "separate".
        text_model: SHA-256 of the text model, None where no text is tokenized.
    """

    text_size: int = 32000
    discrete_ids: DiscreteIds = "paper"
    text_model: str | None = None

    def __post_init__(self) -> None:
        if self.text_size < DISCRETE_VALUES and self.discrete_ids == "paper":
            raise SettingError(
                f"a text model of {self.text_size} pieces cannot share its ids with {DISCRETE_VALUES} discrete values: "
                f"give --discrete-ids separate, or a --text-model of at least {DISCRETE_VALUES} pieces"
            )
        if not 0 <= self.text_size <= MAX_TEXT_SIZE:
            raise SettingError(f"a text model of {self.text_size} pieces cannot be: 0 to {MAX_TEXT_SIZE} are wanted")

    @classmethod
    def from_info(cls, info: VocabularyInfo) -> "Vocabulary":
        """The vocabulary of a manifest."""
        return cls(info.text_size, "separate" if info.discrete_offset else "paper", info.text_model)

    @property
    def continuous_offset(self) -> int:
        """Id of continuous bin 0."""
        return self.text_size

    @property
    def separator(self) -> int:
        """Id of the separator between a timestep's observation and its action."""
        return self.text_size + CONTINUOUS_BINS

    @property
    def discrete_offset(self) -> int:
        """Id of the discrete value 0."""
        return 0 if self.discrete_ids == "paper" else self.separator + 1

    @property
    def size(self) -> int:
        """Rows of the whole table."""
        return self.separator + 1 + (0 if self.discrete_ids == "paper" else DISCRETE_VALUES)

    @property
    def token_dtype(self) -> Literal["uint16", "int32"]:
        """Dtype of the `tokens` column."""
        return "uint16" if self.size <= MAX_UINT16_ROWS else "int32"

    @property
    def patch_filler(self) -> int:
        """What stands in `tokens` where a patch is; never an id."""
        return 65535 if self.token_dtype == "uint16" else -1

    @cached_property
    def info(self) -> VocabularyInfo:
        """The table as it stands in a manifest."""
        return VocabularyInfo(
            text_size=self.text_size,
            discrete_offset=self.discrete_offset,
            discrete_size=DISCRETE_VALUES,
            continuous_offset=self.continuous_offset,
            continuous_size=CONTINUOUS_BINS,
            separator=self.separator,
            size=self.size,
            token_dtype=self.token_dtype,
            patch_filler=self.patch_filler,
            text_model=self.text_model,
        )

    def id_range(self, modality: Modality) -> tuple[int, int]:
        """First id and one past the last id of a modality; patches have the filler alone."""
        return self.info.id_range(modality)
