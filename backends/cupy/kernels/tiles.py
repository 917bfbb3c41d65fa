"""The sizes of attention's tiles, which the shared memory and registers of a GPU limit."""

from typing import NamedTuple

WIDTHS = 16, 32, 64, 96, 128  # of tiles
SHAPES = (64, 32), (32, 32), (32, 16)  # of tiles on ordinary cores: queries, keys
COLUMNS = 64, 32, 16  # of tiles on tensor cores, whose rows are 64
# bytes of shared memory that a block may use on every GPU since 2018, and since 2020
LIMIT, TENSOR_LIMIT = 64 << 10, 96 << 10
SUMS = 160  # sums of a thread: for more, its 255 registers would not suffice


class Tiles(NamedTuple):
    """How the kernels of attention are compiled and launched."""

    family: str  # what their names begin with
    queries: int  # of a block
    keys: int
    threads: int
    bytes: int  # that a block shares
    defines: tuple[tuple[str, int], ...]


def padded(width: int) -> int:
    """The width of a tile that holds heads of ``width``; 0 if there is none."""
    return next((w for w in WIDTHS if w >= width), 0)


def tiles(width: int, itemsize: int, backward: bool, extras: bool) -> Tiles | None:
    """The largest tiles that fit for heads of ``width`` and numbers of ``itemsize`` bytes, forward
    or ``backward``; None if none fit. ``extras``: with a mask or dropout.

    >>> tiles(64, 4, False, False)[:5]
    ('attention', 64, 32, 128, 41728)
    >>> tiles(64, 4, True, False)[:5]
    ('attention', 32, 32, 64, 41728)
    >>> tiles(256, 4, False, False)
    """
    head, count = padded(width), 1 + backward  # tiles of queries, and of pairs
    for queries, keys in SHAPES if head else ():
        numbers = (count * queries + 2 * keys) * (head + 1) + count * queries * (keys + 1)
        if numbers * itemsize <= LIMIT and head % (keys // 4) == head % (queries // 4) == 0:
            sizes = ("QUERIES", queries), ("KEYS", keys), ("HEAD", head), ("EXTRAS", int(extras))
            size, threads = numbers * itemsize, queries * keys // 16
            return Tiles("attention", queries, keys, threads, size, sizes)
    return None


def tensor_tiles(width: int, itemsize: int, backward: bool, extras: bool) -> Tiles | None:
    """The same on tensor cores.

    >>> tensor_tiles(64, 2, False, False)[:5]
    ('tensor_attention', 64, 64, 128, 27648)
    >>> tensor_tiles(128, 4, True, False)[-1]
    (('COLUMNS', 16), ('HEAD', 128), ('EXTRAS', 0))
    """
    head = padded(width)
    for columns in COLUMNS if head else ():
        size = (64 * (1 + backward) + 2 * columns) * (head * itemsize + 16)
        size += backward * 64 * 3 * 4  # three numbers for each query
        size += extras * 64 * (columns + 1) * 4  # a random word for each pair
        sums = head + columns if backward else (head + columns) // 2
        if size <= TENSOR_LIMIT and sums <= SUMS:
            sizes = ("COLUMNS", columns), ("HEAD", head), ("EXTRAS", int(extras))
            return Tiles("tensor_attention", 64, 64, 128, size, sizes)
    return None
