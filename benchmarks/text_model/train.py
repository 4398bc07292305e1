"""Train `text-32k.model`, the packaged text model, from the contents of Debian packages.

    apt-get download $(python benchmarks/text_model/train.py --list)
    python benchmarks/text_model/train.py --packages . --out text-32k.model

The same packages give the same bytes: texts come in a fixed order, nothing is sampled, and training runs on one thread
of one version of sentencepiece. `gato_data/assets/README.md` has the licences and the measurements.
"""

import argparse
import hashlib
import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import debian_texts
from debian_texts import Files

from gato_data.tokenizers.training import SETTINGS, sentences

SENTENCEPIECE_VERSION = "0.2.3"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Text from one Debian package: which files, how they become text, and how much of it is used."""

    package: str
    version: str
    sha256: str
    files: str
    """A regular expression over the paths inside the package."""
    extract: Callable[[Files], str]
    characters: int = 12_000_000
    """At most this many characters, from the start."""
    lines: int = 50
    """Lines in one training sentence: 1 for lists of lines, more for texts in which line breaks are to be learned."""


SOURCES = (
    Source(
        package="wordnet-base",
        version="1:3.0-37",
        sha256="61060d960f9ada8fa120872312eccd3ecebfbab8c4579e4f5a74e1cf67620752",
        files=r"usr/share/wordnet/data\.(noun|verb|adj|adv)",
        extract=debian_texts.wordnet,
        lines=1,
    ),
    Source(
        package="python3-zxcvbn",
        version="4.4.28-3",
        sha256="49b4ba60a369e685d3a3bc5706cdd79041a063894d35093db288591ddffeb508",
        files=r"usr/lib/python3/dist-packages/zxcvbn/frequency_lists\.py",
        extract=debian_texts.word_frequencies,
        lines=1,
    ),
    Source(
        package="sword-text-web",
        version="426.0-1",
        sha256="930b23670b352f0829a306501de4bebb5e654a2df02cde2cbe86b802177868e1",
        files=r"usr/share/sword/modules/texts/ztext/engWEB2015eb/[no]t\.bz[sz]",
        extract=debian_texts.sword,
        characters=2_500_000,
    ),
    Source(
        package="r-cran-janeaustenr",
        version="1.0.0-1",
        sha256="df6bddf211906d1ff404f8ff662c21b34e6660e7f54a311084e749050c019c95",
        files=r"usr/lib/R/site-library/janeaustenr/data/Rdata\.rdb",
        extract=debian_texts.r_strings,
        characters=2_500_000,
    ),
    Source(
        package="dict-jargon",
        version="4.4.7-3.1",
        sha256="405f8168d7994ed2cb71407bb95493daec2e9aa66fc0461dafa74a9d6728a8c1",
        files=r"usr/share/dictd/jargon\.dict\.dz",
        extract=debian_texts.dictd,
    ),
    Source(
        package="dict-devil",
        version="1.0-13.1",
        sha256="6a535684def2a1f70cd42da16d12d43f0e9dc3e54e4a329178eebab3170e3154",
        files=r"usr/share/dictd/devil\.dict\.dz",
        extract=debian_texts.dictd,
    ),
    Source(
        package="rust-doc",
        version="1.63.0+dfsg1-2",
        sha256="96ef96fe6df87d939ca713bd7df3d15c2b778ccb892eca025c4ee504146f697b",
        files=r"usr/share/doc/rust-doc/html/book/(ch|appendix|foreword)[^/]*\.html",
        extract=debian_texts.web_pages,
    ),
    Source(
        package="sqlite3-doc",
        version="3.40.1-2+deb12u2",
        sha256="466e30d7066e2641fa13e56bc662a2ad521b8cc9c17dde9c9dac3d4f105e32f2",
        files=r"usr/share/doc/sqlite3/(?!doc_|keyword_|lang_select|requirements|syntaxdiagrams)[^/]*\.html",
        extract=debian_texts.web_pages,
        characters=3_000_000,
    ),
    Source(
        package="python3.11-doc",
        version="3.11.2-6+deb12u9",
        sha256="5b3594189d6ef9a6963ce0347fd307a1cc67620ad697e144db366070e2e146be",
        files=r"usr/share/doc/python3\.11/html/_sources/(faq|howto|library|tutorial)/.*\.rst\.txt",
        extract=debian_texts.plain,
        characters=3_000_000,
    ),
    Source(
        package="golang-1.19-src",
        version="1.19.8-2",
        sha256="2dfa82fe4f08f4e0193c532e561af4c91871f5235608f04f2bb8d57bb288df5a",
        files=r"usr/share/go-1\.19/src/testdata/Isaac\.Newton-Opticks\.txt",
        extract=debian_texts.wrapped,
    ),
    Source(
        package="golang-1.19-src",
        version="1.19.8-2",
        sha256="2dfa82fe4f08f4e0193c532e561af4c91871f5235608f04f2bb8d57bb288df5a",
        files=r"usr/share/go-1\.19/src/(bufio|bytes|encoding|fmt|io|net|os|sort|strings|time)/[a-z]*\.go",
        extract=debian_texts.plain,
        characters=1_500_000,
    ),
)


def find_package(folder: Path, source: Source) -> Path:
    """The package's file in `folder`, checked."""
    paths = sorted(folder.glob(f"{source.package}_*.deb"))
    for path in paths:
        if hashlib.sha256(path.read_bytes()).hexdigest() == source.sha256:
            return path
    found = ", ".join(path.name for path in paths) or "no such file"
    sys.exit(f"Error: {folder} lacks {source.package} {source.version} with sha256 {source.sha256} (found: {found})")


def read_corpus(folder: Path) -> list[str]:
    """Every training sentence, in the order of `SOURCES`."""
    corpus: list[str] = []
    for source in SOURCES:
        text = source.extract(debian_texts.read_package(find_package(folder, source), source.files))
        used = text[: source.characters]
        corpus += sentences(used, source.lines)
        print(f"{source.package} {source.version}: {len(used):,} of {len(text):,} characters", file=sys.stderr)
    return corpus


def train(corpus: list[str]) -> bytes:
    """The model's bytes."""
    import sentencepiece

    if sentencepiece.__version__ != SENTENCEPIECE_VERSION:
        sys.exit(
            f"Error: sentencepiece is {sentencepiece.__version__}; another version than {SENTENCEPIECE_VERSION} trains "
            f"another model: pip install sentencepiece=={SENTENCEPIECE_VERSION}"
        )
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(corpus), model_writer=model, **SETTINGS)
    return model.getvalue()


def characters_per_token(model: bytes, text: str) -> float:
    """How many characters one token stands for."""
    import sentencepiece

    return len(text) / len(sentencepiece.SentencePieceProcessor(model_proto=model).encode(text))


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="print the packages as apt-get's NAME=VERSION and stop")
    parser.add_argument("--packages", type=Path, default=Path("."), help="folder with the .deb files [.]")
    parser.add_argument("--out", type=Path, default=Path("text-32k.model"), help="where to write the model")
    parser.add_argument("--text", type=Path, help="also write the training text to this file")
    parser.add_argument("--measure", type=Path, nargs="*", default=[], help="print characters per token of these")
    arguments = parser.parse_args()
    if arguments.list:
        print(" ".join(sorted({f"{source.package}={source.version}" for source in SOURCES})))
        return
    corpus = read_corpus(arguments.packages)
    if arguments.text:
        arguments.text.write_text("\n".join(corpus), encoding="utf-8", newline="\n")
    model = train(corpus)
    arguments.out.write_bytes(model)
    print(f"{arguments.out}: {len(model):,} bytes, sha256 {hashlib.sha256(model).hexdigest()}")
    for path in arguments.measure:
        text = path.read_text(encoding="utf-8")
        print(f"{path}: {characters_per_token(model, text):.3f} characters per token")


if __name__ == "__main__":
    main()
