"""`gato-data vocabulary`: train a text model, or look at one."""

import json
import sys
from pathlib import Path

import click

from gato_cli.options import LocalPath, json_option

_PATH = LocalPath()


@click.group()
def command() -> None:
    """Train a text model, or look at one.

    \b
    Example:
      gato-data vocabulary train corpus --size 32000 --out text.model
      gato-data vocabulary show text.model
    """


@command.command(context_settings={"show_default": True})
@click.argument("inputs", metavar="INPUT...", nargs=-1, required=True, type=_PATH)
@click.option("--out", required=True, metavar="FILE", type=_PATH, help="The model file.")
@click.option("--size", default=32_000, type=click.IntRange(1), help="Pieces (paper section 2.1: 32000).")
@click.option("--type", "kind", default="bpe", type=click.Choice(["bpe", "unigram"]), help="Kind of model.")
@click.option("--text-key", default="text", metavar="KEY", help="Field or column of the text; dots lead deeper.")
@click.option("--separator", default="", metavar="TEXT", help="What stands between documents in .txt files.")
@click.option(
    "--characters",
    default=100_000_000,
    type=click.IntRange(1),
    help="Train on at most so many characters, an equal share of each part of the input.",
)
@click.option("--overwrite", is_flag=True, help="Replace FILE if it exists.")
@click.option("--dry-run", is_flag=True, help="Read the input and count; train and write nothing.")
@json_option
def train(
    inputs: tuple[Path, ...],
    out: Path,
    size: int,
    kind: str,
    text_key: str,
    separator: str,
    characters: int,
    overwrite: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Train a SentencePiece model on texts (.txt, JSON lines, parquet; plain or compressed).

    Nothing is normalised, and characters without a piece become bytes: every text comes back exactly.
    Training takes about 10 bytes of memory and a microsecond for each character.

    \b
    Example:
      gato-data vocabulary train corpus --size 32000 --out text.model
    """
    from gato_pipelines.text_model import Corpus, check_out, save_text_model, train_text_model

    check_out(out, overwrite=overwrite)
    corpus = Corpus(inputs=inputs, text_key=text_key, separator=separator, characters=characters)
    if dry_run:
        lengths = [len(text) for text in corpus.texts()]
        _print({"dry_run": True, "out": str(out), "documents": len(lengths), "characters": sum(lengths)}, as_json)
        return
    trained = train_text_model(corpus, size, "unigram" if kind == "unigram" else "bpe")
    save_text_model(trained.tokenizer, out, overwrite=overwrite)
    facts = {
        "out": str(out),
        "size": trained.tokenizer.size,
        "type": kind,
        "documents": trained.documents,
        "characters": trained.characters,
        "sha256": trained.tokenizer.sha256,
    }
    _print(facts, as_json)
    print(f"give it to gato-data ingest with --text-model {out}", file=sys.stderr)


@command.command(context_settings={"show_default": True})
@click.argument("model", metavar="[MODEL]", required=False, type=_PATH)
@click.option("--text", metavar="TEXT", help="Show the tokens of this text.")
@json_option
def show(model: Path | None, text: str | None, as_json: bool) -> None:
    """Show a text model, and the table of token ids that goes with it.

    MODEL is a .model file of SentencePiece, a tokenizer.json of Hugging Face, or a dataset's folder; without it, the
    packaged model is shown.

    \b
    Example:
      gato-data vocabulary show text.model --text "a red cup of coffee"
    """
    from gato_data.printable import printable
    from gato_data.report.encode import plain
    from gato_data.report.text_model import open_text_model, summarize_text_model

    tokenizer = open_text_model(model)
    summary = summarize_text_model(model, tokenizer)
    ids = [] if text is None else tokenizer.encode([text])[0].tolist()
    answer = plain(summary)
    if as_json:
        tokens = [{"id": number, "piece": tokenizer.piece(number)} for number in ids]
        _print(answer if text is None else {**answer, "tokens": tokens}, as_json)
        return
    answer["special"] = ", ".join(f"{name} {number}" for name, number in summary.special.items())
    del answer["ranges"]
    _print(answer, as_json)
    print()
    for name, (first, last) in summary.ranges.items():
        print(f"{name:<12} {first:>7} to {last}")
    if text is not None:
        print()
        for number in ids:
            print(f"{number:>7}  {printable(tokenizer.piece(number))}")


def _print(facts: dict[str, object], as_json: bool) -> None:
    if as_json:
        print(json.dumps(facts, sort_keys=True))
        return
    for name, value in facts.items():
        shown = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else value
        print(f"{name.replace('_', ' '):<14} {shown}")
