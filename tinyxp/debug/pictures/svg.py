"""A drawing as SVG, which needs no other program."""

import html
from itertools import pairwise

from tinyxp.debug.pictures.drawing import Arrow, Box, Drawing
from tinyxp.debug.pictures.layout import Layout, Place, Point, lay_out
from tinyxp.debug.pictures.markup import FILLS, RED, STROKES

LETTER, LINE = 7.0, 17.0  # a letter's width, a line's height
STYLE = "font-family:ui-monospace,Menlo,Consolas,monospace;font-size:12px"


def svg(drawing: Drawing) -> str:
    """The whole picture, with the loss at the bottom."""
    layout = lay_out(drawing, {key: _size(box) for key, box in drawing.boxes.items()})
    labels = [_label(arrow, points) for arrow, points in layout.routes if arrow.cut]
    width = max([layout.width, *(right for _, right in labels)])
    height = layout.height
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" style="{STYLE}">',
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>',
        "<defs>",
        *(_head(name, colour) for name, colour in (("head", "#3c4654"), ("cut", RED))),
        "</defs>",
        *_frames(drawing, layout),
        *(_arrow(arrow, points, layout) for arrow, points in layout.routes),
        *(_box(box, layout.places[key]) for key, box in drawing.boxes.items()),
        *(text for text, _ in labels),
        "</svg>",
    ]
    return "\n".join(parts)


def escape(text: str) -> str:
    """Text for XML, which allows no control characters."""
    return html.escape("".join(c if c.isprintable() else "?" for c in text))


def _size(box: Box) -> tuple[float, float]:
    lines = box.lines()
    return 20 + LETTER * 1.05 * max(map(len, lines)), 12 + LINE * len(lines)


def _head(name: str, colour: str) -> str:
    return (
        f'<marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="9" '
        'markerHeight="9" markerUnits="userSpaceOnUse" orient="auto">'
        f'<path d="M0,0 L8,4 L0,8 z" fill="{colour}"/></marker>'
    )


def _frames(drawing: Drawing, layout: Layout) -> list[str]:
    found = []
    for frame in drawing.frames:
        places = [layout.places[key] for key in frame.keys]
        ranks = min(p.y for p in places), max(p.y for p in places)
        places += [  # arrows into the frame that pass other boxes of it
            Place(x, y, 0.0, 0.0)
            for arrow, points in layout.routes
            for x, y in points[1:-1]
            if arrow.target in frame.keys and ranks[0] < y < ranks[1]
        ]
        left = min(p.x - p.width / 2 for p in places) - 14
        top = min(p.y - p.height / 2 for p in places) - 26
        width = max(max(p.x + p.width / 2 for p in places) + 14 - left, 8.0 * len(frame.title))
        height = max(p.y + p.height / 2 for p in places) + 14 - top
        found.append(
            f'<g class="frame"><rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" '
            f'height="{height:.1f}" rx="10" fill="#eef4fb" stroke="#7d9cc0"/>'
            f'<text x="{left + 10:.1f}" y="{top + 17:.1f}" fill="#2d5b8c" font-weight="bold">'
            f"{escape(frame.title)}</text></g>"
        )
    return found


def _box(box: Box, place: Place) -> str:
    left, top = place.x - place.width / 2, place.y - place.height / 2
    dashes = ' stroke-dasharray="4 3"' if box.kind == "severed" else ""
    first, *rest = box.lines()
    name, _, shape = first.partition(" ")
    texts = [
        f'<text x="{left + 10:.1f}" y="{top + 19:.1f}" fill="#1d232b">'
        f'<tspan font-weight="bold">{escape(name)}</tspan> {escape(shape)}</text>'
    ]
    texts += [
        f'<text x="{left + 10:.1f}" y="{top + 19 + LINE * i:.1f}" fill="#1b6ca8">'
        f"{escape(line)}</text>"
        for i, line in enumerate(rest, 1)
    ]
    return (
        f'<g class="{box.kind}"><rect x="{left:.1f}" y="{top:.1f}" width="{place.width:.1f}" '
        f'height="{place.height:.1f}" rx="5" fill="{FILLS[box.kind]}" '
        f'stroke="{STROKES[box.kind]}"{dashes}/>{"".join(texts)}</g>'
    )


def _arrow(arrow: Arrow, points: list[Point], layout: Layout) -> str:
    source, target = layout.places[arrow.source], layout.places[arrow.target]
    ends = [(source.x, source.y + source.height / 2), *points[1:-1],
            (target.x, target.y - target.height / 2 - 1)]  # fmt: skip
    path = f"M{ends[0][0]:.1f},{ends[0][1]:.1f}"
    for (x, y), (u, v) in pairwise(ends):
        half = (y + v) / 2
        path += f" C{x:.1f},{half:.1f} {u:.1f},{half:.1f} {u:.1f},{v:.1f}"
    if not arrow.cut:
        return f'<path d="{path}" fill="none" stroke="#3c4654" marker-end="url(#head)"/>'
    return (
        f'<path class="cut" d="{path}" fill="none" stroke="{RED}" stroke-width="2" '
        f'stroke-dasharray="6 4" marker-end="url(#cut)"><title>{escape(arrow.cut)}</title></path>'
    )


def _label(arrow: Arrow, points: list[Point]) -> tuple[str, float]:
    """The text beside an arrow, and its right end."""
    (x, y), (u, v) = points[0], points[1]
    left, top = max(x, u) + 10, (y + v) / 2 - 10
    width = LETTER * 1.05 * len(arrow.cut) + 8
    text = (
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="20" fill="#ffffff"/>'
        f'<text class="cut" x="{left + 4:.1f}" y="{top + 14:.1f}" fill="{RED}">'
        f"{escape(arrow.cut)}</text>"
    )
    return text, left + width + 12
