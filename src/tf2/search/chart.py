"""The points of a search drawn: as text for a terminal, as SVG for a page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from tf2.search.exploration import Point, SearchResult

WIDTH, HEIGHT = 64, 16  # characters
SVG_WIDTH, SVG_HEIGHT, MARGIN = 720, 440, 60  # pixels


def text_chart(result: SearchResult, logic: str) -> list[str]:
    """Return lines: logic from left to right, frames a second upwards.

    Args:
        result: Of a search.
        logic: What the part's logic is counted in, for the axis.
    """
    most_logic, most_rate = _extent(result.points)
    grid = [[" "] * WIDTH for _ in range(HEIGHT)]
    for mark, points in (("·", result.points), ("o", result.front), ("*", (result.chosen,))):
        for point in points:
            x = min(WIDTH - 1, int(point.logic / most_logic * WIDTH))
            y = min(HEIGHT - 1, int(point.rate / most_rate * HEIGHT))
            grid[HEIGHT - 1 - y][x] = mark
    label = max(len(f"{most_rate:,.0f}"), 1)
    lines = [
        f"{f'{most_rate:,.0f}' if i == 0 else '':>{label}} |{''.join(row).rstrip()}"
        for i, row in enumerate(grid)
    ]
    lines.append(f"{'0':>{label}} +{'-' * WIDTH}")
    right = f"{100 * most_logic:.0f} % of {logic}"
    lines.append(f"{'':>{label}}  0{right:>{WIDTH - 1}}")
    lines.append("frames/s over logic; o: Pareto front, *: chosen, ·: others")
    return lines


def svg_chart(result: SearchResult, title: str, logic: str) -> str:
    """Return the same as an SVG drawing."""
    most_logic, most_rate = _extent(result.points)

    def place(point: Point) -> tuple[float, float]:
        x = MARGIN + point.logic / most_logic * (SVG_WIDTH - 2 * MARGIN)
        return x, SVG_HEIGHT - MARGIN - point.rate / most_rate * (SVG_HEIGHT - 2 * MARGIN)

    def dot(point: Point, radius: int, color: str) -> str:
        x, y = place(point)
        about = (
            f"{point.config.name}: {point.config.lanes:,} lanes, {point.rate:,.1f} frames/s, "
            f"{100 * point.logic:.1f} %"
        )
        return (
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{color}">'
            f"<title>{escape(about)}</title></circle>"
        )

    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(place, result.front))
    bottom, right = SVG_HEIGHT - MARGIN, SVG_WIDTH - MARGIN
    name_x, name_y = place(result.chosen)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{SVG_WIDTH}" height="{SVG_HEIGHT}"'
            ' font-family="sans-serif" font-size="12">',
            f'<rect width="{SVG_WIDTH}" height="{SVG_HEIGHT}" fill="white"/>',
            f'<text x="{MARGIN}" y="24" font-size="15">{escape(title)}</text>',
            f'<path d="M{MARGIN},{MARGIN} V{bottom} H{right}" fill="none" stroke="black"/>',
            f'<text x="{MARGIN}" y="{MARGIN - 8}">{most_rate:,.0f} frames/s</text>',
            f'<text x="{right}" y="{bottom + 20}" text-anchor="end">'
            f"{100 * most_logic:.0f} % of {escape(logic)}</text>",
            f'<polyline points="{line}" fill="none" stroke="steelblue"/>',
            *(dot(point, 3, "silver") for point in result.points),
            *(dot(point, 4, "steelblue") for point in result.front),
            dot(result.chosen, 6, "firebrick"),
            f'<text x="{name_x + 9:.1f}" y="{name_y + 4:.1f}">{escape(result.chosen.config.name)}'
            "</text>",
            "</svg>\n",
        ]
    )


def _extent(points: Sequence[Point]) -> tuple[float, float]:
    """Return the ends of both axes, a little beyond the largest values."""
    logic, rate = max(p.logic for p in points), max(p.rate for p in points)
    step = 10 ** math.floor(math.log10(rate))
    return 1.05 * logic, math.ceil(1.02 * rate / step) * step
