"""Draws loss curves: plot.py OUT.png LABEL=RUN_DIR..."""

import csv
import pathlib
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def column(path, x, y):
    rows = list(csv.DictReader(open(path)))
    return [float(r[x]) / 1e6 for r in rows], [float(r[y]) for r in rows]


figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2))
for argument in sys.argv[2:]:
    label, _, folder = argument.partition("=")
    line = left.plot(*column(pathlib.Path(folder, "train.csv"), "tokens", "loss_nats_per_token"), label=label, linewidth=1)
    x, y = column(pathlib.Path(folder, "dev.csv"), "tokens", "mean")
    right.plot(x, y, "o-", color=line[0].get_color(), label=label, markersize=3)
left.set(xlabel="training tokens (millions)", ylabel="training loss (nats per token)")
right.set(xlabel="training tokens (millions)", ylabel="development split, mix-weighted (bits per byte)")
left.set_ylim(top=6.5)
for axes in (left, right):
    axes.grid(alpha=0.3)
    axes.legend()
figure.tight_layout()
figure.savefig(sys.argv[1], dpi=110)
