"""Latency and memory by number of watchers, as an SVG."""

import math
from collections.abc import Iterator, Sequence
from html import escape

from bench.report.results import Curve, Results

WIDTH, HEIGHT = 420, 340
LEFT, RIGHT, TOP, BOTTOM = 60, 20, 40, 130
COLOURS = ("#b2182b", "#2166ac", "#1a9850", "#e08214", "#7a7a7a")
PANELS = {"latency": "commit to watcher, ms", "memory": "memory of a watch, KiB"}


def svg(results: Results) -> str:
    """Return the plot: one panel for each quantity, both axes logarithmic."""
    panels = [[curve for curve in results.curves if curve.panel == panel and curve.points] for panel in PANELS]
    drawn = "".join(
        f'<g transform="translate({number * WIDTH} 0)">{"".join(_panel(title, curves))}</g>'
        for number, (title, curves) in enumerate(zip(PANELS.values(), panels, strict=True))
        if curves
    )
    size = f'width="{WIDTH * len(PANELS)}" height="{HEIGHT}" viewBox="0 0 {WIDTH * len(PANELS)} {HEIGHT}"'
    style = 'font-family="sans-serif" font-size="11"'
    background = '<rect width="100%" height="100%" fill="white"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>{background}{drawn}</svg>\n'


class _Axes:
    """Positions of values in a panel."""

    def __init__(self, curves: Sequence[Curve]) -> None:
        points = [point for curve in curves for point in curve.points]
        self.counts = sorted({count for count, _ in points})
        # Values of zero or less are noise, and a logarithmic axis cannot show them.
        values = [value for _, value in points if value > 0]
        self.decades = range(math.floor(math.log10(min(values))), math.ceil(math.log10(max(values))) + 1)

    def x(self, count: float) -> float:
        low, high = math.log10(self.counts[0]), math.log10(self.counts[-1])
        return LEFT + (math.log10(count) - low) / max(high - low, 1e-9) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        low, high = self.decades[0], self.decades[-1]
        position = (math.log10(max(value, 10.0**low)) - low) / max(high - low, 1)
        return HEIGHT - BOTTOM - position * (HEIGHT - TOP - BOTTOM)


def _panel(title: str, curves: Sequence[Curve]) -> Iterator[str]:
    axes = _Axes(curves)
    yield _text(LEFT, 20, title, "start", weight="bold")
    for decade in axes.decades:
        y = axes.y(10.0**decade)
        yield f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#dddddd"/>'
        yield _text(LEFT - 6, y + 4, f"{10.0**decade:g}", "end")
    for count in axes.counts:
        yield _text(axes.x(count), HEIGHT - BOTTOM + 16, f"{count:,}", "middle")
    yield _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - BOTTOM + 32, "watchers", "middle")
    for index, (curve, colour) in enumerate(zip(curves, COLOURS, strict=False)):
        yield from _line(axes, curve, colour)
        yield _text(LEFT, HEIGHT - BOTTOM + 50 + 14 * index, curve.title, "start", fill=colour)


def _line(axes: _Axes, curve: Curve, colour: str) -> Iterator[str]:
    points = [f"{axes.x(count):.1f},{axes.y(value):.1f}" for count, value in curve.points]
    yield f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
    for count, value in curve.points:
        named = f"<title>{escape(curve.title)}: {count:,} watchers, {value:,.2f}</title>"
        yield f'<circle cx="{axes.x(count):.1f}" cy="{axes.y(value):.1f}" r="3" fill="{colour}">{named}</circle>'


def _text(x: float, y: float, text: str, anchor: str, *, fill: str = "#222222", weight: str = "normal") -> str:
    attributes = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{fill}" font-weight="{weight}"'
    return f"<text {attributes}>{escape(text)}</text>"
