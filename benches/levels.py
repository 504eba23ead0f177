#!/usr/bin/env python3
"""Bytes and times of every level: levels.py LLMZIP [--runs N] [--head BYTES] [--levels DIGITS] FILE...

Compresses and decompresses the first BYTES of each FILE (100,000 unless --head says otherwise) at
every level whose model is installed, and prints a Markdown table. A time is the processor time in
user mode of a run with one thread: the median of N runs (3), in which the levels alternate. The
last column names the levels that beat this one: they make the file smaller by more than 0.5 % and
take more than 10 % less time in both directions. Every file is decompressed and compared.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

SMALLER = 0.995
FASTER = 0.9
LEVELS = "123456789"


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("\n", 1)[0].split(": ", 1)[1])
    parser.add_argument("program")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--head", type=int, default=100_000)
    parser.add_argument("--levels", default=LEVELS)
    parser.add_argument("files", nargs="+", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(arguments.program, Path(folder))
        levels = [level for level in arguments.levels if bench.is_installed(level)]
        left_out = [f"-{level}" for level in arguments.levels if level not in levels]
        if left_out:
            print(f"not installed: {' '.join(left_out)}", file=sys.stderr)
        print("| file | level | bytes | compress, s | decompress, s | beaten by |")
        print("|---|---|---:|---:|---:|---|", flush=True)
        for file in arguments.files:
            with file.open("rb") as opened:
                original = opened.read(arguments.head)
            measured = bench.measure(original, levels, arguments.runs)
            for level, result in measured.items():
                print(row(file.name, level, result, beaten_by(result, measured)), flush=True)


class Bench:
    def __init__(self, program, folder):
        self.program = program
        self.source, self.packed, self.restored = (folder / name for name in ("source", "packed", "restored"))

    def is_installed(self, level):
        self.source.write_bytes(b"a text")
        run = [self.program, "compress", "-qqf", f"-{level}", self.source, "-o", self.packed]
        return subprocess.run(run).returncode == 0

    def measure(self, original, levels, runs):
        """For each level the bytes, and the median seconds to compress and to decompress."""
        self.source.write_bytes(original)
        times = {level: ([], []) for level in levels}
        sizes = {}
        for _ in range(runs):
            for level in levels:
                compress, decompress = times[level]
                compress.append(self.seconds("compress", f"-{level}", self.source, "-o", self.packed))
                decompress.append(self.seconds("decompress", self.packed, "-o", self.restored))
                assert self.restored.read_bytes() == original
                sizes[level] = self.packed.stat().st_size
        return {level: (sizes[level], *map(statistics.median, times[level])) for level in levels}

    def seconds(self, command, *arguments):
        """The processor time in user mode of a run of llmzip with one thread."""
        run = subprocess.Popen([self.program, command, "-qf", "-T1", *arguments])
        _, status, usage = os.wait4(run.pid, 0)
        run.returncode = os.waitstatus_to_exitcode(status)
        assert run.returncode == 0, run.args
        return usage.ru_utime


def beaten_by(result, measured):
    def beats(other):
        limits = (result[0] * SMALLER, result[1] * FASTER, result[2] * FASTER)
        return all(value < limit for value, limit in zip(other, limits))

    return [level for level, other in measured.items() if beats(other)]


def row(name, level, result, beaten):
    size, compress, decompress = result
    winners = " ".join(f"-{winner}" for winner in beaten)
    return f"| {name} | -{level} | {size:,} | {compress:.2f} | {decompress:.2f} | {winners} |"


main()
