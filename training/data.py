"""Text to tokens: the train/dev split, the tokenizer, and the packed token files.

    data.py split     TEXT_DIR OUT_DIR
    data.py tokenizer OUT_DIR --vocab 4096 --out TOKENIZER.json
    data.py encode    OUT_DIR --tokenizer TOKENIZER.json --out TOKENS_DIR

TEXT_DIR holds one `KIND.txt.xz` a kind, a NUL byte after each document. A document belongs to the
development split if the SHA-256 of its bytes begins with the hex digit 0; neither the tokenizer nor a
model ever sees that split. Token files are little-endian u16, each document preceded by token 0.
"""

import argparse
import hashlib
import json
import lzma
import pathlib
import random

import numpy as np
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

SEPARATOR = "<|endoftext|>"

# Share of the training tokens drawn from each kind. English prose and documentation lead; everything a
# user may want to compress is seen often enough to be learned at all.
MIX = {
    "books": 0.46,
    "reference": 0.13,
    "technical": 0.14,
    "encyclopedic": 0.02,
    "code": 0.045,
    "code-rust": 0.035,
    "code-go": 0.03,
    "languages": 0.10,
    "localized": 0.04,
}


def is_dev(document: bytes) -> bool:
    return hashlib.sha256(document).hexdigest()[0] == "0"


def read_documents(path) -> list[bytes]:
    return [d for d in lzma.open(path).read().split(b"\0") if d]


def split(text_dir, out_dir):
    """Writes OUT_DIR/{train,dev}/KIND.txt, documents still ended by NUL, in a seeded order."""
    for path in sorted(pathlib.Path(text_dir).glob("*.txt.xz")):
        kind = path.name.removesuffix(".txt.xz")
        documents = read_documents(path)
        random.Random(kind).shuffle(documents)
        for name, dev in (("train", False), ("dev", True)):
            chosen = [d for d in documents if is_dev(d) == dev]
            out = pathlib.Path(out_dir, name, kind + ".txt")
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_bytes(b"".join(d + b"\0" for d in chosen))
            print(f"{kind}\t{name}\t{len(chosen)} documents\t{sum(map(len, chosen))} bytes")


def load_split(out_dir, name, kind) -> list[str]:
    documents = pathlib.Path(out_dir, name, kind + ".txt").read_bytes().split(b"\0")[:-1]
    return [d.decode("utf-8", errors="replace") for d in documents]


def balanced_sample(out_dir, total_chars, piece=20_000, seed=1):
    """Pieces of training documents, `total_chars` in all, shared among the kinds as in MIX."""
    rng = random.Random(seed)
    for kind, share in MIX.items():
        pieces = [
            document[at : at + piece]
            for document in load_split(out_dir, "train", kind)
            for at in range(0, len(document), piece)
        ]
        rng.shuffle(pieces)
        left = share * total_chars
        for text in pieces:
            if left <= 0:
                break
            left -= len(text)
            yield text


def train_tokenizer(out_dir, vocab, total_chars) -> Tokenizer:
    """Byte-level BPE over all 256 bytes, split as SmolLM2 splits: digits one by one, then GPT-2's pattern."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab,
        special_tokens=[AddedToken(SEPARATOR, special=True, normalized=False)],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(balanced_sample(out_dir, total_chars), trainer)
    assert tokenizer.token_to_id(SEPARATOR) == 0 and tokenizer.get_vocab_size() == vocab
    return tokenizer


def token_bytes(tokenizer: Tokenizer) -> list[bytes]:
    """The bytes each token stands for; none for the separator."""
    printable = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    others = [b for b in range(256) if b not in printable]
    byte_of = {chr(b): b for b in printable} | {chr(256 + i): b for i, b in enumerate(others)}
    tokens = [tokenizer.id_to_token(i) for i in range(tokenizer.get_vocab_size())]
    return [b"" if t == SEPARATOR else bytes(byte_of[c] for c in t) for t in tokens]


def encode_documents(tokenizer, documents) -> np.ndarray:
    """Token ids of all documents, each preceded by the separator."""
    parts = []
    for at in range(0, len(documents), 64):
        for encoding in tokenizer.encode_batch_fast(documents[at : at + 64]):
            parts.append(np.array([0] + encoding.ids, dtype=np.uint16))
    return np.concatenate(parts)


def encode(out_dir, tokenizer_path, tokens_dir, limit_bytes):
    tokenizer = Tokenizer.from_file(tokenizer_path)
    tokenizer.encode_special_tokens = True  # text that spells the separator is text
    lengths = np.array([len(b) for b in token_bytes(tokenizer)], dtype=np.uint16)
    tokens_dir = pathlib.Path(tokens_dir)
    tokens_dir.mkdir(parents=True, exist_ok=True)
    lengths.tofile(tokens_dir / "token_lengths.u16")
    counts = {}
    for name in ("dev", "train"):
        for kind in MIX:
            documents = load_split(out_dir, name, kind)
            if name == "train" and limit_bytes:
                kept, left = [], limit_bytes * MIX[kind]
                for document in documents:
                    if left <= 0:
                        break
                    kept.append(document[: int(left)])
                    left -= len(kept[-1])
                documents = kept
            ids = encode_documents(tokenizer, documents)
            ids.tofile(tokens_dir / f"{name}-{kind}.u16")
            counts[f"{name}-{kind}"] = {"tokens": len(ids), "bytes": int(lengths[ids].sum())}
            print(name, kind, counts[f"{name}-{kind}"], flush=True)
    (tokens_dir / "counts.json").write_text(json.dumps(counts, indent=1) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    p = commands.add_parser("split")
    p.add_argument("text_dir")
    p.add_argument("out_dir")
    p = commands.add_parser("tokenizer")
    p.add_argument("out_dir")
    p.add_argument("--vocab", type=int, required=True)
    p.add_argument("--sample-chars", type=int, default=30_000_000)
    p.add_argument("--out", required=True)
    p = commands.add_parser("encode")
    p.add_argument("out_dir")
    p.add_argument("--tokenizer", required=True)
    p.add_argument("--out", required=True)
    p.add_argument("--limit-bytes", type=int, default=0, help="encode only this much training text")
    args = parser.parse_args()
    if args.command == "split":
        split(args.text_dir, args.out_dir)
    elif args.command == "tokenizer":
        train_tokenizer(args.out_dir, args.vocab, args.sample_chars).save(args.out)
    else:
        encode(args.out_dir, args.tokenizer, args.out, args.limit_bytes)


if __name__ == "__main__":
    main()
