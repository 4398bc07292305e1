"""Documents and megabytes of text per CPU second of `gato-data ingest massivetext`, beside what it is measured against.

    ours    the whole ingest: Beam pipeline, counting pass, JSON, tokens, indexes, manifest; one process
    bare    JSON and `SentencePieceProcessor.encode`, nothing else: the limit
    numpy   the same with `encode_as_numpy`, if this sentencepiece has it
    datatrove   its DocumentTokenizer step (Hugging Face tokenizers), if it is installed

All read the same JSON lines: texts that every machine has, the standard library's sources and the descriptions of
installed packages, or a file of one's own. Each way runs in a process of its own, in turn; the fastest of `--rounds`
counts. CPU time is of the whole process, start-up left out.

    python benchmarks/text.py
    python benchmarks/text.py --model my-unigram.model --input corpus.jsonl
"""

import argparse
import json
import resource
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=float, default=32, help="of text (default 32)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each, the fastest counts (default 3)")
    parser.add_argument("--model", type=Path, help="a text model of your own")
    parser.add_argument("--input", type=Path, help="JSON lines with a field `text`")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.way:
        report(args.way, args.input, args.model)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = args.input or write_corpus(Path(folder) / "corpus.jsonl", int(args.megabytes * 1e6))
        rounds = [{way: run(way, path, args.model) for way in WAYS} for _ in range(args.rounds)]
    results = {
        way: min((found[way] for found in rounds), key=lambda run: run["seconds"]) for way in WAYS if rounds[0][way]
    }
    show(results)
    if args.json:
        args.json.write_text(json.dumps(results, indent=2) + "\n")


def write_corpus(path: Path, size: int) -> Path:
    """Texts of this machine, in an order that does not depend on it."""
    library = Path(sysconfig.get_path("stdlib"))
    packages = Path(sysconfig.get_path("purelib"))
    files = [
        *sorted(packages.glob("*.dist-info/METADATA")),
        *sorted(library.glob("*.py")),
        *sorted(library.glob("*/*.py")),
    ]
    left = size
    with path.open("w", encoding="utf-8") as out:
        for number, file in enumerate(files):
            text = file.read_text(encoding="utf-8", errors="replace")
            if text.strip():
                out.write(json.dumps({"id": number, "text": text}) + "\n")
                left -= len(text)
            if left < 0:
                break
    return path


def run(way: str, path: Path, model: Path | None) -> dict[str, float]:
    """One run in a fresh process; empty where something is not installed."""
    command = [sys.executable, __file__, "--way", way, "--input", str(path)]
    command += ["--model", str(model)] if model else []
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == MISSING:
        return {}
    if done.returncode:
        sys.exit(done.stderr)
    return dict(json.loads(done.stdout.splitlines()[-1]))


MISSING = 77


def report(way: str, path: Path, model: Path | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        tokens, seconds = WAYS[way](path, model, Path(folder))
    documents, size = 0, 0
    for text in texts(path):
        documents, size = documents + 1, size + len(text.encode())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found = {"documents": documents, "bytes": size, "tokens": tokens, "seconds": seconds, "peak_mb": peak}
    print(json.dumps(found))


def texts(path: Path) -> Iterator[str]:
    with path.open("rb") as file:
        for line in file:
            yield json.loads(line)["text"]


def processor(model: Path | None) -> object:
    from sentencepiece import SentencePieceProcessor

    from gato_data.tokenizers.text import TextTokenizer

    tokenizer = TextTokenizer.load(model) if model else TextTokenizer.default()
    return SentencePieceProcessor(model_proto=tokenizer.model_bytes)


def ours(path: Path, model: Path | None, out: Path) -> tuple[int, float]:
    import apache_beam  # noqa: F401  (start-up is not what is compared)
    import pyarrow.parquet  # noqa: F401
    import sentencepiece  # noqa: F401

    from gato_pipelines.ingest.run import IngestSettings
    from gato_pipelines.ingest.run import run as ingest

    start = time.process_time()
    summary = ingest("massivetext", {}, path, out / "dataset", IngestSettings(workers=1, text_model=model))
    return summary.manifest.splits["train"].totals.tokens, time.process_time() - start


def bare(path: Path, model: Path | None, out: Path) -> tuple[int, float]:
    encode = processor(model).encode  # type: ignore[attr-defined]
    start, tokens = time.process_time(), 0
    for text in texts(path):
        tokens += len(encode(text))
    return tokens, time.process_time() - start


def numpy(path: Path, model: Path | None, out: Path) -> tuple[int, float]:
    encode = getattr(processor(model), "encode_as_numpy", None)
    if encode is None:
        sys.exit(MISSING)
    start, tokens = time.process_time(), 0
    for text in texts(path):
        tokens += len(encode(text))
    return tokens, time.process_time() - start


def datatrove(path: Path, model: Path | None, out: Path) -> tuple[int, float]:
    """Its own step on the same documents; the tokenizer is the same model, converted by `tokenizers`."""
    try:
        from datatrove.data import Document
        from datatrove.pipeline.tokens import DocumentTokenizer
        from tokenizers import SentencePieceBPETokenizer
    except ImportError:
        sys.exit(MISSING)
    sp = processor(model)
    pieces = {sp.id_to_piece(n): n for n in range(sp.get_piece_size())}  # type: ignore[attr-defined]
    file = out / "tokenizer.json"
    SentencePieceBPETokenizer(vocab=pieces, merges=merges(pieces)).save(str(file))
    step = DocumentTokenizer(str(out / "tokens"), tokenizer_name_or_path=str(file), shuffle_documents=False)
    documents = (Document(text=text, id=str(number)) for number, text in enumerate(texts(path)))
    start = time.process_time()
    step.run(documents, 0, 1)
    return sum(path.stat().st_size for path in (out / "tokens").rglob("*.ds")) // 2, time.process_time() - start


def merges(pieces: dict[str, int]) -> list[tuple[str, str]]:
    """The pairs that a BPE model joins, in order: of every split into two pieces, the one joined first."""
    found = []
    for piece in sorted(pieces, key=lambda name: pieces[name]):
        splits = [(piece[:at], piece[at:]) for at in range(1, len(piece))]
        known = [pair for pair in splits if pair[0] in pieces and pair[1] in pieces]
        if known and not piece.startswith("<"):
            found.append(min(known, key=lambda pair: max(pieces[pair[0]], pieces[pair[1]])))
    return found


WAYS = {"ours": ours, "bare": bare, "numpy": numpy, "datatrove": datatrove}


def show(results: dict[str, dict[str, float]]) -> None:
    print(
        f"{'way':<10}{'documents':>10}{'MB':>7}{'tokens':>12}{'CPU s':>8}{'MB / CPU s':>12}"
        f"{'docs / CPU s':>14}{'peak MB':>9}"
    )
    for way, found in results.items():
        seconds, size = found["seconds"], found["bytes"] / 1e6
        print(
            f"{way:<10}{found['documents']:>10,}{size:>7.1f}{found['tokens']:>12,}{seconds:>8.2f}"
            f"{size / seconds:>12.2f}"
            f"{found['documents'] / seconds:>14,.0f}{found['peak_mb']:>9,.0f}"
        )
    ratio = results["ours"]["seconds"] / results["bare"]["seconds"]
    print(f"ours takes {ratio:.2f} times the CPU time of bare")


if __name__ == "__main__":
    main()
