"""Opening the datasets of a mixture: that they fit together, and are still what they were."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from gato_data.errors import MixtureError
from gato_data.growing.parents import folder_of_content
from gato_data.remote.mirror import dataset_folder, written_path
from gato_data.shards.episodes import OpenDataset
from gato_data.shards.views import WHOLE, View
from gato_schemas.dataset import TEXT_MODEL, Manifest, VocabularyInfo, read_manifest
from gato_schemas.mixture import SHORT_DIGEST, Mixture, MixtureDataset

_NAMED = 3
"""Shards that are named where more have changed."""


def open_datasets(folders: Sequence[Path], views: Sequence[View] | None = None) -> list[OpenDataset]:
    """Read the manifests and check that the datasets can be mixed.

    Args:
        folders: of the datasets; a folder may come again with another view.
        views: which episodes of each are meant; None for all.

    Raises:
        FormatError: a folder is no complete dataset.
        MixtureError: there is none, two have one name, their vocabularies differ, or a view names what is not there.
    """
    if not folders:
        raise MixtureError("no dataset was given: name at least one dataset folder")
    manifests = {folder: read_manifest(folder) for folder in dict.fromkeys(folders)}
    chosen = views or [WHOLE] * len(folders)
    datasets = [OpenDataset(folder, manifests[folder], view) for folder, view in zip(folders, chosen, strict=True)]
    seen: dict[str, Path] = {}
    for dataset in datasets:
        dataset.view.check(dataset.manifest)
        if dataset.name in seen:
            raise MixtureError(
                f"two datasets are called {dataset.name}: {seen[dataset.name]} and {dataset.folder}; leave one out"
            )
        seen[dataset.name] = dataset.folder
    common_vocabulary([dataset.manifest for dataset in datasets])
    return datasets


def common_vocabulary(manifests: Sequence[Manifest]) -> VocabularyInfo:
    """The one vocabulary of several datasets; one without text goes with any text model of the same size.

    Raises:
        MixtureError: id ranges or text models differ.
    """
    common, owner = manifests[0].vocabulary, manifests[0].name
    for manifest in manifests[1:]:
        other = manifest.vocabulary
        for name in VocabularyInfo.__struct_fields__:
            mine, theirs = getattr(common, name), getattr(other, name)
            if mine == theirs or (name == "text_model" and None in (mine, theirs)):
                continue
            raise MixtureError(_other_vocabulary(name, owner, mine, manifest.name, theirs))
        if common.text_model is None and other.text_model is not None:
            common, owner = other, manifest.name
    return common


def _other_vocabulary(field: str, owner: str, mine: Any, name: str, theirs: Any) -> str:
    """What is said of the first field in which two vocabularies differ."""
    both = f"{owner} and {name} have different"
    if field in ("text_size", "text_model"):
        what = "text models" if field == "text_model" else "vocabularies"
        return (
            f"{both} {what} ({field} {_short(mine)} and {_short(theirs)}): ingest one of them again with the other's "
            f"text model, --text-model DATASET/{TEXT_MODEL}"
        )
    if field == "discrete_offset":
        kinds = {True: "separate", False: "paper"}
        return (
            f"{both} ids of discrete values ({kinds[mine > 0]} and {kinds[theirs > 0]}): ingest {owner} again with "
            f"--discrete-ids {kinds[theirs > 0]}, or {name} with --discrete-ids {kinds[mine > 0]}"
        )
    return f"{both} id ranges ({field} {mine} and {theirs}): ingest both with the same version of gato-data"


def _short(value: Any) -> str:
    return f"{value[:12]}..." if isinstance(value, str) and len(value) > 12 else str(value)


def manifest_parts(manifest: Manifest) -> dict[str, str]:
    """A short hash of everything in a manifest that decides its tokens, by what it is."""
    parts: dict[str, Any] = {
        "source settings": [manifest.source.name, manifest.source.settings, manifest.source.inputs],
        "vocabulary": manifest.vocabulary,
        "tokenization": manifest.tokenization,
        "patch encoding": manifest.patch_encoding,
        "library versions": manifest.libraries,
        "tasks": {name: [info.observations, info.actions] for name, info in manifest.tasks.items()},
    }
    return {
        name: hashlib.blake2b(msgspec.json.encode(value, order="sorted"), digest_size=8).hexdigest()
        for name, value in parts.items()
    }


def short_digests(manifest: Manifest) -> dict[str, str]:
    """By split the first digits of every shard's digest, all in one text."""
    return {
        split: "".join(shard.digest[:SHORT_DIGEST] for shard in info.shards) for split, info in manifest.splits.items()
    }


def mixture_dataset(dataset: OpenDataset, relative_to: Path) -> MixtureDataset:
    """What a mixture file in folder `relative_to` says of a dataset."""
    manifest = dataset.manifest
    totals = manifest.splits["train"].totals
    return MixtureDataset(
        name=dataset.name,
        path=written_path(dataset.folder, relative_to),
        family=manifest.family,
        fingerprint=manifest.fingerprint,
        content_id=manifest.content_id,
        parts=manifest_parts(manifest),
        digests=short_digests(manifest),
        episodes=totals.episodes,
        tokens=totals.tokens,
        loss_tokens=totals.loss_tokens,
        view=str(dataset.view),
    )


def open_mixture_datasets(mixture: Mixture, path: Path, cache: Path | None = None) -> list[OpenDataset]:
    """The datasets of a mixture file, checked against what it says of them.

    Args:
        mixture, path: the mixture and its file.
        cache: where manifests and indexes of datasets at addresses are kept; None is the user's own folder.

    Raises:
        FormatError: a dataset is missing or incomplete.
        MixtureError: a dataset is not what it was when the mixture was made; the message says what changed.
    """
    datasets = open_datasets(
        [
            folder_of_content(dataset_folder(path, dataset.path, cache), dataset.content_id)
            for dataset in mixture.datasets
        ],
        [View.parse(dataset.view) for dataset in mixture.datasets],
    )
    for known, found in zip(mixture.datasets, datasets, strict=True):
        changed = describe_change(known, found)
        if changed:
            raise MixtureError(
                f"dataset {known.name} is not what it was when {path} was made: {changed}; "
                "make the mixture again with `gato-data mix`, or bring the dataset back"
            )
    manifests = [dataset.manifest for dataset in datasets]
    longest = max(manifest.max_observation_tokens for manifest in manifests)
    if (mixture.vocabulary, mixture.max_observation_tokens) != (common_vocabulary(manifests), longest):
        raise MixtureError(
            f"{path} has another vocabulary, or another table of positions, than its datasets: make the mixture again "
            "with `gato-data mix`"
        )
    return datasets


def describe_change(known: MixtureDataset, found: OpenDataset) -> str:
    """What differs between a dataset now and when it was mixed, in words; empty if nothing does."""
    changes, manifest = [], found.manifest
    if found.name != known.name:
        changes.append(f"it is now called {manifest.name}")
    parts = manifest_parts(manifest)
    differing = [name for name, value in known.parts.items() if parts.get(name) != value]
    if differing:
        changes.append(f"changed {', '.join(differing)}")
    if manifest.content_id != known.content_id:
        changes.append(_changed_shards(known, manifest))
    train = manifest.splits.get("train")
    for name in ("episodes", "tokens"):
        now, before = getattr(train.totals, name) if train else 0, getattr(known, name)
        if now != before:
            changes.append(f"{before:,} {name} became {now:,}")
    if manifest.fingerprint != known.fingerprint:
        changes.append(f"fingerprint {known.fingerprint[:12]} became {manifest.fingerprint[:12]}")
    return "; ".join(changes)


def _changed_shards(known: MixtureDataset, manifest: Manifest) -> str:
    """Which shards have another content, in words; the first ones by name."""
    names = []
    for split in sorted({*known.digests, *manifest.splits}):
        info, before = manifest.splits.get(split), known.digests.get(split, "")
        shards = info.shards if info else []
        if len(shards) * SHORT_DIGEST != len(before):
            return f"{len(before) // SHORT_DIGEST} shards of {split} became {len(shards)}"
        for number, shard in enumerate(shards):
            if not shard.digest.startswith(before[number * SHORT_DIGEST :][:SHORT_DIGEST]):
                names.append(shard.name)
    if not names:
        return "the content of its shards is another"
    more = f" and {len(names) - _NAMED} more shards" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more} {'have' if len(names) > 1 else 'has'} another content"
