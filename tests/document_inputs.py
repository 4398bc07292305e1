"""Small corpora of text and pictures in the layouts that public datasets have, made of real photographs."""

import io
import json
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from gato_data.tokenizers.text import TextTokenizer
from gato_pipelines.ingest.commit import Summary
from gato_pipelines.ingest.run import IngestSettings, run
from gato_schemas.dataset import read_manifest
from gato_schemas.index import DeadLetter
from gato_schemas.record import Record, decode_record
from gato_schemas.tfrecord import read_records

PHOTOS = Path(__file__).parent / "data" / "photos"
CAPTIONS = {
    "astronaut": ("A smiling woman in an orange space suit.", "An astronaut in front of a flag."),
    "camera": ("A man looks through a camera on a tripod.", "A photographer in a dark coat."),
    "cat": ("The face of a tabby cat with green eyes.", "A cat looks to the side."),
    "coffee": ("A red cup of coffee on a red saucer.", "A cup and a spoon."),
    "coins": ("Four rows of old coins.", "Coins on a dark surface."),
    "rocket": ("A white rocket stands on a launch pad.", "A rocket at dusk."),
}
NAMES = tuple(CAPTIONS)


def photo(name: str) -> bytes:
    """One of the six photographs, as JPEG."""
    return (PHOTOS / f"{name}.jpg").read_bytes()


def coco_name(number: int) -> str:
    return f"COCO_train2014_{number:012d}.jpg"


def make_coco(folder: Path, captions: int = 2, **changes: Any) -> Path:
    """Six pictures in train2014 and the official annotations; `changes` replace members of that file."""
    images = folder / "train2014"
    images.mkdir(parents=True)
    for number, name in enumerate(NAMES):
        (images / coco_name(number)).write_bytes(photo(name))
    listed = [{"id": number, "file_name": coco_name(number), "license": 4} for number in range(len(NAMES))]
    texts_ = [
        {"id": 100 * number + rank, "image_id": number, "caption": CAPTIONS[name][rank % 2] + "!" * (rank // 2)}
        for rank in range(captions)
        for number, name in enumerate(NAMES)
    ]
    (folder / "annotations").mkdir()
    content = {"info": {}, "licenses": [], "images": listed, "annotations": texts_, **changes}
    (folder / "annotations" / "captions_train2014.json").write_text(json.dumps(content))
    return folder


def make_vqa(folder: Path, *, version: int = 2, questions: Sequence[Any] = (), answers: Sequence[Any] = ()) -> Path:
    """Twelve questions about the pictures of `make_coco`, with ten answers each, and what else is given."""
    folder.mkdir(parents=True)
    asked = [
        {"question_id": 10 * number + rank, "image_id": number, "question": f"What is picture {number}, part {rank}?"}
        for number in range(len(NAMES))
        for rank in range(2)
    ]
    said = [
        {
            "question_id": 10 * number + rank,
            "image_id": number,
            "answers": [{"answer": NAMES[number], "answer_id": n} for n in range(1, 8)]
            + [{"answer": "something else", "answer_id": n} for n in range(8, 11)],
            **({"multiple_choice_answer": NAMES[number]} if version == 2 else {}),
        }
        for number in reversed(range(len(NAMES)))
        for rank in range(2)
    ]
    prefix = "v2_" if version == 2 else ""
    subset = {"data_type": "mscoco", "data_subtype": "train2014"}
    (folder / f"{prefix}OpenEnded_mscoco_train2014_questions.json").write_text(
        json.dumps({**subset, "questions": [*asked, *questions]})
    )
    (folder / f"{prefix}mscoco_train2014_annotations.json").write_text(
        json.dumps({**subset, "annotations": [*said, *answers]})
    )
    return folder


def make_tsv(folder: Path, *, links_first: bool = False, name: str = "captions.tsv") -> Path:
    """Seven rows with captions and links, the fourth of them dead, and the images by row number."""
    (folder / "images").mkdir(parents=True)
    rows = []
    for number, shown in enumerate((*NAMES[:3], None, *NAMES[3:])):
        columns = (CAPTIONS[shown][0] if shown else "a dead link", f"http://example.org/{shown}.jpg")
        rows.append("\t".join(reversed(columns) if links_first else columns) + "\n")
        if shown:
            (folder / "images" / f"{number:08d}.jpg").write_bytes(photo(shown))
    (folder / name).write_text("".join(rows))
    return folder


def sample(key: str, name: str) -> dict[str, bytes]:
    """The three members of one sample, as img2dataset writes them."""
    caption = CAPTIONS[name][0]
    about = {"caption": caption, "key": key, "status": "success", "url": f"http://example.org/{name}.jpg"}
    return {f"{key}.jpg": photo(name), f"{key}.txt": caption.encode(), f"{key}.json": json.dumps(about).encode()}


def make_tar(path: Path, members: Mapping[str, bytes], links: Mapping[str, str] | None = None) -> Path:
    """An archive of files, and of symbolic links."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
        for name, target in (links or {}).items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)
    return path


def six_samples() -> dict[str, bytes]:
    """The members of six samples."""
    return {member: data for number, name in enumerate(NAMES) for member, data in sample(f"{number:09d}", name).items()}


def mmc4_page(sentences: Sequence[str], images: Sequence[tuple[str, int]]) -> bytes:
    """A line of MMC4: images with the sentence that each was matched to."""
    listed = [{"image_name": name, "matched_text_index": at, "matched_sim": 0.3} for name, at in images]
    page = {"url": "http://example.org", "text_list": list(sentences), "image_info": listed, "similarity_matrix": []}
    return json.dumps(page).encode() + b"\n"


def address_name(address: str) -> str:
    """What an image downloaded from an address is called."""
    return sha256(address.encode()).hexdigest() + ".jpg"


def json_lines(path: Path, rows: Iterable[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def ingest(source: str, folder: Path, out: Path, settings: Mapping[str, Any] | None = None, **asked: Any) -> Summary:
    """Ingest in this process."""
    return run(source, settings or {}, folder, out, IngestSettings(**{"workers": 1, **asked}))


def records(out: Path, split: str = "train") -> list[Record]:
    """All records of a dataset."""
    manifest = read_manifest(out)
    return [
        decode_record(record.data, manifest.patch_encoding.name)
        for shard in manifest.splits[split].shards
        for record in read_records(out / shard.name)
    ]


def texts(record: Record, *, trained: bool = False) -> list[str]:
    """The texts of a record, one for each run of text tokens; only what is trained on, if asked for."""
    model, found, run_ = TextTokenizer.default(), [], []
    sequence = record.sequence
    for token, modality, mask in zip(sequence.tokens, sequence.modality, sequence.loss_mask, strict=True):
        if modality == 0 and (mask or not trained):
            run_.append(int(token))
        elif run_:
            found.append(model.decode(run_))
            run_ = []
    return [*found, model.decode(run_)] if run_ else found


def dead_letters(out: Path) -> dict[str, int]:
    """How many were left out, by reason."""
    import msgspec

    counts: dict[str, int] = {}
    for line in (out / "dead_letters.jsonl").read_bytes().splitlines():
        letter = msgspec.json.decode(line, type=DeadLetter)
        counts[letter.reason] = counts.get(letter.reason, 0) + letter.count
    return counts
