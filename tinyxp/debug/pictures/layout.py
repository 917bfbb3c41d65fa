"""The layered layout of a drawing: every box below its sources, with few crossings.

After Sugiyama, Tagawa & Toda 1981 ("Methods for visual understanding of hierarchical system
structures"): ranks by the longest path, free places for arrows that pass a rank, an order by the
mean of the neighbours' places, then coordinates.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from itertools import pairwise

from tinyxp.debug.pictures.drawing import Arrow, Drawing

SWEEPS = 12
GAP, FALL = 28.0, 46.0  # between neighbours, between ranks
Point = tuple[float, float]


@dataclass
class Place:
    """The centre and size of a box; a place for a passing arrow has no size."""

    x: float
    y: float
    width: float
    height: float


@dataclass
class Layout:
    """Places by key, the points of every arrow, and the size of the picture."""

    places: dict[str, Place]
    routes: list[tuple[Arrow, list[Point]]]
    width: float
    height: float


def lay_out(drawing: Drawing, sizes: dict[str, tuple[float, float]]) -> Layout:
    """Coordinates for a drawing whose boxes have the given widths and heights."""
    ranks = _ranks(drawing)
    chains, above, below = _chains(drawing, ranks)
    rows: list[list[str]] = [[] for _ in range(1 + max(ranks.values()))]
    for key, rank in ranks.items():
        rows[rank].append(key)
    position = {key: i for row in rows for i, key in enumerate(row)}
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        near = above if down else below
        for row in rows[1:] if down else rows[-2::-1]:
            row.sort(key=lambda key: _mean([position[n] for n in near.get(key, [key])]))
            position.update((key, i) for i, key in enumerate(row))
    places = _coordinates(rows, sizes, above, below)
    _clear_frames(drawing, ranks, rows, places)
    left = min(p.x - p.width / 2 for p in places.values())
    for place in places.values():
        place.x += 24 - left
    points = {key: (place.x, place.y) for key, place in places.items()}
    routes = [(arrow, [points[key] for key in chain]) for arrow, chain in chains]
    width = 24 + max(p.x + p.width / 2 for p in places.values())
    height = 24 + max(p.y + p.height / 2 for p in places.values())
    return Layout({key: places[key] for key in drawing.boxes}, routes, width, height)


def _ranks(drawing: Drawing) -> dict[str, int]:
    """The length of the longest path to each box; data are right above their first use."""
    parents: dict[str, list[str]] = {key: [] for key in drawing.boxes}
    users: dict[str, list[str]] = {key: [] for key in drawing.boxes}
    for arrow in drawing.arrows:
        parents[arrow.target].append(arrow.source)
        users[arrow.source].append(arrow.target)
    ranks: dict[str, int] = {}
    for key in TopologicalSorter(parents).static_order():
        ranks[key] = max((ranks[p] + 1 for p in parents[key]), default=0)
    for key, some in parents.items():
        if not some and users[key]:
            ranks[key] = min(ranks[user] for user in users[key]) - 1
    return {key: ranks[key] for key in drawing.boxes}


def _chains(
    drawing: Drawing, ranks: dict[str, int]
) -> tuple[list[tuple[Arrow, list[str]]], dict[str, list[str]], dict[str, list[str]]]:
    """Every arrow as a chain of keys, one per rank (arrows from a box share places while they take
    the same path), and the neighbours above and below each key."""
    chains: list[tuple[Arrow, list[str]]] = []
    steps: dict[tuple[str, str], None] = {}
    for arrow in drawing.arrows:
        between = range(ranks[arrow.source] + 1, ranks[arrow.target])
        way = f"{arrow.source}/{arrow.cut}"
        chain = [arrow.source, *(f"{way}/{rank}" for rank in between), arrow.target]
        ranks.update(zip(chain[1:-1], between, strict=True))
        steps |= dict.fromkeys(pairwise(chain))
        chains.append((arrow, chain))
    above: dict[str, list[str]] = {}
    below: dict[str, list[str]] = {}
    for a, b in steps:
        below.setdefault(a, []).append(b)
        above.setdefault(b, []).append(a)
    return chains, above, below


def _coordinates(
    rows: list[list[str]],
    sizes: dict[str, tuple[float, float]],
    above: dict[str, list[str]],
    below: dict[str, list[str]],
) -> dict[str, Place]:
    places: dict[str, Place] = {}
    y = 24.0
    for row in rows:
        height = max(sizes.get(key, (0.0, 0.0))[1] for key in row)
        x = 0.0
        for key in row:
            width, own = sizes.get(key, (12.0, 0.0))
            places[key] = Place(x + width / 2, y + height / 2, width, own)
            x += width + GAP
        y += height + FALL
    for sweep in range(SWEEPS):
        near = above if sweep % 2 == 0 else below
        for row in rows if sweep % 2 == 0 else rows[::-1]:
            wish = {key: _mean([places[n].x for n in near.get(key, [key])]) for key in row}
            _move_row(row, places, wish)
    return places


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers)


def _move_row(row: list[str], places: dict[str, Place], wish: dict[str, float]) -> None:
    """Push boxes to their wished places without overlap, then all back by the mean excess."""
    edge = float("-inf")
    for key in row:
        place = places[key]
        place.x = max(wish[key], edge + GAP + place.width / 2)
        edge = place.x + place.width / 2
    too_far = sum(places[key].x - wish[key] for key in row) / len(row)
    for key in row:
        places[key].x -= too_far


def _clear_frames(
    drawing: Drawing, ranks: dict[str, int], rows: list[list[str]], places: dict[str, Place]
) -> None:
    """Move boxes that do not belong to a frame out of it, to the right."""
    for frame in drawing.frames:
        inside = set(frame.keys)
        right = max(places[key].x + places[key].width / 2 for key in inside) + 2 * GAP
        left = min(places[key].x - places[key].width / 2 for key in inside) - GAP
        first = min(ranks[key] for key in inside)
        last = max(ranks[key] for key in inside)
        for row in rows[first : last + 1]:
            edge = right
            for key in row:
                place = places[key]
                strange = key in drawing.boxes and key not in inside
                if strange and place.x + place.width / 2 > left:
                    place.x = max(place.x, edge + place.width / 2)
                    edge = place.x + place.width / 2 + GAP
