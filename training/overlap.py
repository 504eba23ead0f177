"""How much of each test file occurs in the training text: overlap.py TEXT_DIR CORPUS_DIR > overlap.tsv

A word is a maximal run of ASCII letters, ASCII digits and bytes above 127, ASCII letters in lower case. For
each file: the number of its runs of 13 words, and how many of those also occur in one document of the
training text (both splits). Words and runs are compared by 64-bit polynomial hashes.
"""

import pathlib
import sys

import numpy as np

from data import read_documents

RUN = 13
BASE = 0x9E3779B97F4A7C15  # odd, so it has an inverse modulo 2^64
INVERSE = pow(BASE, -1, 1 << 64)

LOWER = np.arange(256, dtype=np.uint64)
LOWER[65:91] += 32
IS_WORD = np.zeros(256, dtype=bool)
IS_WORD[48:58] = IS_WORD[65:91] = IS_WORD[97:123] = IS_WORD[128:] = True


def powers(base, n):
    steps = np.full(n, base, dtype=np.uint64)
    steps[:1] = 1
    return np.cumprod(steps)


def window_hashes(values, starts, ends):
    """Hash of values[start:end] for every pair: sum of value * BASE^(offset in the window), modulo 2^64."""
    prefix = np.zeros(len(values) + 1, dtype=np.uint64)
    np.cumsum(values * powers(BASE, len(values)), out=prefix[1:])
    return (prefix[ends] - prefix[starts]) * powers(INVERSE, len(values))[starts]


def run_hashes(text: bytes):
    data = np.frombuffer(text, dtype=np.uint8)
    inside = np.concatenate(([False], IS_WORD[data], [False]))
    edges = np.flatnonzero(inside[1:] != inside[:-1])
    starts, ends = edges[::2], edges[1::2]
    if len(starts) < RUN:
        return np.zeros(0, dtype=np.uint64)
    words = window_hashes(LOWER[data] + 1, starts, ends) * np.uint64(0xD6E8FEB86659FD93)
    words ^= words >> np.uint64(32)
    at = np.arange(len(words) - RUN + 1)
    return window_hashes(words, at, at + RUN)


def main():
    text_dir, corpus_dir = map(pathlib.Path, sys.argv[1:3])
    files = sorted(p for p in corpus_dir.rglob("*") if p.is_file() and p.name != "README.md")
    runs = [run_hashes(p.read_bytes()) for p in files]
    wanted = np.unique(np.concatenate(runs))
    found = np.zeros(len(wanted), dtype=bool)
    for shard in sorted(text_dir.glob("*.txt.xz")):
        for document in read_documents(shard):
            hashes = run_hashes(document)
            at = np.searchsorted(wanted, hashes)
            at[at == len(wanted)] = 0
            found[at[wanted[at] == hashes]] = True
    print("file\truns_of_13_words\tin_training_text\tshare")
    for path, hashes in zip(files, runs):
        hits = int(found[np.searchsorted(wanted, hashes)].sum())
        share = hits / len(hashes) if len(hashes) else 0.0
        print(f"{path.relative_to(corpus_dir)}\t{len(hashes)}\t{hits}\t{share:.5f}")


if __name__ == "__main__":
    main()
