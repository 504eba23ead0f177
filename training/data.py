"""Text to tokens: which documents train, the shares of kinds, and the tokenizer.

A text folder holds one `KIND.txt.xz` a kind, a NUL byte after each document. The SHA-256 of a document's bytes decides
what it is for: if it begins with the hex digit 0, the document belongs to the development split, which no tokenizer and
no model is trained on; if it begins with 1f, the document is kept apart and never read here; all others train.
"""

import hashlib
import json
import lzma
import pathlib
import random
from collections.abc import Iterable, Iterator

import numpy as np
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

SEPARATOR = "<|endoftext|>"

# Shares of the training bytes, by group:
# - prose (26 %) and documentation (14 %): English text is what people compress most and where a model helps most. Text
#   of today has a larger share than the classics, though there is less of it.
# - code (28 %): what an archive of a project consists of. Shares follow the sizes of the shards; the smallest (Go,
#   Rust, shell, Python) have half as much again.
# - formats (17 %): configuration, data, markup, logs, patches, mail. The experts learn their repetition from the file
#   itself, so a model gains less there than on prose; it must know their words all the same.
# - other languages (15 %): each needs words of its own, and a small model cannot hold those of twenty languages.
# Of 3 GB drawn this way, most kinds are read 2 to 6 times and none more than 10 times. A kind that was read 44 times
# made the largest model worse at it.
MIX = {
    # prose
    "books": 0.11,
    "prose": 0.12,
    "reference": 0.025,
    "encyclopedic": 0.005,
    # documentation
    "docs": 0.09,
    "technical": 0.05,
    # code
    "code": 0.02,
    "code-c": 0.055,
    "code-go": 0.02,
    "code-jvm": 0.035,
    "code-more": 0.035,
    "code-rust": 0.025,
    "code-script": 0.04,
    "code-shell": 0.02,
    "code-web": 0.03,
    # formats
    "config": 0.04,
    "data": 0.015,
    "latex": 0.015,
    "logs": 0.02,
    "mail": 0.01,
    "markup": 0.03,
    "notebooks": 0.01,
    "patches": 0.02,
    "sql": 0.01,
    # other languages
    "languages": 0.02,
    "localized": 0.01,
    "lang-de": 0.018,
    "lang-es": 0.018,
    "lang-fr": 0.018,
    "lang-it": 0.012,
    "lang-ja": 0.01,
    "lang-more": 0.008,
    "lang-pt": 0.013,
    "lang-ru": 0.013,
    "lang-zh": 0.01,
}


def use_of(document: bytes) -> str:
    """`dev`, `apart` or `train`."""
    digest = hashlib.sha256(document).hexdigest()
    return "dev" if digest[0] == "0" else "apart" if digest.startswith("1f") else "train"


def read_documents(path) -> list[bytes]:
    return [d for d in lzma.open(path).read().split(b"\0") if d]


def present_kinds(text_dir) -> list[str]:
    """Kinds of MIX whose shards are in the folder, in MIX's order. A shard without a share is an error."""
    found = {p.name.removesuffix(".txt.xz") for p in pathlib.Path(text_dir).glob("*.txt.xz")}
    if not found or found - MIX.keys():
        raise SystemExit(
            f"{text_dir}: {'no shares in MIX for ' + str(found - MIX.keys()) if found else 'no KIND.txt.xz'}"
        )
    return [k for k in MIX if k in found]


def shares_of(kinds: Iterable[str]) -> dict[str, float]:
    """MIX of these kinds alone; the sum is 1."""
    whole = sum(MIX[k] for k in kinds)
    return {k: MIX[k] / whole for k in kinds}


def load(text_dir, kind: str, use: str, limit_bytes: int = 0) -> list[str]:
    """Documents of one kind and use in a seeded order; with a limit, the first whose bytes reach it."""
    documents = [d for d in read_documents(pathlib.Path(text_dir, kind + ".txt.xz")) if use_of(d) == use]
    random.Random(kind).shuffle(documents)
    if limit_bytes:
        kept, left = [], limit_bytes
        for document in documents:
            if left <= 0:
                break
            kept.append(document[:left])
            left -= len(kept[-1])
        documents = kept
    return [d.decode("utf-8", errors="replace") for d in documents]


def balanced_sample(text_dir, total_chars: float, piece: int = 20_000, seed: int = 1) -> Iterator[str]:
    """Pieces of training documents, `total_chars` in all, shared among the kinds as in MIX."""
    rng = random.Random(seed)
    for kind, share in shares_of(present_kinds(text_dir)).items():
        documents = load(text_dir, kind, "train")
        pieces = [d[at : at + piece] for d in documents for at in range(0, len(d), piece)]
        rng.shuffle(pieces)
        left = share * total_chars
        for text in pieces:
            if left <= 0:
                break
            left -= len(text)
            yield text


def byte_level(model: models.BPE) -> Tokenizer:
    """Splits text as SmolLM2 does, digits one by one and then by GPT-2's pattern, and spells bytes as GPT-2 does."""
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def separator() -> AddedToken:
    return AddedToken(SEPARATOR, special=True, normalized=False)


def train_tokenizer(sample: Iterable[str], vocab: int) -> Tokenizer:
    """Byte-level BPE over all 256 bytes."""
    tokenizer = byte_level(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=vocab,
        special_tokens=[separator()],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(sample, trainer)
    assert tokenizer.token_to_id(SEPARATOR) == 0, "the separator must be token 0"
    if tokenizer.get_vocab_size() != vocab:
        raise SystemExit(f"the text yields only {tokenizer.get_vocab_size()} tokens of {vocab}: give more text")
    return tokenizer


def cut_tokenizer(tokenizer: Tokenizer, vocab: int) -> Tokenizer:
    """The first `vocab` tokens. BPE merges greedily, so training for `vocab` tokens would have given the same."""
    state = json.loads(tokenizer.to_str())
    model = state["model"]
    dropped = len(model["vocab"]) - vocab
    model["vocab"] = {token: i for token, i in model["vocab"].items() if i < vocab}
    model["merges"] = model["merges"][: len(model["merges"]) - dropped]
    return as_text(Tokenizer.from_str(json.dumps(state)))


def as_text(tokenizer: Tokenizer) -> Tokenizer:
    """Makes text that spells the separator be text."""
    tokenizer.encode_special_tokens = True
    return tokenizer


def byte_letters() -> list[str]:
    """The letter that stands for each byte in the names of tokens."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(b if b in printable else next(others)) for b in range(256)]


def token_bytes(tokenizer: Tokenizer) -> list[bytes]:
    """The bytes each token stands for; none for the separator."""
    byte_of = {letter: b for b, letter in enumerate(byte_letters())}
    tokens = [tokenizer.id_to_token(i) for i in range(tokenizer.get_vocab_size())]
    return [b"" if t == SEPARATOR else bytes(byte_of[c] for c in t) for t in tokens]


def tokenizer_of_merges(merges: list[tuple[bytes, bytes]]) -> Tokenizer:
    """The tokenizer that `train_tokenizer` makes when it finds these merges, the first one first."""
    letters = byte_letters()
    pairs = [tuple("".join(letters[b] for b in part) for part in pair) for pair in merges]
    names = [SEPARATOR, *sorted(letters), *(a + b for a, b in pairs)]
    tokenizer = byte_level(models.BPE(vocab={name: i for i, name in enumerate(names)}, merges=pairs))
    tokenizer.add_special_tokens([separator()])
    return as_text(tokenizer)


def encode_documents(tokenizer: Tokenizer, documents: list[str], batch: int = 256) -> np.ndarray:
    """u16 [tokens] of all documents, each preceded by the separator."""
    pieces = [np.zeros(0, dtype=np.uint16)]
    for at in range(0, len(documents), batch):
        for encoding in tokenizer.encode_batch_fast(documents[at : at + batch]):
            pieces.append(np.array([0] + encoding.ids, dtype=np.uint16))
    return np.concatenate(pieces)
