#!/usr/bin/env python3
"""Decompresses a file: decode.py [--model PACK]... [--prime FILE]... FILE.llmz [-o OUT]"""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from blake3 import blake3
from codec import decode_frame
from container import Refused, parse
from model import Model

def load_models(paths: Iterable[Path]) -> dict[bytes, Model]:
    """Models by identity. A pack is not checked: its identity is its hash, which frames name."""
    models = {}
    for path in paths:
        try:
            model = Model(path.read_bytes())
        except (ValueError, LookupError, TypeError) as error:
            raise Refused(f"{path} is no packed model: {error}") from error
        models[model.identity] = model
    return models

def load_primes(paths: Iterable[Path]) -> dict[bytes, bytes]:
    contents = [path.read_bytes() for path in paths]
    return {blake3(content).digest()[:8]: content for content in contents}

def decompress(data: bytes, models: dict[bytes, Model], primes: dict[bytes, bytes]) -> bytes:
    return b"".join(decode_frame(frame, models, primes) for frame in parse(data))

def main() -> int:
    parser = argparse.ArgumentParser(description="Decompresses a file that llmzip wrote.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--model", type=Path, action="append", default=[], help="a packed model")
    parser.add_argument("--prime", type=Path, action="append", default=[], help="what came before")
    parser.add_argument("-o", type=Path, dest="out", help="not to standard output, but here")
    typed = parser.parse_args()
    try:
        original = decompress(
            typed.file.read_bytes(), load_models(typed.model), load_primes(typed.prime)
        )
        if typed.out:
            typed.out.write_bytes(original)
        else:
            sys.stdout.buffer.write(original)
    except (Refused, OSError) as error:
        print(f"{typed.file}: {error}", file=sys.stderr)
        return 1
    return 0

if __name__ == "__main__":
    sys.exit(main())
