"""The front matter of a card: what the Hugging Face hub asks of a dataset, in its own words."""

import re
from collections.abc import Mapping, Sequence

from gato_data.printable import printable
from gato_schemas.dataset import Manifest
from gato_schemas.sequence import Modality

MARK = "# written by gato-data, and anew when the dataset changes: remove this line to keep your own words"
"""A comment of YAML by which a card of ours is known; a README without it is somebody's own."""
_TASKS: Mapping[str, str] = {
    "massivetext": "text-generation",
    "m3w": "image-text-to-text",
    "align": "image-to-text",
    "ltip": "image-to-text",
    "coco-captions": "image-to-text",
    "conceptual-captions": "image-to-text",
    "okvqa": "visual-question-answering",
    "vqav2": "visual-question-answering",
}
"""Task categories of the hub by family of documents."""
_GAMES = ("dm-lab", "atari", "atari-extended", "sokoban", "babyai", "procgen")
_LICENCES = """
    afl-3.0 agpl-3.0 apache-2.0 artistic-2.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear bsl-1.0 c-uda cc cc0-1.0
    cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0
    cc-by-nd-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0
    cdla-permissive-1.0 cdla-permissive-2.0 ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 gfdl gpl gpl-2.0
    gpl-3.0 isc lgpl lgpl-2.1 lgpl-3.0 mit mpl-2.0 ms-pl ncsa odbl odc-by ofl-1.1 openrail osl-3.0 pddl postgresql
    unknown unlicense wtfpl zlib
"""
_BY_LETTERS = {re.sub(r"[^a-z0-9]", "", name): name for name in re.findall(r"\S+", _LICENCES)}
_SIZES = (
    (10**3, "n<1K"),
    (10**4, "1K<n<10K"),
    (10**5, "10K<n<100K"),
    (10**6, "100K<n<1M"),
    (10**7, "1M<n<10M"),
    (10**8, "10M<n<100M"),
    (10**9, "100M<n<1B"),
    (10**10, "1B<n<10B"),
    (10**11, "10B<n<100B"),
    (10**12, "100B<n<1T"),
)


def front_matter(manifest: Manifest) -> str:
    """The YAML at the beginning of a card.

    The viewer of the hub is off: it reads no TFRecord, and would show the JSON files beside the shards as data.
    """
    lines = [
        MARK,
        f"pretty_name: {_quoted(manifest.name)}",
        *_list("license", licences(manifest.source.licence)),
        *_list("task_categories", task_categories(manifest)),
        *_list("size_categories", [size_category(manifest.totals.records)]),
        *_list("tags", tags(manifest)),
        "viewer: false",
    ]
    return "\n".join(["---", *lines, "---"])


def licences(text: str) -> list[str]:
    """The hub's names for the licences of a dataset: "unknown" where none is stated, "other" where it has no name."""
    stated = [part.strip() for part in text.split(";") if part.strip()]
    found = [_BY_LETTERS.get(_letters(part), "other") for part in stated]
    return list(dict.fromkeys(found)) or ["unknown"]


def _letters(licence: str) -> str:
    """Letters and digits of a licence, without what stands in brackets behind it, as in "MIT (JAT)"."""
    name = re.sub(r"\s*\([^()]*\)$", "", licence.lower())
    return re.sub(r"licen[cs]e|version|only$|^the |[^a-z0-9]", "", name)


def task_categories(manifest: Manifest) -> list[str]:
    """What a dataset is for, in the hub's words."""
    if any(task.actions for task in manifest.tasks.values()):
        return ["reinforcement-learning"] + ["robotics"] * (manifest.family not in _GAMES)
    has_images = bool(manifest.totals.images)
    return [_TASKS.get(manifest.family, "image-text-to-text" if has_images else "text-generation")]


def size_category(records: int) -> str:
    """The hub's class of so many records."""
    return next((name for limit, name in _SIZES if records < limit), "n>1T")


def tags(manifest: Manifest) -> list[str]:
    """Words by which the hub finds a dataset."""
    totals = manifest.totals.tokens_by_modality
    found = ["gato", "gato-data", "tokenized", "tfrecord"]
    if any(task.actions for task in manifest.tasks.values()):
        found.append("imitation-learning")
    if totals[Modality.PATCH]:
        found.append("image")
    if totals[Modality.TEXT]:
        found.append("text")
    return found


def _list(name: str, values: Sequence[str]) -> list[str]:
    return [f"{name}:", *(f"- {value}" for value in values)]


def _quoted(text: str) -> str:
    shown = printable(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{shown}"'
