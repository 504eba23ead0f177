#!/usr/bin/env python3
"""Decodes every golden file, and refuses damaged ones: check.py [--small]"""

import sys
from collections.abc import Iterator
from hashlib import sha256
from itertools import chain
from pathlib import Path
from container import RAW, Block, Header, Refused, hash32, parse, varint
from decode import decompress, load_models, load_primes

HERE = Path(__file__).resolve().parent
PACKS = sorted(HERE.glob("../golden/models/*.llmzmodel"))
MODELS = load_models([HERE / "../../fixtures/fixture.llmzmodel", *PACKS])
PRIMES = load_primes([HERE / "../golden/prime.txt"])
Cases = Iterator[tuple[str, bool]]  # what was tried, and whether it went as it must

def outcome(data: bytes) -> str:
    """The SHA-256 of what the file decodes to, or why it is refused."""
    try:
        return sha256(decompress(data, MODELS, PRIMES)).hexdigest()
    except Refused as error:
        return f"refused: {error}"

def refuses(data: bytes) -> bool:
    return outcome(data).startswith("refused")

def refuses_undecoded(data: bytes) -> bool:
    try:
        return not parse(data)
    except Refused:
        return True

def sealed(header: Header, block: Block, streams: list[tuple[int, bytes]]) -> bytes:
    """A frame of one block with a true seal, whatever its streams are."""
    payload = b"".join(part for _, part in streams)
    written = bytes([block.mode | block.branch_filter << 4 | 4 | (8 if len(streams) > 1 else 0)])
    written += varint(sum(length for length, _ in streams))
    written += varint(len(payload)) if block.mode != RAW else b""
    written += bytes([len(streams) - 1]) if len(streams) > 1 else b""
    written += b"".join(varint(n) + varint(len(part)) for n, part in streams[:-1]) + payload
    return header.bytes + written + hash32(header.bytes + bytes(8) + written) + block.checksums[4:]

def damaged(data: bytes) -> Cases:
    """What is refused before a payload is decoded."""
    magics = (b"\xfeLMZ", b"\xfeLMI")  # before one of them, a file may end
    cuts = (n for n in range(len(data)) if n == 0 or data[n : n + 4] not in magics)
    yield "every truncation", all(refuses_undecoded(data[:n]) for n in cuts)
    yield "an appended byte", refuses_undecoded(data + b"\0")
    checksums = [block.checksums for _, blocks in parse(data) for block in blocks]
    checks = {data.find(both) + i for both in checksums for i in range(4, len(both))}
    flipped = set(range(len(data))) - checks
    flips = (data[:i] + bytes([data[i] ^ 1 << i % 8]) + data[i + 1 :] for i in flipped)
    yield "a wrong bit in every byte", all(refuses_undecoded(flip) for flip in flips)

def resealed(data: bytes) -> Cases:
    """Frames of one block whose seal is right: the coder or the check must refuse them."""
    ((header, (block,)),) = parse(data)
    assert sealed(header, block, block.streams) == data, "the writer here differs from llmzip"
    for number, (length, payload) in enumerate(block.streams):
        middle = len(payload) // 2
        wrong_bit = payload[:middle] + bytes([payload[middle] ^ 16]) + payload[middle + 1 :]
        variants = {
            "a byte more": (length + 1, payload), "a byte less": (length - 1, payload),
            "words unread": (length, payload + bytes(12)), "a wrong bit": (length, wrong_bit),
            "half the payload": (length, payload[:middle]),
        }
        for what, stream in variants.items():
            streams = block.streams[:number] + [stream] + block.streams[number + 1 :]
            yield f"stream {number} with {what}", refuses(sealed(header, block, streams))
    yield "a wrong check", refuses(data[:-1] + bytes([data[-1] ^ 1]))

def cases(small: bool) -> Cases:
    lines = (HERE / "originals.sha256").read_text().splitlines()
    digests = {name: digest for digest, name in (line.split() for line in lines)}
    for path in sorted(HERE.glob("../golden/good/*.llmz")):
        data = path.read_bytes()
        yield f"{path.name}: decodes to its original", outcome(data) == digests[path.name]
        variants = [damaged(data)]
        ((_, (first, *more)),) = parse(data)
        one_coded = first.mode != RAW and len(first.checksums) == 8 and not more
        if one_coded and (not small or first.original_length < 600):
            variants.append(resealed(data))
        for what, passed in chain(*variants):
            yield f"{path.name}: {what}", passed
    for path in sorted(HERE.glob("../golden/corrupt/*.llmz")):
        yield f"corrupt/{path.name}", refuses(path.read_bytes())

def main() -> int:
    passed = failed = 0
    for what, held in cases(small="--small" in sys.argv[1:]):
        print("ok    " if held else "FAILED", what, flush=True)
        passed, failed = passed + held, failed + (not held)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0

if __name__ == "__main__":
    sys.exit(main())
