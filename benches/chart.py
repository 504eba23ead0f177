"""Line and bar charts as SVG, light and dark. Knows nothing of what it draws."""

import math
import textwrap
from html import escape

# The colours of Okabe and Ito, which people with any kind of colour vision tell apart, but yellow and black; each in the
# light and the dark scheme.
COLOURS = [
    ("#0072b2", "#3fa3de"),
    ("#d55e00", "#f0803a"),
    ("#009e73", "#2fc79c"),
    ("#b85c92", "#cc79a7"),
    ("#b37a00", "#e69f00"),
    ("#2f8fcb", "#56b4e9"),
]
DASHES = ["none", "7 4", "2 3", "10 3 2 3", "5 2 1 2 1 2"]
# Disc, square, triangle, diamond, triangle on its tip, upright cross, slanted cross.
MARKS = [
    "m-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0z",
    "m-3.2 -3.2h6.4v6.4h-6.4z",
    "m0 -4.4l4 7.2h-8z",
    "m0 -4.4l4.4 4.4l-4.4 4.4l-4.4 -4.4z",
    "m0 4.4l4 -7.2h-8z",
    "m-1.2 -4h2.4v2.8h2.8v2.4h-2.8v2.8h-2.4v-2.8h-2.8v-2.4h2.8z",
    "m-4 -2.4l1.6 -1.6l2.4 2.4l2.4 -2.4l1.6 1.6l-2.4 2.4l2.4 2.4l-1.6 1.6l-2.4 -2.4l-2.4 2.4l-1.6 -1.6l2.4 -2.4z",
]
# A picture is legible at the width of a phone: its letters take a fortieth of its width.
WIDTH = 480


def colours(scheme):
    """Style rules of one scheme: 0 is light, 1 is dark."""
    paper, ink, rule = [("#fff", "#1c1c1c", "#ddd"), ("#151515", "#ddd", "#3a3a3a")][scheme]
    rules = [f".paper {{ fill: {paper}; }} text {{ fill: {ink}; }} .rule {{ stroke: {rule}; }} .axis {{ stroke: {ink}; fill: none; }}"]
    for i, pair in enumerate(COLOURS):
        rules.append(
            f".s{i} .mark, .s{i} .band, .s{i} .bar {{ fill: {pair[scheme]}; }} .s{i} .line {{ stroke: {pair[scheme]}; }} .s{i} .mark {{ stroke: {paper}; }}"
        )
    return "\n".join(rules)


STYLE = f"""<style>
svg {{ font: 12px sans-serif; }} .title {{ font-size: 15px; font-weight: bold; }} .line {{ fill: none; stroke-width: 1.8; }} .band {{ opacity: .2; }}
{colours(0)}
@media screen and (prefers-color-scheme: dark) {{
{colours(1)}
}}
</style>"""


def page(height, title, parts, caption):
    """The whole picture: `parts` below the title, and the lines of `caption` below them."""
    text, y = [], height
    for paragraph in caption:
        for line in textwrap.wrap(paragraph, 72):
            y += 16
            text.append(f'<text x="8" y="{y}">{escape(line)}</text>')
        y += 4
    y += 8
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" role="img">\n<title>{escape(title)}</title>'
    paper = f'<rect class="paper" width="{WIDTH}" height="{y}"/>'
    heading = f'<text class="title" x="8" y="20">{escape(title)}</text>'
    return "\n".join([head, STYLE, paper, heading, *parts, *text, "</svg>\n"])


def ticks(low, high, wanted=8):
    """At most `wanted` round numbers within a range."""
    step = 10 ** math.floor(math.log10(high - low))
    for finer in (0.1, 0.2, 0.5, 1, 2):
        if (high - low) / (step * finer) <= wanted:
            step *= finer
            break
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]


def si(number):
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.3g}"


def decades(values):
    """The powers of ten around `values`."""
    low = math.floor(math.log10(min(values)))
    return low, max(low + 1, math.ceil(math.log10(max(values))))


def mark(i, x, y):
    return f'<path class="mark" d="M{x:.1f} {y:.1f}{MARKS[i % len(MARKS)]}"/>'


class Plot:
    """A rectangle with a logarithmic horizontal axis between powers of ten and a linear vertical axis from `low_y` on."""

    def __init__(self, left, right, top, bottom, span, low_y, high_y):
        self.left, self.right, self.top, self.bottom = left, right, top, bottom
        self.span, self.low_y, self.high_y = span, low_y, high_y

    def x(self, value):
        low, high = self.span
        return self.left + (math.log10(value) - low) / (high - low) * (self.right - self.left)

    def y(self, value):
        up = (value - self.low_y) / (self.high_y - self.low_y)
        return self.bottom - min(1, max(0, up)) * (self.bottom - self.top)

    def axes(self, labels_x, labels_y, wanted=8):
        parts = []
        for tick in ticks(self.low_y, self.high_y, wanted):
            y = self.y(tick)
            parts.append(f'<line class="rule" x1="{self.left}" x2="{self.right}" y1="{y:.1f}" y2="{y:.1f}"/>')
            if labels_y:
                parts.append(f'<text x="{self.left - 5}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
        path = f"M{self.left} {self.bottom}H{self.right}"
        low, high = self.span
        for decade in range(low, high + 1):
            for multiple in range(1, 10 if decade < high else 2):
                x = self.x(multiple * 10**decade)
                path += f"M{x:.1f} {self.bottom}v{6 if multiple == 1 else 3}"
            if labels_x:
                # Labels at the ends stay within the plot, because another may be beside it.
                anchor = {low: "start", high: "end"}.get(decade, "middle")
                parts.append(f'<text x="{self.x(10**decade):.1f}" y="{self.bottom + 19}" text-anchor="{anchor}">{si(10**decade)}</text>')
        return [*parts, f'<path class="axis" d="{path}"/>']

    def series(self, i, points, curve):
        """Marks and, unless `curve` is empty, a line: triples of x, y and (low, high), of which a band is drawn too, or None."""
        parts = [f'<g class="s{i % len(COLOURS)}">']
        if curve and curve[0][2]:
            upper = [(x, high) for x, _, (_, high) in curve]
            lower = [(x, low) for x, _, (low, _) in reversed(curve)]
            parts.append(f'<path class="band" d="M{self.path(upper + lower)}Z"/>')
        if curve:
            line = self.path([(x, y) for x, y, _ in curve])
            parts.append(f'<path class="line" stroke-dasharray="{DASHES[i % len(DASHES)]}" d="M{line}"/>')
        return [*parts, *(mark(i, self.x(x), self.y(y)) for x, y in points), "</g>"]

    def path(self, points):
        return "L".join(f"{self.x(x):.1f} {self.y(y):.1f}" for x, y in points)


def lines(series, title, label_x, label_y, caption):
    """One plot of all `series`: pairs of a name and its points (x, y), x > 0. Lines join the points."""
    xs = [x for _, points in series for x, _ in points]
    ys = [y for _, points in series for _, y in points]
    plot = Plot(44, WIDTH - 22, 56, 320, decades(xs), min(0, *ys), max(ys) * 1.05)
    parts = [f'<text x="8" y="42">{escape(label_y)}</text>', *plot.axes(True, True)]
    parts.append(f'<text x="{plot.right}" y="{plot.bottom + 38}" text-anchor="end">{escape(label_x)} (log scale)</text>')
    for i, (_, points) in enumerate(series):
        parts += plot.series(i, points, [(x, y, None) for x, y in points])
    y = plot.bottom + 46
    for i, (name, _) in enumerate(series):
        y += 19
        dashes = DASHES[i % len(DASHES)]
        key = f'<path class="line" stroke-dasharray="{dashes}" d="M8 {y - 4}h34"/>{mark(i, 25, y - 4)}'
        parts.append(f'<g class="s{i % len(COLOURS)}">{key}<text x="50" y="{y}">{escape(name)}</text></g>')
    return page(y + 8, title, parts, caption)


def panels(series, title, label_x, label_y, caption):
    """A small plot for each of `series`, all with the same axes: triples of a name, points (x, y) with x > 0, and a curve
    as in `Plot.series`, empty where there is none."""
    columns, height = 2, 96
    xs = [x for _, points, _ in series for x, _ in points]
    high = max(y for _, points, _ in series for _, y in points) * 1.05
    width = (WIDTH - 32) / columns
    rows = math.ceil(len(series) / columns)
    parts = [f'<text x="8" y="42">{escape(label_y)}</text>']
    for i, (name, points, curve) in enumerate(series):
        row, column = divmod(i, columns)
        left, top = 32 + column * width, 72 + row * (height + 22)
        is_last = i + columns >= len(series)
        plot = Plot(left, left + width - 20, top, top + height - 20, decades(xs), 0, high)
        parts += [f'<text x="{left}" y="{top - 8}">{escape(name[:33])}</text>', *plot.axes(is_last, column == 0, wanted=6)]
        parts += plot.series(0, points, curve)
    bottom = 72 + rows * (height + 22) + 10
    parts.append(f'<text x="{WIDTH - 20}" y="{bottom}" text-anchor="end">{escape(label_x)} (log scale)</text>')
    return page(bottom + 4, title, parts, caption)


def bars(groups, names, label, caption):
    """`groups`: pairs of a title and one value for each of `names`; the names are bars of each group."""
    thick, gap, left = 18, 26, 8
    longest = max(value for _, values in groups for value in values)
    parts, y = [f'<text x="8" y="42">less is better</text>'], 56
    for title, values in groups:
        if title:
            y += 14
            parts.append(f'<text x="{left}" y="{y}">{escape(title)}</text>')
            y += 6
        for i, (name, value) in enumerate(zip(names, values)):
            length = (WIDTH - left - 130) * value / longest
            parts.append(f'<g class="s{i % len(COLOURS)}"><rect class="bar" x="{left}" y="{y}" width="{length:.1f}" height="{thick - 4}"/></g>')
            parts.append(f'<text x="{left + length + 5:.1f}" y="{y + thick - 7}">{value:.2f} {escape(name)}</text>')
            y += thick
        y += gap - thick
    return page(y, label, parts, caption)
