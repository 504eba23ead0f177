#!/usr/bin/env python3
"""Speed beside other programs: neighbours.py LLMZIP [PAIRS]

Compresses and decompresses the first 100 KB of docs/*.md with the default model, alone and beside
programs that only count: one of the same priority, three of nice 19. Prints the median of PAIRS runs
in KB/s, and the share of the idle speed. The programs belong to this session: the kernel's autogroup
gives each session the same share of the processors, whatever the niceness inside it.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LOOP = "while :; do :; done"
CONDITIONS = {"idle": [], "one busy": [0], "three at nice 19": [19, 19, 19]}


def main():
    program = Path(sys.argv[1]).resolve()
    pairs = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    documents = sorted(Path(__file__).parent.glob("../docs/*.md"))
    text = b"".join(path.read_bytes() for path in documents)[:100_000]
    with tempfile.TemporaryDirectory() as folder:
        original, compressed = Path(folder, "text"), Path(folder, "text.llmz")
        original.write_bytes(text)
        jobs = {
            "compress": ["compress", "-q", "-f", original, "-o", compressed],
            "decompress": ["decompress", "-q", "-f", compressed, "-o", Path(folder, "restored")],
            "compress -T 64": ["compress", "-q", "-f", "-T", "64", original, "-o", compressed],
        }
        for job, arguments in jobs.items():
            idle = None
            for condition, niceness in CONDITIONS.items():
                others = [subprocess.Popen(["nice", "-n", str(n), "sh", "-c", LOOP]) for n in niceness]
                try:
                    seconds = [timed([program, *arguments]) for _ in range(pairs)]
                finally:
                    for other in others:
                        other.kill()
                        other.wait()
                speed = len(text) / 1000 / statistics.median(seconds)
                idle = idle or speed
                print(f"{job:<15} {condition:<17} {speed:6.1f} KB/s  {100 * speed / idle:4.0f} %", flush=True)


def timed(command):
    start = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - start


main()
