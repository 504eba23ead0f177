#!/usr/bin/env python3
"""Draw the table that benches/ratios.sh prints as bars of bits per byte (SVG, no dependencies).

    benches/ratios.sh FILE... > table.md
    benches/plot_ratios.py table.md docs/ratios.svg
"""

import re
import sys

COLOURS = ["#b8b8b8", "#999999", "#7a7a7a", "#5c5c5c", "#8fb8e8", "#2f6fbf", "#123f7a", "#0a2348"]
BAR, GAP, LABEL, SCALE = 13, 14, 150, 130


def read(path):
    """Names of the compressors, and for each file its name and the bits per byte under each."""
    rows = [line.strip().strip("|").split("|") for line in open(path) if line.startswith("|")]
    names = [cell.strip() for cell in rows[0][2:]]
    files = []
    for cells in rows[2:]:
        cells = [cell.strip() for cell in cells]
        size = int(cells[1])
        coded = [re.match(r"\d+", cell) for cell in cells[2:]]
        files.append((cells[0], [8 * int(c.group()) / size if c else None for c in coded]))
    return names, files


def draw(names, files):
    height = 40 + sum(BAR * len(names) + GAP for _ in files)
    width = LABEL + int(SCALE * max(b for _, bits in files for b in bits if b)) + 70
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        '<text x="8" y="20" font-size="13" font-weight="bold">Bits per byte, less is better</text>',
    ]
    y = 34
    for file, bits in files:
        out.append(f'<text x="8" y="{y + BAR * len(names) / 2 + 4}" font-weight="bold">{file}</text>')
        for i, (name, value) in enumerate(zip(names, bits)):
            if value is not None:
                length = SCALE * value
                out.append(
                    f'<rect x="{LABEL}" y="{y}" width="{length:.1f}" height="{BAR - 2}" '
                    f'fill="{COLOURS[i % len(COLOURS)]}"/>'
                    f'<text x="{LABEL + length + 4:.1f}" y="{y + BAR - 4}" font-size="9">{value:.2f} {name}</text>'
                )
            y += BAR
        y += GAP
    return "\n".join(out + ["</svg>\n"])


if __name__ == "__main__":
    table, target = sys.argv[1:]
    with open(target, "w") as file:
        file.write(draw(*read(table)))
