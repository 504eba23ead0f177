#!/usr/bin/env python3
"""What --prime is worth: prime.py LLMZIP FILE... [-- OPTIONS OF compress...]

For each FILE, two measurements. A version: the first 50 KB of FILE with one paragraph changed,
compressed after the unchanged ones. Pieces: ten pieces of 2 KB from the end of FILE, each compressed
by itself, alone and after a prime: the first 200 KB of FILE, or four fifths of it if it is shorter.
Every file is decompressed and compared.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

NEW = b"\nA paragraph that is new: the committee met on a rainy Tuesday, and put off every decision.\n"


def main():
    arguments = sys.argv[1:]
    options = []
    if "--" in arguments:
        cut = arguments.index("--")
        arguments, options = arguments[:cut], arguments[cut + 1 :]
    program, *files = arguments
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(program, options, Path(folder))
        print(f"{'file':<22} {'version':>16} {'10 pieces alone':>16} {'primed':>8} {'times':>6} {'prime':>8}")
        for file in files:
            print(bench.line(Path(file)), flush=True)


class Bench:
    def __init__(self, program, options, folder):
        self.program, self.options, self.folder = program, options, folder

    def line(self, file):
        whole = file.read_bytes()
        old = whole[:50_000]
        start = old.index(b"\n", len(old) // 2)
        end = old.find(b"\n", start + 300)
        new = old[:start] + NEW + old[end + 1 :]
        version = self.compressed(new, old)
        prime = whole[: min(200_000, len(whole) * 4 // 5)]
        rest = whole[len(prime) :]
        step = len(rest) // 10
        pieces = [rest[n * step :][:2048] for n in range(10)]
        alone = sum(self.compressed(piece) for piece in pieces)
        begun = time.monotonic()
        self.compressed(b"x", prime)
        seconds = time.monotonic() - begun
        primed = sum(self.compressed(piece, prime) for piece in pieces)
        share = f"{version} ({100 * version / len(new):.2f} %)"
        return f"{file.name:<22} {share:>16} {alone:>16} {primed:>8} {alone / primed:>6.2f} {seconds / 2:>6.2f} s"

    def compressed(self, original, prime=None):
        """The length of the compressed file in bytes."""
        source, target, before = (self.folder / name for name in ("source", "target", "prime"))
        source.write_bytes(original)
        with_prime = []
        if prime is not None:
            before.write_bytes(prime)
            with_prime = ["--prime", before]
        run = [self.program, "compress", "-q", "-f", *self.options, *with_prime, source, "-o", target]
        subprocess.run(run, check=True)
        restored = subprocess.run([self.program, "cat", *with_prime, target], check=True, stdout=subprocess.PIPE)
        assert restored.stdout == original
        return target.stat().st_size


main()
