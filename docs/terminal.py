#!/usr/bin/env python3
"""Draws what commands print in a terminal, for docs/terminal.svg:

    docs/terminal.py PROGRAM FILE >docs/terminal.svg

PROGRAM is llmzip. It compresses a copy of FILE, shows it, compares compressors and explains the
file's beginning. Speeds are those of the machine: let it do nothing else meanwhile.
"""

import html
import pathlib
import shutil
import subprocess
import sys
import tempfile
import textwrap

# What is typed. Each command is run by bash in a folder that holds the file.
COMMANDS = [
    "llmzip {file}",
    "llmzip -l {file}.llmz",
    "llmzip -dc {file}.llmz | cmp - {file} && echo the same bytes",
    "llmzip compare {file}",
]
# In pixels: the width of a character and the height of a line, at a font size of 14.
CHAR, LINE, MARGIN = 8.43, 19, 16
COLUMNS = 118


def run(command, folder, program):
    """The lines that a command prints, standard error among them."""
    path = f"{program.parent}:/usr/bin:/bin"
    done = subprocess.run(
        ["bash", "-c", f"({command}) 2>&1"],
        cwd=folder,
        env={"PATH": path, "HOME": str(folder), "COLUMNS": str(COLUMNS)},
        capture_output=True,
        text=True,
        check=True,
    )
    return [line.rstrip() for line in done.stdout.splitlines()]


def draw(lines):
    """An SVG of lines, each a pair of a class and a text."""
    width = max(len(text) for _, text in lines) * CHAR + 2 * MARGIN
    height = len(lines) * LINE + 2 * MARGIN
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" '
        f'width="{width:.0f}" height="{height}" role="img" '
        'aria-label="A terminal in which llmzip compresses a file and compares itself">'
    )
    yield (
        "<style>text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;fill:#d8dee9;"
        "white-space:pre}.typed{fill:#fff;font-weight:600}</style>"
    )
    yield f'<rect width="{width:.0f}" height="{height}" rx="8" fill="#1d2330"/>'
    for number, (kind, text) in enumerate(lines):
        y = MARGIN + LINE * (number + 0.75)
        # Each line is stretched to its width, so that columns stand below each other in any font.
        length = len(text) * CHAR
        if text:
            yield (
                f'<text class="{kind}" x="{MARGIN}" y="{y:.1f}" textLength="{length:.1f}" '
                f'xml:space="preserve">{html.escape(text)}</text>'
            )
    yield "</svg>"


def main():
    program, file = (pathlib.Path(argument).resolve() for argument in sys.argv[1:])
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        shutil.copy(file, folder)
        for command in COMMANDS:
            command = command.format(file=file.name)
            lines.append(("typed", f"$ {command}"))
            shown = run(command, folder, program)
            for line in shown:
                # As a terminal of this width breaks a line.
                parts = textwrap.wrap(line, COLUMNS) if len(line) > COLUMNS else [line]
                lines += [("shown", part) for part in parts]
            lines.append(("shown", ""))
    print("\n".join(draw(lines[:-1])))


main()
