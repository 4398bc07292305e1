"""What a user asks of an ingest."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from gato_data.dataset_names import check_name
from gato_data.errors import SettingError
from gato_data.printable import printable
from gato_data.settings import check, deciding, recorded, setting
from gato_data.tokenize import TokenizeSettings
from gato_data.vocabulary import DiscreteIds
from gato_pipelines.ingest.array_task import ArrayTask
from gato_schemas.compression import PatchEncoding

_MAX_LICENCE = 300
EngineName: TypeAlias = Literal["local", "dask", "portable", "flink", "spark", "dataflow"]
RunnerName: TypeAlias = Literal["local", "array", "dask", "portable", "flink", "spark", "dataflow"]


@dataclass(frozen=True, kw_only=True)
class IngestSettings:
    """What is asked of an ingest, apart from the source's own settings.

    Attributes:
        name: of the dataset; by default the output folder's.
        licence: of the data, as an SPDX identifier or in words; by default what the input says of it.
        holdout: share of episodes that go to the validation split, in [0, 1).
        max_episodes: only the first ones.
        max_bad: dead letters that are put up with.
        patch_encoding: name of a `PatchEncoding`.
        tokenize: the choices that the paper leaves open.
        text_model: path of a `.model` of SentencePiece or a `tokenizer.json`; None for the packaged one.
        discrete_ids: layout of the vocabulary.
        runner, workers, beam_options: where it runs.
        array_task: which of the processes of runner "array" this one is, such as "1/4".
        overwrite: start again where the folder holds another dataset of ours.
        append: put what the inputs hold behind what the dataset has already.
        retry_dead_letters: make those shards anew that hold dead letters.

    Raises:
        SettingError: a number is out of range, a choice is none, or two settings contradict.
    """

    name: str = setting("", "Name of the dataset; by default the folder's.", decides=False)
    licence: str = setting(
        "", "Licence of the data, such as CC-BY-4.0; by default what the input says of it.", "SPDX", decides=False
    )
    holdout: float = setting(
        0.0,
        "Share of episodes in the validation split.",
        minimum=0,
        below=1,
        refusal="holdout is {value}: a share in [0, 1) is wanted",
    )
    max_episodes: int | None = setting(
        None,
        "Read only so many episodes.",
        minimum=1,
        refusal="max-episodes is {value}: at least 1 is wanted",
        decides=False,
    )
    max_bad: int = setting(0, "Episodes that may be left out.", minimum=0, decides=False)
    patch_encoding: Literal["zlib", "raw"] = setting("zlib", "How patches are stored.")
    tokenize: TokenizeSettings = field(default_factory=TokenizeSettings)
    text_model: Path | None = setting(
        None, "Text model of your own: a .model of SentencePiece, or a tokenizer.json of Hugging Face.", decides=False
    )
    discrete_ids: DiscreteIds = setting(
        "paper",
        "Ids of discrete values: shared with text as in the paper, or a range of their own.",
        decides=False,
    )
    runner: RunnerName = setting(
        "local",
        "Where it runs: this machine, one of several processes, or another engine.",
        refusal="no runner named {value!r}: there are {choices}",
        decides=False,
    )
    array_task: str = setting("", "With --runner array: which process this is, of how many.", "I/N", decides=False)
    workers: int | None = setting(None, "Processes of the local runner; default all cores.", minimum=1, decides=False)
    beam_options: tuple[str, ...] = setting(
        (),
        "Passed on to Beam; repeatable.",
        "NAME=VALUE",
        option="beam_option",
        repeatable=True,
        decides=False,
    )
    overwrite: bool = setting(False, "Start again where DIR holds a dataset of ours.", flag=True, decides=False)
    append: bool = setting(False, "Put what INPUT holds behind what the dataset in DIR has.", flag=True, decides=False)
    retry_dead_letters: bool = setting(
        False,
        "After the input was mended: make those shards anew that hold dead letters.",
        flag=True,
        decides=False,
    )

    def __post_init__(self) -> None:
        check(self)
        if self.append and (self.overwrite or self.retry_dead_letters):
            raise SettingError(
                "append leaves what is there as it is, overwrite and retry-dead-letters make it anew: give one of them"
            )
        if self.overwrite and self.retry_dead_letters:
            raise SettingError(
                "overwrite makes everything anew and retry-dead-letters what was left out: give one of them"
            )
        self._check_array()
        if self.name:
            check_name(self.name)
        if self.licence != printable(self.licence, _MAX_LICENCE).strip():
            raise SettingError(
                f"licence is {printable(self.licence)!r}: an SPDX identifier such as CC-BY-4.0 is wanted, or up to "
                f"{_MAX_LICENCE} printable characters"
            )

    def _check_array(self) -> None:
        if self.runner != "array":
            if self.array_task:
                raise SettingError(
                    f"array-task {self.array_task} is for runner array, this one is {self.runner}: give both or none"
                )
            return
        if not self.array_task:
            raise SettingError(
                "runner array wants an array-task: which of how many processes this one is, such as --array-task 1/4"
            )
        ArrayTask.parse(self.array_task)
        if self.append or self.overwrite or self.retry_dead_letters:
            raise SettingError(
                "append, overwrite and retry-dead-letters are for one process alone, and runner array for several: "
                "use another runner"
            )

    @property
    def which_task(self) -> ArrayTask | None:
        """Which process of an array this one is; None where it is alone."""
        return ArrayTask.parse(self.array_task) if self.array_task else None

    @property
    def engine(self) -> EngineName:
        """What runs the pipelines: a task of an array does so on its own machine."""
        return "local" if self.runner == "array" else self.runner

    @property
    def encoding(self) -> PatchEncoding:
        """How patches are stored."""
        return PatchEncoding(self.patch_encoding)

    def deciding(self) -> dict[str, Any]:
        """What decides bytes, by name, as the fingerprint has it.

        The text model and the layout of ids decide the vocabulary, which it has as well.
        """
        found = {**deciding(self), "tokenize": recorded(self.tokenize)}
        del found["patch_encoding"]
        return {**found, "encoding": asdict(self.encoding)}
