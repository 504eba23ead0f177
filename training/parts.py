"""Token parts: the training tokens as plain files, each a mix of all kinds, so that training can begin with any one.

A work folder holds

    tokenizer.json       the tokenizer; tokenizer-wide.json has twice its tokens and contains it
    parts.json           what follows, with SHA-256, tokens and bytes of each kind
    dev.xz               the development split: windows of 1,025 tokens, kind after kind
    part-01.xz ...       little-endian u16 tokens, kind after kind, compressed by xz

Compressed, a token of 4,096 takes 4.0 bits; on a sample, the text under xz was 3 % larger.
`unpacked/` holds the parts that were found, ready to be mapped into memory. Parts may arrive while models are trained.
"""

import hashlib
import json
import lzma
import os
import pathlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from tokenizers import Tokenizer

from data import (
    as_text,
    balanced_sample,
    cut_tokenizer,
    encode_documents,
    load,
    present_kinds,
    shares_of,
    token_bytes,
    train_tokenizer,
)

WINDOW = 1024  # tokens predicted in a window of the development split
PIECE = 16_384  # at most so many tokens are dealt to one part at a time
PAD = 0xFFFF  # after the end of a short window
# For 16-bit values: the position's lowest bit tells low from high bytes.
XZ = [{"id": lzma.FILTER_LZMA2, "preset": 6, "lc": 3, "lp": 1, "pb": 1, "dict_size": 1 << 26}]


def write_atomically(path: pathlib.Path, content: bytes):
    """The file is whole or absent, whenever the program is killed."""
    temporary = path.with_name(path.name + f".{os.getpid()}.new")
    temporary.write_bytes(content)
    os.replace(temporary, path)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass
class Settings:
    """What `prepare` was asked for; the sizes are in MiB, characters and bytes."""

    vocab: int = 4096
    part_mib: float = 40
    sample_chars: float = 30e6
    limit_bytes: float = 0
    dev_windows: int = 128
    tokenizer: str = ""  # the file of one to use; none is trained then


def tokenizers_for(text_dir, work: pathlib.Path, s: Settings) -> Tokenizer:
    """Trains both tokenizers, or reads the given one, or those that an interrupted call left."""
    if s.tokenizer:
        write_atomically(work / "tokenizer.json", pathlib.Path(s.tokenizer).read_bytes())
        (work / "tokenizer-wide.json").unlink(missing_ok=True)  # an earlier call's, which contains another
    elif not (work / "tokenizer.json").exists():
        wide = train_tokenizer(balanced_sample(text_dir, s.sample_chars), 2 * s.vocab)
        write_atomically(work / "tokenizer-wide.json", wide.to_str(pretty=True).encode())
        write_atomically(work / "tokenizer.json", cut_tokenizer(wide, s.vocab).to_str(pretty=True).encode())
    tokenizer = as_text(Tokenizer.from_file(str(work / "tokenizer.json")))
    if tokenizer.get_vocab_size() != s.vocab:
        raise SystemExit(f"{work} holds a tokenizer of {tokenizer.get_vocab_size()} tokens")
    return tokenizer


def spread_windows(ids: np.ndarray, most: int) -> np.ndarray:
    """At most `most` windows [n, WINDOW + 1] spread evenly over the ids."""
    whole = (len(ids) - 1) // WINDOW
    n = min(most, whole)
    every = whole // n if n else 0
    rows = [ids[i * every * WINDOW :][: WINDOW + 1] for i in range(n)]
    return np.stack(rows) if rows else np.zeros((0, WINDOW + 1), np.uint16)


def write_dev(text_dir, work: pathlib.Path, tokenizer, kinds: list[str], s: Settings) -> dict:
    limit = int(s.limit_bytes and s.limit_bytes / 4)
    ids = {k: encode_documents(tokenizer, load(text_dir, k, "dev", limit)) for k in kinds}
    windows = {k: spread_windows(v, s.dev_windows) for k, v in ids.items()}
    content = lzma.compress(b"".join(w.tobytes() for w in windows.values()), filters=XZ)
    write_atomically(work / "dev.xz", content)
    return {"file": "dev.xz", "sha256": sha256(content), "windows": {k: len(w) for k, w in windows.items()}}


def part_content(ids: dict[str, np.ndarray], part: int, parts: int) -> dict[str, np.ndarray]:
    """The part's share of every kind: each `parts`-th of equal pieces, beginning with piece `part`."""
    chosen = {}
    for kind, tokens in ids.items():
        pieces = parts * -(-len(tokens) // (parts * PIECE))
        bounds = np.linspace(0, len(tokens), pieces + 1).astype(int)
        chosen[kind] = np.concatenate([tokens[bounds[i] : bounds[i + 1]] for i in range(part, pieces, parts)])
    return chosen


def write_parts(work: pathlib.Path, ids: dict[str, np.ndarray], lengths: np.ndarray, part_mib: float) -> list[dict]:
    """As few parts as fit into files of `part_mib`, each with the same share of every kind."""
    limit = int(part_mib * 2**20)
    raw = sum(v.nbytes for v in ids.values())
    parts = max(1, round(raw * 0.27 / limit + 0.5))
    while parts < 1000:
        entries = []
        for part in range(parts):
            chosen = part_content(ids, part, parts)
            content = lzma.compress(b"".join(v.tobytes() for v in chosen.values()), filters=XZ)
            if len(content) > limit:
                parts += 1
                break
            name = f"part-{part + 1:02}.xz"
            write_atomically(work / name, content)
            kinds = {k: {"tokens": len(v), "bytes": int(lengths[v].sum())} for k, v in chosen.items()}
            entries.append({"file": name, "size": len(content), "sha256": sha256(content), "kinds": kinds})
            print(f"{name}: {len(content)} bytes, {sum(map(len, chosen.values()))} tokens", flush=True)
        else:
            return entries
    raise SystemExit(f"no text fits into parts of {part_mib} MiB")


def prepare(text_dir, work: pathlib.Path, s: Settings):
    """Tokenizers, development split, parts; `parts.json` comes last and says that all is there."""
    work.mkdir(parents=True, exist_ok=True)
    kinds = present_kinds(text_dir)
    tokenizer = tokenizers_for(text_dir, work, s)
    lengths = np.array([len(b) for b in token_bytes(tokenizer)], dtype=np.int64)
    dev = write_dev(text_dir, work, tokenizer, kinds, s)
    ids = {}
    for kind, share in shares_of(kinds).items():
        ids[kind] = encode_documents(tokenizer, load(text_dir, kind, "train", int(s.limit_bytes * share)))
        print(
            f"{kind}\t{len(ids[kind])} tokens\t{lengths[ids[kind]].sum()} bytes\t{dev['windows'][kind]} windows",
            flush=True,
        )
    manifest = {"vocab": s.vocab, "dev": dev, "tokenizer": sha256((work / "tokenizer.json").read_bytes())}
    manifest["parts"] = write_parts(work, ids, lengths, s.part_mib)
    for stale in set(work.glob("part-*.xz")) - {work / p["file"] for p in manifest["parts"]}:
        stale.unlink()
    write_atomically(work / "parts.json", (json.dumps(manifest, indent=1) + "\n").encode())


class Work:
    """A work folder as training reads it."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.manifest = json.loads((self.folder / "parts.json").read_text())
        self.vocab = self.manifest["vocab"]
        self.tokenizer = as_text(Tokenizer.from_file(str(self.folder / "tokenizer.json")))
        self.lengths = np.array([len(b) for b in token_bytes(self.tokenizer)], dtype=np.int64)
        self.kinds = [k for k, n in self.manifest["dev"]["windows"].items() if n and self.counts(k)["tokens"] > WINDOW]

    def counts(self, kind: str) -> dict:
        """Tokens and bytes of one kind in all parts, present or not."""
        entries = [p["kinds"][kind] for p in self.manifest["parts"]]
        return {name: sum(e[name] for e in entries) for name in ("tokens", "bytes")}

    def shares(self) -> dict[str, float]:
        return shares_of(self.kinds)

    def bytes_per_token(self) -> float:
        """Of text in the mix."""
        return 1 / sum(share * self.counts(k)["tokens"] / self.counts(k)["bytes"] for k, share in self.shares().items())

    def checked(self, entry: dict) -> bytes | None:
        """The file's unpacked content; None while it is absent or not whole."""
        path = self.folder / entry["file"]
        content = path.read_bytes() if path.exists() else b""
        return lzma.decompress(content) if sha256(content) == entry["sha256"] else None

    def dev(self) -> dict[str, np.ndarray]:
        """i64 [windows, WINDOW + 1] for each kind; -1 after the end of a short window."""
        content = self.checked(self.manifest["dev"])
        if content is None:
            raise SystemExit(f"{self.folder}/dev.xz is absent or damaged")
        rows = np.frombuffer(content, dtype=np.uint16).reshape(-1, WINDOW + 1).astype(np.int64)
        rows[rows == PAD] = -1
        ends = np.cumsum(list(self.manifest["dev"]["windows"].values()))[:-1]
        return {k: w for k, w in zip(self.manifest["dev"]["windows"], np.split(rows, ends)) if k in self.kinds}

    def unpack(self) -> list[str]:
        """Unpacks the parts that have arrived; the names of all that are ready."""
        (self.folder / "unpacked").mkdir(exist_ok=True)
        waiting = [e for e in self.manifest["parts"] if not self.unpacked(e).exists()]
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(self.unpack_one, waiting))
        return self.ready()

    def unpack_one(self, entry: dict):
        if (content := self.checked(entry)) is not None:
            write_atomically(self.unpacked(entry), content)

    def unpacked(self, entry: dict) -> pathlib.Path:
        return self.folder / "unpacked" / f"{entry['file']}-{entry['sha256'][:12]}.u16"

    def ready(self) -> list[str]:
        return [e["file"] for e in self.manifest["parts"] if self.unpacked(e).exists()]

    def tokens(self, part: str) -> dict[str, np.ndarray]:
        """The mapped u16 tokens of each kind of an unpacked part."""
        entry = next(e for e in self.manifest["parts"] if e["file"] == part)
        ids = np.memmap(self.unpacked(entry), dtype=np.uint16, mode="r")
        ends = np.cumsum([c["tokens"] for c in entry["kinds"].values()])[:-1]
        return dict(zip(entry["kinds"], np.split(ids, ends)))

    def frequencies(self, part: str) -> np.ndarray:
        """f64 [vocab]: how often each token occurs in text in the mix; the sum is 1."""
        ids, total = self.tokens(part), np.zeros(self.vocab)
        for kind, share in self.shares().items():
            total += share / self.counts(kind)["bytes"] * np.bincount(ids[kind], minlength=self.vocab)
        return total / total.sum()


def retokenise(ids: np.ndarray, spelled: list[bytes], tokenizer: Tokenizer) -> np.ndarray:
    """The same text in another vocabulary. Characters that the ends of `ids` cut are lost."""
    table = np.array(spelled, dtype=object)
    texts = [b"".join(table[d]).decode("utf-8", errors="ignore") for d in np.split(ids, np.flatnonzero(ids == 0))]
    encoded = encode_documents(tokenizer, texts)  # with a separator before each
    return encoded[1:]  # what precedes the first separator has none


def widen(work: Work, part: str) -> Work:
    """A work folder `wide` with one part and the development windows in the tokens of tokenizer-wide.json."""
    folder = work.folder / "wide"
    if not (work.folder / "tokenizer-wide.json").exists():
        raise SystemExit(f"{work.folder} has no tokenizer of twice the tokens: prepare it without --tokenizer")
    if not (folder / "parts.json").exists():
        (folder / "unpacked").mkdir(parents=True, exist_ok=True)
        write_atomically(folder / "tokenizer.json", (work.folder / "tokenizer-wide.json").read_bytes())
        tokenizer = as_text(Tokenizer.from_file(str(folder / "tokenizer.json")))
        spelled, lengths = token_bytes(work.tokenizer), np.array([len(b) for b in token_bytes(tokenizer)])
        ids = {k: retokenise(v, spelled, tokenizer) for k, v in work.tokens(part).items()}
        content = b"".join(v.tobytes() for v in ids.values())
        entry = {"file": part, "size": len(content), "sha256": sha256(content)}
        entry["kinds"] = {k: {"tokens": len(v), "bytes": int(lengths[v].sum())} for k, v in ids.items()}
        write_atomically(folder / "unpacked" / f"{part}-{entry['sha256'][:12]}.u16", content)
        rows = {k: [wide_window(r, spelled, tokenizer) for r in v] for k, v in work.dev().items()}
        content = lzma.compress(b"".join(r.tobytes() for v in rows.values() for r in v), filters=XZ)
        write_atomically(folder / "dev.xz", content)
        dev = {"file": "dev.xz", "sha256": sha256(content), "windows": {k: len(v) for k, v in rows.items()}}
        manifest = {"vocab": len(lengths), "dev": dev, "parts": [entry]}
        write_atomically(folder / "parts.json", json.dumps(manifest, indent=1).encode())
    return Work(folder)


def wide_window(row: np.ndarray, spelled: list[bytes], tokenizer: Tokenizer) -> np.ndarray:
    """u16 [WINDOW + 1]: the first token, which both vocabularies have, and the rest of the text in wider tokens."""
    wide = np.full(WINDOW + 1, PAD, dtype=np.uint16)
    rest = retokenise(row[1:], spelled, tokenizer)[:WINDOW]
    wide[0], wide[1 : 1 + len(rest)] = row[0], rest
    return wide
