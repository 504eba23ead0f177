"""The data manifest: manifest.py TEXT_DIR > manifest.tsv. Sizes and SHA-256 are of the unpacked shards."""

import csv
import hashlib
import lzma
import pathlib
import sys

from data import use_of

# Of the shards that the folder's own MANIFEST-2.tsv does not describe.
SOURCES = {
    "books": ("classic-books-markdown: 272 English classics", "public domain"),
    "reference": ("Debian: dict-gcide, dict-foldoc, jargon-text, anarchism", "GPL, GFDL, public domain"),
    "technical": (
        "Debian: python3.11-doc, perl-doc, linux-doc-6.1, git-doc, postgresql-doc-15, manpages, manpages-dev",
        "PSF, GPL/Artistic, GPL-2, PostgreSQL, GPL-2+ and BSD",
    ),
    "encyclopedic": ("enwik8 bytes 1,000,000-3,000,000; WikiText-2 validation", "CC BY-SA"),
    "code": ("CPython 3.11 standard library", "PSF"),
    "code-rust": ("Debian: rust-src", "MIT or Apache-2.0"),
    "code-go": ("Debian: golang-1.19-src", "BSD-3-clause"),
    "languages": ("UnicodeCompressor corpora (Gutenberg, Wikisource)", "public domain"),
    "localized": ("Debian: libreoffice-help-*", "MPL-2.0"),
}


def described(text_dir: pathlib.Path) -> dict[str, tuple[str, str]]:
    """Sources and licences by kind, with those of TEXT_DIR/MANIFEST-2.tsv."""
    rows = csv.DictReader((text_dir / "MANIFEST-2.tsv").open(), delimiter="\t")
    return SOURCES | {r["shard"]: (r["sources"], r["licences"]) for r in rows}


def main():
    text_dir = pathlib.Path(sys.argv[1])
    print("shard\tsources\tlicence\tdocuments\tbytes\tsha256\tdev_documents\tdev_bytes")
    for kind, (sources, licence) in described(text_dir).items():
        content = lzma.open(text_dir / (kind + ".txt.xz")).read()
        documents = [d for d in content.split(b"\0") if d]
        dev = [d for d in documents if use_of(d) == "dev"]
        digest = hashlib.sha256(content).hexdigest()
        print(kind, sources, licence, len(documents), len(content), digest, len(dev), sum(map(len, dev)), sep="\t")


if __name__ == "__main__":
    main()
