"""Equal blocks of a module list, recognized by parameter names, are drawn once."""

import re
from dataclasses import replace
from itertools import groupby
from typing import Any

from tinyxp.debug.pictures.drawing import Arrow, Box, Drawing, Frame

NUMBERED = re.compile(r"(.*?)(?:^|\.)(\d+)\.")  # the outermost number in a parameter's name


def fold(drawing: Drawing) -> Drawing:
    """The drawing with every run of equal blocks drawn as its first block.

    Blocks are equal if they have the same operations in the same order, with the same shapes,
    parameters and arrows. An operation without parameters belongs to the block before it. Blocks
    with a cut are not folded, so that the picture shows which block has it.
    """
    for blocks in _runs(drawing):
        drawing = _fold_run(drawing, *blocks)
    return drawing


def _home(box: Box) -> tuple[str, int] | None:
    """The module list and the number of the block that holds a box's parameters."""
    for name, _ in box.params:
        if match := NUMBERED.match(name):
            return match[1], int(match[2])
    return None


def _runs(drawing: Drawing) -> list[tuple[str, list[tuple[int, list[Box]]]]]:
    """For each module list, its equal blocks: their numbers and boxes."""
    arrows = drawing.arrows
    sources: dict[str, list[str]] = {}
    for arrow in arrows:
        sources.setdefault(arrow.target, []).append(arrow.source)
    current: tuple[str, int] | None = None
    held: list[tuple[tuple[str, int] | None, Box]] = []
    for box in sorted(drawing.boxes.values(), key=lambda box: box.born):
        if box.kind in ("op", "loss"):
            current = _home(box) if box.params else current
            held.append((current, box))
    blocks = [(home, [box for _, box in some]) for home, some in groupby(held, lambda x: x[0])]
    found = []
    for prefix, some in groupby(blocks, lambda block: block[0] and block[0][0]):
        run = [(home[1], boxes) for home, boxes in some if home is not None]
        if prefix is None or len(run) < 2:
            continue
        length = len(run[0][1])  # operations after the list follow the last block
        run[-1] = (run[-1][0], run[-1][1][:length])
        place = {box.key: (i, k) for i, (_, boxes) in enumerate(run) for k, box in enumerate(boxes)}
        cut = any(a.cut and not place.keys().isdisjoint((a.source, a.target)) for a in arrows)
        later = [box for _, boxes in run[1:] for box in boxes]
        shared = {source for box in later for source in sources.get(box.key, ())} - place.keys()
        alike = {_signature(prefix, n, boxes, place, sources, shared) for n, boxes in run}
        if len(alike) == 1 and not cut:
            found.append((prefix, run))
    return found


def _signature(
    prefix: str,
    number: int,
    boxes: list[Box],
    place: dict[str, tuple[int, int]],
    sources: dict[str, list[str]],
    shared: set[str],
) -> Any:
    start = f"{prefix}.{number}." if prefix else f"{number}."
    own = place[boxes[0].key][0]

    def link(source: str) -> str:
        """Where a value comes from: a box of this block, an earlier block, or one box shared by all
        blocks. The previous block is left out, because the first block gets data instead.
        """
        if source not in place:
            return source if source in shared else ""
        block, k = place[source]
        return f"here {k}" if block == own else f"{own - block} before" if own - block > 1 else ""

    return tuple(
        (
            box.name,
            box.shape,
            tuple((name.removeprefix(start), shape) for name, shape in box.params),
            tuple(sorted(filter(None, map(link, sources.get(box.key, ()))))),
        )
        for box in boxes
    )


def _fold_run(drawing: Drawing, prefix: str, run: list[tuple[int, list[Box]]]) -> Drawing:
    first = [box.key for box in run[0][1]]
    inside = {box.key: i for i, (_, boxes) in enumerate(run) for box in boxes}
    stands_for = {
        box.key: key for _, boxes in run for key, box in zip(first, boxes, strict=True)
    }  # fmt: skip
    later = {key for key, i in inside.items() if i > 0}
    arrows: dict[Arrow, None] = {}
    for arrow in drawing.arrows:
        if inside.get(arrow.target, 0) > 0:
            continue  # inside a later block, or into it
        source = stands_for.get(arrow.source, arrow.source)
        target = stands_for.get(arrow.target, arrow.target)
        arrows[replace(arrow, source=source, target=target)] = None
    boxes = {key: box for key, box in drawing.boxes.items() if key not in later}
    start = f"{prefix}." if prefix else ""
    title = f"{start}{run[0][0]} ... {start}{run[-1][0]}, x{len(run)}"
    kept = [arrow for arrow in arrows if arrow.source in boxes and arrow.target in boxes]
    return Drawing(boxes, kept, [*drawing.frames, Frame(title, first)])
