#!/usr/bin/env python3
"""Measures what docs/SCALING.md tells and writes its tables and pictures (Python's standard library alone).

    benches/story.py [--models nano,micro,mini,small] [--larger smollm2] [--checkpoints FOLDER] CORPUS [EXPERIMENT...]

CORPUS is a folder with the files named below. Each experiment replaces one marked table in docs/SCALING.md, and most draw
docs/scaling/EXPERIMENT.svg; the sentences around them are written by hand and are to be read again after a run. What llmzip
reported is kept under --work, and measured anew only when a command or the binary has changed.
"""

import argparse
import hashlib
import json
import math
import os
import pathlib
import subprocess
import sys

from chart import bars, lines, panels

ROOT = pathlib.Path(__file__).resolve().parent.parent
LLMZIP = os.environ.get("LLMZIP", str(ROOT / "target/release/llmzip"))
PROSE = [
    "canterbury/alice29.txt",
    "canterbury/asyoulik.txt",
    "canterbury/lcet10.txt",
    "canterbury/plrabn12.txt",
    "calgary/book1",
    "fresh2026/peps.rst",
    "fresh2026/this-week-in-rust.md",
]
OTHERS = [
    "enwik8-1mb",
    "code/tensor.rs",
    "code/python-2026.py",
    "languages/deu.txt",
    "logs/Linux.log",
    "structured/iso_3166-2.json",
]

ONE_OF_EACH = ["canterbury/alice29.txt", "canterbury/lcet10.txt", "fresh2026/peps.rst", "code/tensor.rs", "languages/deu.txt"]


class Bench:
    """Runs llmzip, and remembers what it said."""

    def __init__(self, corpus, models, larger, checkpoints, work):
        self.corpus, self.models, self.larger, self.checkpoints = corpus, models, larger, checkpoints
        self.work, self.made = work, None
        work.mkdir(parents=True, exist_ok=True)
        self.binary = hashlib.sha256(pathlib.Path(LLMZIP).read_bytes()).digest()

    def report(self, *arguments):
        """The JSON that `llmzip ARGUMENTS` prints."""
        key = hashlib.sha256(self.binary + "\0".join(map(str, arguments)).encode()).hexdigest()[:16]
        kept = self.work / f"{key}.json"
        if not kept.exists():
            done = subprocess.run([LLMZIP, *map(str, arguments)], check=True, stdout=subprocess.PIPE)
            kept.write_bytes(done.stdout)
        return json.loads(kept.read_text())

    def scaling(self, file, *options, models=None):
        """The curve of one file: its points and its law."""
        names = ",".join(models or self.models)
        report = self.report("scaling", "-q", "--format", "json", "-m", names, *options, file)
        self.made = report["provenance"]
        return report["curves"][0]

    def caption(self, experiment, text):
        """What a picture shows, and how it was made."""
        machine = self.made["machine"]
        made = f"benches/story.py CORPUS {experiment}: llmzip {self.made['llmzip_version']}, {self.made['date'][:10]}, {machine['system']}"
        return [text, made]

    def head(self, name, length):
        """The first `length` bytes of a file of the corpus, as a file."""
        head = self.work / f"{pathlib.Path(name).name}-{length}"
        head.write_bytes((self.corpus / name).read_bytes()[:length])
        return head


def with_model(curve):
    return [point for point in curve["points"] if point["parameters"] > 0]


def table(head, rows):
    ruled = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(map(str, row)) + " |\n" for row in ruled)


def short(name):
    return pathlib.Path(name).name


def law(bench):
    """Bits per byte against parameters, models by themselves, and what a fit to the smaller ones says of the largest."""
    rows, series = [], []
    for name in PROSE + OTHERS:
        curve = bench.scaling(bench.corpus / name, "--experts", "off")
        fit = curve["families"][0]["fit"]
        row = [short(name)] + [f"{point['bits_per_byte']:.3f}" for point in with_model(curve)]
        if fit:
            held_out = fit["held_out"]
            row += [f"{fit['c']:.2f} + {fit['a']:.3g} N^-{fit['b']:.3f}", interval(fit["c_interval"]), interval(fit["b_interval"])]
            row += [f"{fit['standard_error']:.4f}", "" if held_out is None else f"{100 * held_out:+.1f} %"]
        else:
            row += [curve["families"][0]["no_fit"], "", "", "", ""]
        rows.append(row)
        series.append(panel(name, curve))
    text = LAW_CAPTION + " Models alone, without experts."
    picture = panels(series, "Bits per byte against parameters, models alone", "parameters", "bits per byte", bench.caption("law", text))
    head = ["file", *bench.models, "law", "c, 95 %", "b, 95 %", "standard error", "law of the smaller models on the largest"]
    return table(head, rows), picture


LAW_CAPTION = (
    "Marks: compressed files, whose sizes are exact. Curves: c + a N^-b by least squares through four models; none where the "
    "sizes determine no law. Bands: 95 % confidence for the law, where distances from it count as independent normal "
    "errors: wide, because four points leave one degree of freedom."
)


def interval(ends):
    return f"{ends[0]:.2f} to {ends[1]:.2f}"


def panel(name, curve):
    """A file as `panels` takes it."""
    points = [(point["parameters"], point["bits_per_byte"]) for point in with_model(curve)]
    fit = curve["families"][0]["fit"]
    drawn = [(one["parameters"], one["bits_per_byte"], one["interval"]) for one in fit["curve"]] if fit else []
    return f"{short(name)} ({curve['class'].replace('_', ' ')})", points, drawn


def both(bench):
    """The same with experts."""
    rows, series = [], []
    for name in PROSE + OTHERS:
        curve = bench.scaling(bench.corpus / name)
        rows.append([short(name)] + [f"{point['bits_per_byte']:.3f}" for point in curve["points"]])
        series.append(panel(name, curve))
    text = LAW_CAPTION + " Models and experts."
    picture = panels(series, "Bits per byte, models and experts", "parameters", "bits per byte", bench.caption("both", text))
    return table(["file", "none", *bench.models], rows), picture


def real(bench):
    """Published models of other families beside the built-in ones, on text and code of 2026 and on prose."""
    rows, series = [], []
    for name in ["fresh2026/til.md", "code/python-2026.py", "canterbury/lcet10.txt"]:
        head = bench.head(name, 20_000)
        models = bench.models + bench.larger
        alone = bench.scaling(head, "--experts", "off", models=models)
        mixed = bench.scaling(head, models=models)
        cells = [f"{a['bits_per_byte']:.3f} / {m['bits_per_byte']:.3f}" for a, m in zip(with_model(alone), with_model(mixed))]
        rows.append([short(name), f"{mixed['points'][0]['bits_per_byte']:.3f}", *cells])
        series.append(panel(name, alone))
    text = "Marks: models alone. Curves: the law of the four built-in models; the three others are of a family each, and have none."
    picture = panels(series, "Bits per byte against parameters, published models", "parameters", "bits per byte", bench.caption("real", text))
    return table(["first 20,000 bytes of", "none", *models], rows), picture


def pays(bench):
    """From which length on `mini` pays, foretold from the beginning of each file and from all of it."""
    head_len = 20_000

    def told(file):
        found = with_model(bench.scaling(file, models=["mini"]))[0]["pays_from"]
        ends = [found["low_bytes"], found["high_bytes"]] if found else [None, None]
        return [length(found and found["bytes"]), " to ".join(map(length, ends))]

    rows = []
    for name in ONE_OF_EACH:
        size = (bench.corpus / name).stat().st_size
        rows.append([short(name), *told(bench.head(name, head_len)), size, *told(bench.corpus / name)])
    head = ["file", f"from {head_len:,} bytes", "interval", "length", "from the whole file", "interval"]
    return table(head, rows), None


def length(count):
    """A number of bytes in a few characters."""
    if count is None:
        return "never"
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:.0f} {unit}"
    return f"{count / 1e3:.0f} kB"


def memory(bench):
    """Text that models have read, and text of 2026, which none can have read."""
    files = {
        "Apache licence": ROOT / "LICENSE-APACHE",
        "alice29.txt, 11,000 bytes": bench.head("canterbury/alice29.txt", 11_000),
        "peps.rst, 11,000 bytes": bench.head("fresh2026/peps.rst", 11_000),
        "til.md, 11,000 bytes": bench.head("fresh2026/til.md", 11_000),
    }
    return by_model(bench, files, "Bits per byte of known and of new text, model alone", "memory")


def by_model(bench, files, label, experiment):
    rows, groups = [], []
    for title, file in files.items():
        points = with_model(bench.scaling(file, "--experts", "off", models=bench.models + bench.larger))
        rows.append([title] + [f"{point['bits_per_byte']:.3f}" for point in points])
        groups.append((title, [point["bits_per_byte"] for point in points]))
    names = bench.models + bench.larger
    return table(["text", *names], rows), bars(groups, names, label, bench.caption(experiment, ""))


def digits_of_pi(count):
    """Machin's formula in integers."""
    one = 10 ** (count + 10)

    def arctan_of_inverse(n):
        term = total = one // n
        k, sign = 3, -1
        while term:
            term //= n * n
            total += sign * (term // k)
            k, sign = k + 2, -sign
        return total

    pi = 4 * (4 * arctan_of_inverse(5) - arctan_of_inverse(239))
    sys.set_int_max_str_digits(0)
    return str(pi)[: count + 1]


def pi(bench):
    """A rule that no model derives."""
    file = bench.work / "pi.txt"
    file.write_text(digits_of_pi(20_000))
    rows, bits = [], []
    names = ["none", *bench.models, *bench.larger]
    for point in bench.scaling(file, models=bench.models + bench.larger)["points"]:
        bits.append(point["bits_per_byte"])
        rows.append([point["model"], point["compressed_bytes"], f"{bits[-1]:.4f}"])
    rows.append(["entropy of a fair digit", math.ceil(20_001 * math.log2(10) / 8), f"{math.log2(10):.4f}"])
    groups = [(name, [value]) for name, value in zip(names, bits)]
    return table(["model and experts", "bytes", "bits a digit"], rows), bars(groups, [""], "Bits a digit of pi", bench.caption("pi", ""))


def languages(bench):
    """Chinese against English, by byte and by character."""
    rows, groups = [], []
    names = bench.models + bench.larger
    for title, name in {"English": "canterbury/alice29.txt", "German": "languages/deu.txt", "Chinese": "languages/zho.txt"}.items():
        head = bench.head(name, 30_000)
        characters = len(head.read_bytes().decode("utf-8", "ignore"))
        points = with_model(bench.scaling(head, "--experts", "off", models=names))
        by_character = [8 * point["compressed_bytes"] / characters for point in points]
        rows.append([title] + [f"{p['bits_per_byte']:.2f} / {c:.2f}" for p, c in zip(points, by_character)])
        groups.append((title, by_character))
    return table(["first 30,000 bytes of", *names], rows), bars(groups, names, "Bits a character, model alone", bench.caption("languages", ""))


def tokens(bench):
    """One size after different numbers of training tokens: checkpoints packed as TOKENS.llmzmodel."""
    packs = sorted(bench.checkpoints.glob("*.llmzmodel"), key=lambda pack: int(pack.stem))
    seen = [int(pack.stem) for pack in packs]
    rows, series = [], []
    for name in PROSE + OTHERS:
        curves = [bench.scaling(bench.corpus / name, "--experts", "off", models=[str(pack)]) for pack in packs]
        bits = [with_model(curve)[0]["bits_per_byte"] for curve in curves]
        rows.append([short(name)] + [f"{value:.3f}" for value in bits])
        series.append((short(name), list(zip(seen, bits))))
    text = "Lines join the points of a file. Each size of file is exact; each training ran once."
    title = "Bits per byte against training tokens, one size of model alone"
    picture = lines(series, title, "training tokens", "bits per byte", bench.caption("tokens", text))
    return table(["file", *(f"{count / 1e6:.2f} M tokens" for count in seen)], rows), picture


def noise(bench):
    """What cannot be predicted."""
    points = bench.scaling(bench.corpus / "binary/random64k.bin")["points"]
    rows = [[p["model"], p["original_bytes"], p["compressed_bytes"], f"{p['bits_per_byte']:.4f}"] for p in points]
    groups = [(point["model"], [point["bits_per_byte"]]) for point in points]
    return table(["model", "bytes", "compressed", "bits per byte"], rows), bars(groups, [""], "Bits per byte of random bytes", bench.caption("noise", ""))


EXPERIMENTS = {run.__name__: run for run in (law, both, real, pays, tokens, memory, pi, languages, noise)}


def replace(document, name, text):
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
    before, rest = document.split(begin)
    return before + begin + text + end + rest.split(end)[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=pathlib.Path)
    parser.add_argument("experiments", nargs="*", choices=[[], *EXPERIMENTS], default=[])
    parser.add_argument("--models", default="nano,micro,mini,small", help="of one family, the smallest first")
    parser.add_argument("--larger", default="", help="installed models of another family")
    parser.add_argument("--checkpoints", type=pathlib.Path, help="folder of one model's checkpoints, TOKENS.llmzmodel")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "target/story")
    args = parser.parse_args()
    larger = args.larger.split(",") if args.larger else []
    bench = Bench(args.corpus, args.models.split(","), larger, args.checkpoints, args.work)
    page = ROOT / "docs/SCALING.md"
    lacks = {"tokens": not args.checkpoints, "real": not larger}
    possible = [name for name in EXPERIMENTS if not lacks.get(name)]
    for name in args.experiments or possible:
        text, picture = EXPERIMENTS[name](bench)
        if picture:
            (ROOT / "docs/scaling" / f"{name}.svg").write_text(picture)
        page.write_text(replace(page.read_text(), name, text))
        print(name, flush=True)


if __name__ == "__main__":
    main()
