"""Line and bar charts as SVG, light and dark. Knows nothing of what it draws."""

import math
from html import escape

COLOURS = ["#2f6fbf", "#c2571a", "#2e8b57", "#8a4fbf", "#b8860b", "#c2185b", "#00838f", "#6d4c41", "#607d8b", "#9e9d24"]
WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 56, 190, 34, 46

STYLE = """<style>
svg { background: #ffffff; font: 11px sans-serif; } text { fill: #222222; } .rule { stroke: #dddddd; }
@media (prefers-color-scheme: dark) { svg { background: #16181c; } text { fill: #dddddd; } .rule { stroke: #3a3d44; } }
</style>"""


def page(width, height, parts):
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">'
    return "\n".join([head, STYLE, *parts, "</svg>\n"])


def ticks(low, high):
    """At most eight round numbers within a range."""
    step = 10 ** math.floor(math.log10(high - low))
    for finer in (0.1, 0.2, 0.5, 1, 2):
        if (high - low) / (step * finer) <= 8:
            step *= finer
            break
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]


def si(number):
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.3g}"


def apart(wanted, gap):
    """Heights of labels: as wanted, but no two closer than `gap`."""
    order = sorted(range(len(wanted)), key=wanted.__getitem__)
    placed = dict(enumerate(wanted))
    for before, after in zip(order, order[1:]):
        placed[after] = max(placed[after], placed[before] + gap)
    return [placed[i] for i in range(len(wanted))]


def lines(series, label_x, label_y, log_x=False):
    """`series`: pairs of a name and its points (x, y), all x > 0 where `log_x`."""
    scale = math.log10 if log_x else float
    xs = sorted({x for _, points in series for x, _ in points})
    ys = [y for _, points in series for _, y in points]
    low_x, high_x = scale(xs[0]), scale(xs[-1])
    low_y, high_y = min(0, *ys), max(ys) * 1.05

    def place(x, y):
        across = (scale(x) - low_x) / (high_x - low_x or 1)
        up = (y - low_y) / (high_y - low_y or 1)
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    parts = [f'<text x="8" y="18" font-weight="bold">{escape(label_y)}</text>']
    for tick in ticks(low_y, high_y):
        y = place(xs[0], tick)[1]
        parts.append(f'<line class="rule" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
    for x in xs:
        parts.append(f'<text x="{place(x, 0)[0]:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{si(x)}</text>')
    parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 10}" text-anchor="middle">{escape(label_x)}</text>')
    ends = apart([place(*points[-1])[1] + 4 for _, points in series], 13)
    for i, (name, points) in enumerate(series):
        colour = COLOURS[i % len(COLOURS)]
        dash = ' stroke-dasharray="5 3"' if i >= len(COLOURS) else ""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in points))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"{dash}/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.6" fill="{colour}"/>' for x, y in (place(*p) for p in points)]
        parts.append(f'<text x="{WIDTH - RIGHT + 10}" y="{ends[i]:.1f}" style="fill:{colour}">{escape(name)}</text>')
    return page(WIDTH, HEIGHT, parts)


def bars(groups, names, label):
    """`groups`: pairs of a title and one value for each of `names`; the names are bars of each group."""
    bar, gap, left = 15, 12, 170
    longest = max(value for _, values in groups for value in values)
    height = 40 + sum(bar * len(values) + gap for _, values in groups)
    parts = [f'<text x="8" y="18" font-weight="bold">{escape(label)}, less is better</text>']
    y = 34
    for title, values in groups:
        parts.append(f'<text x="8" y="{y + bar * len(values) / 2 + 4}">{escape(title)}</text>')
        for i, (name, value) in enumerate(zip(names, values)):
            length = (WIDTH - left - 110) * value / longest
            colour = COLOURS[i % len(COLOURS)]
            parts.append(f'<rect x="{left}" y="{y}" width="{length:.1f}" height="{bar - 3}" fill="{colour}"/>')
            parts.append(f'<text x="{left + length + 5:.1f}" y="{y + bar - 5}">{value:.2f} {escape(name)}</text>')
            y += bar
        y += gap
    return page(WIDTH, height, parts)
