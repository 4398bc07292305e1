"""Text out of Debian packages: read a .deb, and turn what is in it into plain text.

Every function here gives the same text on every machine and Python version: files are sorted by name, and markup is
removed by fixed patterns instead of a parser whose rules change.
"""

import gzip
import html
import io
import re
import struct
import tarfile
import zlib
from pathlib import Path

Files = dict[str, bytes]
"""Contents of the chosen files of one package, by path."""


def read_package(path: Path, pattern: str) -> Files:
    """The files of a .deb whose paths match; a .deb is an ar archive with a tar of the files in it."""
    archive, start = path.read_bytes(), 8
    while not archive.startswith(b"data.tar", start):
        size = int(archive[start + 48 : start + 58])
        start += 60 + size + size % 2
    with tarfile.open(fileobj=io.BytesIO(archive[start + 60 :]), mode="r|xz") as tar:
        return {
            member.name.removeprefix("./"): stream.read()
            for member in tar
            if re.fullmatch(pattern, member.name.removeprefix("./")) and (stream := tar.extractfile(member))
        }


def wordnet(files: Files) -> str:
    """Every sense: its words, its definition and its examples, on one line."""
    lines = []
    for name in sorted(files):
        for line in files[name].decode("latin-1").split("\n"):
            head, bar, gloss = line.partition(" | ")
            if line.startswith(" ") or not bar:
                continue  # the licence at the top of each file is indented
            fields = head.split(" ")
            words = [word.partition("(")[0] for word in fields[4 : 4 + 2 * int(fields[3], 16) : 2]]
            lines.append(", ".join(words).replace("_", " ") + ": " + gloss.strip())
    return "\n".join(lines)


def word_frequencies(files: Files) -> str:
    """Words repeated as often as Zipf's law says for their rank in running text (Wikipedia, film subtitles)."""
    (module,) = files.values()
    lists = re.findall(r'"(\w+)": "([^"]*)"\.split\(","\)', module.decode())
    ranked = {name: words.split(",") for name, words in lists}
    lines = []
    for name in ("english_wikipedia", "us_tv_and_film"):
        for rank, word in enumerate(ranked[name]):
            count = 70_000 // (rank + 3)
            lines.append(" ".join([word] * count))
            lines.append(" ".join([word[:1].upper() + word[1:]] * (count // 6 + 1)))
    for name, count in (("female_names", 4), ("male_names", 6), ("surnames", 2)):
        lines += [" ".join([word[:1].upper() + word[1:]] * count) for word in ranked[name]]
    return "\n".join(lines)


def sword(files: Files) -> str:
    """A SWORD zText module: zlib blocks of OSIS markup, with an index of (offset, size, unpacked size)."""
    text = []
    for name in sorted(name for name in files if name.endswith(".bzs")):
        packed = files[name[:-1] + "z"]
        for offset, size, _ in struct.iter_unpack("<III", files[name]):
            text.append(zlib.decompress(packed[offset : offset + size]).decode())
    osis = re.sub(r"<(chapter|milestone|title|div sID)[^>]*>|</title>", "\n", "\n".join(text))
    osis = re.sub(r'<note [^>]*><reference type="annotateRef">[^<]*</reference>', " (", osis)
    return squeeze(re.sub(r"<[^>]*>", "", osis.replace("</note>", ") ")))


def r_strings(files: Files) -> str:
    """The character vectors of an R lazy-load data base: zlib blocks, each after its unpacked size."""
    (packed,) = files.values()
    novels = []
    while packed:
        block = zlib.decompressobj()
        values, lines, end = block.decompress(packed[4:]), [], 0
        for string in re.finditer(rb"\x00[\x04\x00]\x00\x09(....)", values, re.DOTALL):
            if string.start() >= end:
                end = string.end() + int.from_bytes(string[1])
                lines.append(values[string.end() : end].decode())
        novels.append(unwrap("\n".join(lines)))
        packed = block.unused_data
    return "\n\n".join(novels)


def dictd(files: Files) -> str:
    """A dictionary for dictd: gzip of indented, wrapped text."""
    (packed,) = files.values()
    return unwrap(re.sub(r"\n +", "\n", gzip.decompress(packed).decode()))


def web_pages(files: Files) -> str:
    """HTML without its tags; the part between <main> and </main> where there is one."""
    text = []
    for name in sorted(files):
        page = files[name].decode()
        page = page.partition("<main>")[2].partition("</main>")[0] or page
        page = re.sub(r"<(script|style|svg|nav|head)[ >].*?</\1>|<!--.*?-->", "", page, flags=re.DOTALL)
        page = re.sub(r"</?(p|div|br|li|tr|td|th|h[1-6]|pre|dt|dd|table|ol|ul)([ /][^<>]*)?>", "\n", page)
        text.append(squeeze(html.unescape(re.sub(r"<[^<>]*>", "", page))))
    return "\n\n".join(text)


def plain(files: Files) -> str:
    """Text and source files as they are."""
    return "\n\n".join(files[name].decode() for name in sorted(files))


def wrapped(files: Files) -> str:
    """A plain text with the lines of each paragraph joined."""
    return unwrap(plain(files))


def unwrap(text: str) -> str:
    """Join the lines of each paragraph."""
    return re.sub(r"(?<=[^\s])\n(?=[^\s])", " ", text)


def squeeze(text: str) -> str:
    """Drop blank lines and runs of blanks inside lines, which are markup's, not the text's."""
    return re.sub(r"[ \t]*\n[ \t\n]*\n", "\n", re.sub(r"(?<=[^ \n]) +", " ", text))
