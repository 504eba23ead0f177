"""The data manifest: manifest.py TEXT_DIR > manifest.tsv. Sizes and SHA-256 are of the unpacked shards."""

import hashlib
import lzma
import pathlib
import sys

from data import is_dev

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

print("shard\tsources\tlicence\tdocuments\tbytes\tsha256\tdev_documents\tdev_bytes")
for kind, (sources, licence) in SOURCES.items():
    data = lzma.open(pathlib.Path(sys.argv[1], kind + ".txt.xz")).read()
    documents = [d for d in data.split(b"\0") if d]
    dev = [d for d in documents if is_dev(d)]
    digest = hashlib.sha256(data).hexdigest()
    print(kind, sources, licence, len(documents), len(data), digest, len(dev), sum(map(len, dev)), sep="\t")
