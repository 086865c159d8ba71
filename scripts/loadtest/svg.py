"""Plots as plain SVG: no library, no fonts but the reader's."""

import math
from html import escape

COLOURS = ["#3b6fb6", "#d1603d", "#4a9d6f", "#8a63b3", "#c2a33a", "#5f6b7a", "#b5527f", "#3aa6a6",
           "#7a5230", "#9aa83a", "#2e4057", "#aa3939"]
WIDTH, HEIGHT = 760, 380
LEFT, TOP, RIGHT, BOTTOM = 70, 46, 190, 50


def bars(title, names, series, unit=""):
    """Horizontal bars: for each name one of each series, which is {label: {name: value}}."""
    row = 16 * len(series) + 10
    height = TOP + row * len(names) + 30
    left, right = 210, 70
    most = max((v for values in series.values() for v in values.values()), default=1) or 1
    parts = [text(12, 24, title, size=15, weight="bold")]
    for at, (label, _) in enumerate(series.items()):
        x = left + at * 130
        parts += [box(x, TOP - 14, 10, 10, COLOURS[at]), text(x + 15, TOP - 5, label)]
    for line, name in enumerate(names):
        y = TOP + 8 + line * row
        parts.append(text(left - 8, y + row / 2, name, anchor="end"))
        for at, values in enumerate(series.values()):
            if name not in values:
                continue
            span = (WIDTH - left - right) * values[name] / most
            parts.append(box(left, y + at * 16, span, 13, COLOURS[at]))
            parts.append(text(left + span + 5, y + at * 16 + 11, f"{values[name]:.2f}{unit}"))
    return page(height, parts)


def lines(title, series, across, up, log_x=False, log_y=False, spans=()):
    """Lines through points; series is {label: [(x, y), …]}, and spans are shaded from x to x."""
    points = [point for line in series.values() for point in line]
    if not points:
        return page(60, [text(12, 24, f"{title}: nothing measured")])
    to_x, ticks_x = scale([x for x, _ in points], LEFT, WIDTH - RIGHT, log_x)
    to_y, ticks_y = scale([y for _, y in points] + ([] if log_y else [0]), HEIGHT - BOTTOM, TOP, log_y)
    parts = [text(12, 24, title, size=15, weight="bold")]
    for begin, end in spans:
        parts.append(box(to_x(begin), TOP, to_x(end) - to_x(begin), HEIGHT - TOP - BOTTOM, "#d1603d", 0.12))
    for tick in ticks_x:
        parts += [line(to_x(tick), TOP, to_x(tick), HEIGHT - BOTTOM),
                  text(to_x(tick), HEIGHT - BOTTOM + 16, number(tick), anchor="middle")]
    for tick in ticks_y:
        parts += [line(LEFT, to_y(tick), WIDTH - RIGHT, to_y(tick)),
                  text(LEFT - 6, to_y(tick) + 4, number(tick), anchor="end")]
    parts += [text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, across, anchor="middle"),
              text(LEFT - 6, TOP - 8, up, anchor="start")]
    for at, (label, line_points) in enumerate(series.items()):
        colour = COLOURS[at % len(COLOURS)]
        path = " ".join(f"{to_x(x):.1f},{to_y(y):.1f}" for x, y in line_points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [box(WIDTH - RIGHT + 14, TOP + at * 18, 10, 10, colour),
                  text(WIDTH - RIGHT + 30, TOP + at * 18 + 9, label)]
    return page(max(HEIGHT, TOP + 18 * len(series) + 20), parts)


def scale(values, low, high, log):
    """A function from values to places, and where its ticks are."""
    if log:
        values = [math.log10(max(value, 1e-9)) for value in values]
        begin, end = math.floor(min(values)), math.ceil(max(values))
        end = max(end, begin + 1)
        place = lambda v: low + (high - low) * (math.log10(max(v, 1e-9)) - begin) / (end - begin)
        return place, [10 ** power for power in range(begin, end + 1)]
    begin, end = min(values), max(values)
    span = (end - begin) or 1
    step = 10 ** math.floor(math.log10(span / 4))
    step = next(step * by for by in (1, 2, 5, 10) if span / (step * by) <= 6)
    end = math.ceil(end / step) * step
    place = lambda v: low + (high - low) * (v - begin) / ((end - begin) or 1)
    first = math.ceil(begin / step)
    return place, [step * k for k in range(first, int(end / step + 1e-9) + 1)]


def number(value):
    if value >= 1000:
        return f"{value / 1000:g}k"
    return f"{value:g}"


def text(x, y, content, size=12, anchor="start", weight="normal"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" '
            f'font-weight="{weight}" fill="#222">{escape(str(content))}</text>')


def box(x, y, width, height, colour, opacity=1):
    return (f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{height:.1f}" '
            f'fill="{colour}" fill-opacity="{opacity}"/>')


def line(x1, y1, x2, y2):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#ddd"/>'


def page(height, parts):
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
            f'viewBox="0 0 {WIDTH} {height}" font-family="sans-serif">')
    # A ground of its own: readers with a dark page see it too.
    return "\n".join([head, box(0, 0, WIDTH, height, "#ffffff"), *parts, "</svg>", ""])
