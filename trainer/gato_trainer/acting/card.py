"""The policy card of a run, made of its datasets when it starts."""

import hashlib
from collections.abc import Sequence

from gato_data.shards.episodes import OpenDataset
from gato_data.tokenizers.text import read_text_model
from gato_schemas.dataset import TEXT_MODEL, VocabularyInfo
from gato_schemas.policy import Demonstration, PolicyCard, PolicyDataset
from gato_trainer.acting.demonstrations import best_demonstrations, within
from gato_trainer.data.batches import BatchSource

_DEMONSTRATIONS = 16 * 2**20
"""Bytes of all demonstrations of a run."""
_TEXT_MODEL = 40 * 2**20
"""Bytes of a text model; one of 256,000 pieces has 5 MiB, as a tokenizer.json 33."""


def make_card(source: BatchSource) -> PolicyCard | None:
    """What a run on these datasets has to carry to act without them; None where the source has no dataset folders.

    Raises:
        FormatError: a dataset is damaged.
    """
    if source.vocabulary is None or source.settings is None or not source.datasets:
        return None
    left_out: list[str] = []
    text_model = _text_model(source.datasets, source.vocabulary, left_out)
    datasets = _datasets(source.datasets, left_out)
    return PolicyCard(
        reading=source.settings.stream(),
        vocabulary=source.vocabulary,
        max_observation_tokens=max(dataset.manifest.max_observation_tokens for dataset in source.datasets),
        text_model=text_model,
        datasets=datasets,
        left_out=left_out,
    )


def _datasets(datasets: Sequence[OpenDataset], left_out: list[str]) -> list[PolicyDataset]:
    found = {
        (number, task): best
        for number, dataset in enumerate(datasets)
        for task, best in best_demonstrations(dataset, datasets=datasets).items()
    }
    kept, dropped = within(found, _DEMONSTRATIONS)
    if dropped:
        left_out.append(f"{dropped:,} demonstrations: all of them are more than {_DEMONSTRATIONS >> 20} MiB")
    kept.sort(key=lambda pair: pair[0])
    return [_dataset(dataset, [each for (of, _), each in kept if of == n]) for n, dataset in enumerate(datasets)]


def _dataset(dataset: OpenDataset, demonstrations: list[Demonstration]) -> PolicyDataset:
    manifest = dataset.manifest
    own = ("name", "tasks", "demonstrations")
    same = {name: getattr(manifest, name) for name in PolicyDataset.__struct_fields__ if name not in own}
    tasks = {name: info for name, info in manifest.tasks.items() if dataset.view.has_task(name)}
    return PolicyDataset(**same, name=dataset.name, tasks=tasks, demonstrations=demonstrations)


def _text_model(datasets: Sequence[OpenDataset], vocabulary: VocabularyInfo, left_out: list[str]) -> bytes | None:
    """The bytes of the text model that the datasets were tokenized with; None where none was."""
    if vocabulary.text_model is None:
        return None
    for dataset in datasets:
        path = dataset.folder / TEXT_MODEL
        if dataset.manifest.vocabulary.text_model == vocabulary.text_model and path.is_file():
            model = read_text_model(path)
            if hashlib.sha256(model).hexdigest() == vocabulary.text_model and len(model) <= _TEXT_MODEL:
                return model
    left_out.append(f"the text model {vocabulary.text_model[:12]}: no dataset has it, or it is too large")
    return None
