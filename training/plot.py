"""Draws loss curves: plot.py OUT.png LABEL=RUN_DIR[,RUN_DIR...]...

Scores on the development split come from dev.csv where a run was scored several times, else from result.json.
"""

import csv
import json
import pathlib
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def column(path, x, y):
    rows = list(csv.DictReader(open(path)))
    return [float(r[x]) / 1e6 for r in rows], [float(r[y]) for r in rows]


def joined(folders, name, x, y):
    """The curve of a run whose phases lie in several folders, separated by commas."""
    parts = [column(pathlib.Path(f, name), x, y) for f in folders.split(",")]
    return sum((p[0] for p in parts), []), sum((p[1] for p in parts), [])


def scores(folders):
    """Millions of tokens and mean bits per byte."""
    if pathlib.Path(folders.split(",")[0], "dev.csv").exists():
        return joined(folders, "dev.csv", "tokens", "mean")
    results = [json.loads(pathlib.Path(f, "result.json").read_text()) for f in folders.split(",")]
    return [r["tokens"] / 1e6 for r in results], [r["bits_per_byte"]["mean"] for r in results]


figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2))
for argument in sys.argv[2:]:
    label, _, folder = argument.partition("=")
    line = left.plot(*joined(folder, "train.csv", "tokens", "loss_nats_per_token"), label=label, linewidth=1)
    x, y = scores(folder)
    right.plot(x, y, "o-", color=line[0].get_color(), label=label, markersize=3)
left.set(xlabel="training tokens (millions)", ylabel="training loss (nats per token)")
right.set(xlabel="training tokens (millions)", ylabel="development split, mix-weighted (bits per byte)")
left.set_ylim(top=6.5)
for axes in (left, right):
    axes.grid(alpha=0.3)
    axes.legend()
figure.tight_layout()
figure.savefig(sys.argv[1], dpi=110)
