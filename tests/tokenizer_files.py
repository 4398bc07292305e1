"""Small files of Hugging Face's tokenizers, made as those of GPT-2, Llama, T5 and BERT are."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

CORPUS = (
    "go to the red ball\n",
    "pick up the blue key, then open the door",
    "def area(w, h):\n\treturn w * h\r\n",
    "Café Größe 12345 naïve, the quick brown fox",
) * 8


def gpt2(specials: Sequence[str] = ("<|endoftext|>",)) -> Tokenizer:
    """Byte-level BPE without a normalizer, as GPT-2's, Llama 3's and Qwen's."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=alphabet, special_tokens=list(specials), show_progress=False
    )
    made.train_from_iterator(CORPUS, trainer)
    made.add_tokens([f"<unused{number}>" for number in range(1100 - made.get_vocab_size())])
    return made


def llama() -> Tokenizer:
    """BPE with byte fallback and a sign for spaces, as Llama 2's and Gemma's."""
    made = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    made.decoder = decoders.Sequence(steps)
    specials = ["<unk>", "<s>", "</s>"]
    bytes_of = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=[*specials, *bytes_of], show_progress=False)
    made.train_from_iterator(CORPUS, trainer)
    content = json.loads(made.to_str())
    content["added_tokens"] = content["added_tokens"][:3]  # bytes are no special tokens
    return Tokenizer.from_str(json.dumps(content))


def t5() -> Tokenizer:
    """Unigram, as T5's."""
    made = Tokenizer(models.Unigram())
    made.normalizer = normalizers.NFKC()
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.decoder = decoders.Metaspace()
    specials = ["<pad>", "</s>", "<unk>"]
    trainer = trainers.UnigramTrainer(vocab_size=120, special_tokens=specials, unk_token="<unk>", show_progress=False)
    made.train_from_iterator(CORPUS, trainer)
    return made


def bert() -> Tokenizer:
    """WordPiece of lower case, as BERT's."""
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    made.train_from_iterator(
        CORPUS, trainers.WordPieceTrainer(vocab_size=300, special_tokens=specials, show_progress=False)
    )
    return made


KINDS: dict[str, Callable[[], Tokenizer]] = {"gpt2": gpt2, "llama": llama, "t5": t5, "bert": bert}


def dressed(made: Tokenizer) -> Tokenizer:
    """The same with what must not count, begin and end around texts, truncation and padding; and added tokens."""
    made.add_tokens(["<tool>"])
    made.add_special_tokens(["<|im_end|>"])
    end = made.token_to_id("<|im_end|>")
    made.post_processor = processors.TemplateProcessing(
        single="<|im_end|> $A <|im_end|>", special_tokens=[("<|im_end|>", end)]
    )
    made.enable_truncation(4)
    made.enable_padding(length=16, pad_id=end, pad_token="<|im_end|>")
    return made


def save(made: Tokenizer, path: Path, **changes: Any) -> Path:
    """Write it, with other values at the top of its JSON or, as `model__NAME`, of its model."""
    content = json.loads(made.to_str())
    for name, value in changes.items():
        inside = content["model"] if name.startswith("model__") else content
        inside[name.removeprefix("model__")] = value
    path.write_text(json.dumps(content), encoding="utf-8")
    return path
