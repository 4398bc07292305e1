"""The card of a dataset, README.md: front matter for hubs, and what people want to know of it."""

from collections.abc import Iterator, Sequence

from gato_data.card.fields import field_tables
from gato_data.card.hub import front_matter
from gato_data.card.markdown import block, code, table
from gato_data.printable import count, counted, share
from gato_data.report.account import account_facts
from gato_data.report.facts import dataset_facts, split_columns, task_facts
from gato_data.report.table import Fact
from gato_schemas.dataset import FORMAT_VERSION, MANIFEST, PICTURE, Manifest, TaskInfo
from gato_schemas.sequence import Modality

PAPER = "https://arxiv.org/abs/2205.06175"
CITATION = """@article{reed2022generalist,
  title   = {A Generalist Agent},
  author  = {Reed, Scott and Zolna, Konrad and Parisotto, Emilio and Colmenarejo, Sergio Gomez and Novikov, Alexander
             and Barth-Maron, Gabriel and Gimenez, Mai and Sulsky, Yury and Kay, Jackie and Springenberg, Jost Tobias
             and Eccles, Tom and Bruce, Jake and Razavi, Ali and Edwards, Ashley and Heess, Nicolas and Chen, Yutian
             and Hadsell, Raia and Vinyals, Oriol and Bordbar, Mahyar and de Freitas, Nando},
  journal = {Transactions on Machine Learning Research},
  year    = {2022},
  url     = {https://arxiv.org/abs/2205.06175}
}"""
_TASKS = 50
_LIMIT = 600
"""Characters of a line that quotes the manifest."""
_CAME_FROM = ("family", "source", "licence", "grown from", "merged of", "cut from", "left out", "")
_OF_TASK = ("kept", "final step", "played in", "scores")
_LOADING = """```python
import gato_data

with gato_data.open("FOLDER") as dataset:  # or "hf://datasets/OWNER/NAME"
    for batch in dataset.batches(context_length=1024, batch_size=8, steps=10):
        print(batch.tokens.shape, batch.loss_mask.sum())
```

or, without gato-data:

```python
import tensorflow_datasets as tfds

dataset = tfds.builder_from_directory("FOLDER").as_dataset(split="SPLIT")
```"""


def readme(manifest: Manifest, excerpt: Sequence[str], *, has_picture: bool) -> bytes:
    """The whole card; every text of the manifest or of a record stands in it as code.

    Args:
        manifest: of the dataset.
        excerpt: the beginning of its first record, in lines.
        has_picture: whether a picture lies beside the card.
    """
    parts = [front_matter(manifest), *_head(manifest, excerpt, has_picture), *_counts(manifest)]
    if tables := list(field_tables(manifest)):
        parts += ["## Fields", *tables]
    parts += ["## Loading it", _loading(manifest), *_origins(manifest), "## Citation", f"```bibtex\n{CITATION}\n```"]
    return ("\n\n".join(parts) + "\n").encode()


def _head(manifest: Manifest, excerpt: Sequence[str], has_picture: bool) -> Iterator[str]:
    totals = manifest.totals
    yield f"# {code(manifest.name)}"
    steps = f", {counted(totals.timesteps, 'timestep')}" if totals.timesteps else ""
    yield (
        f"{counted(totals.episodes, 'episode' if totals.timesteps else 'document')}{steps}, "
        f"{counted(totals.tokens, 'token')}: token sequences as those of [Gato]({PAPER}), with a loss mask, as "
        f"TFRecord shards (format {FORMAT_VERSION} of gato-data)."
    )
    if has_picture:
        yield f"![Some images of the dataset, as they were tokenized]({PICTURE})"
    if excerpt:
        yield "The first record begins with:"
        yield block(excerpt)


def _counts(manifest: Manifest) -> Iterator[str]:
    columns = split_columns("-")
    yield "## How much there is"
    yield table(
        [f"{'>' if column.number else ''}{column.heading}" for column in columns],
        [[str(column.show(row)) for column in columns] for row in sorted(manifest.splits.items())],
    )
    by_modality = manifest.totals.tokens_by_modality
    kinds = [
        f"{modality.name.lower()} {count(by_modality[modality])}" for modality in Modality if by_modality[modality]
    ]
    yield f'Tokens: {", ".join(kinds) or "none"}. "loss" is the share of tokens that is trained on.'
    yield table(["task", ">episodes", ">timesteps", ">tokens", ">loss"], _task_rows(manifest))


def _task_rows(manifest: Manifest) -> Iterator[list[str]]:
    def row(name: str, task: TaskInfo) -> list[str]:
        counts = task.counts
        steps = count(counts.timesteps) if counts.timesteps else "-"
        return [name, count(counts.episodes), steps, count(counts.tokens), share(counts.loss_tokens, counts.tokens)]

    for name in list(manifest.tasks)[:_TASKS]:
        yield row(code(name), manifest.tasks[name])
    if (hidden := len(manifest.tasks) - _TASKS) > 0:
        yield [f"and {hidden:,} more: `{MANIFEST}` has them", "", "", "", ""]


def _loading(manifest: Manifest) -> str:
    split = next((name for name in ("train", "validation") if name in manifest.splits), "train")
    return _LOADING.replace("SPLIT", split)


def _origins(manifest: Manifest) -> Iterator[str]:
    facts = dataset_facts(manifest)
    yield "## Where it came from"
    tasks = list(manifest.tasks.values())
    of_task = [fact for fact in task_facts(tasks[0]) if fact[0] in _OF_TASK] if len(tasks) == 1 else []
    yield _facts([*(fact for fact in facts if fact[0] in _CAME_FROM), *of_task])
    yield "## What was read, and what was left out"
    yield _facts(account_facts(manifest, f"{MANIFEST}"))
    yield "## How it was made"
    libraries = ", ".join(f"{name} {version}" for name, version in manifest.libraries.items())
    made = [fact for fact in facts if fact[0] not in _CAME_FROM]
    yield _facts([*made, ("libraries", libraries), ("agents", ", ".join(manifest.agents[:_TASKS]))])


def _facts(facts: Sequence[Fact]) -> str:
    """A list, in which a fact without a name goes on with the one before."""
    lines = ((f"- {name}: " if name else "  - ") + code(str(text), _LIMIT) for name, text in facts)
    return "\n".join(lines)
