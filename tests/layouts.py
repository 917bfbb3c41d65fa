"""Arrays of the same numbers, laid out in memory in every way that a library allows."""

import math

import numpy as np

CANARY = 0x5A  # what fills the memory around the numbers


def _within(shape, dtype, begin=64):
    """An array in the middle of canaries: (the array, all of its memory)."""
    n = math.prod(shape) * dtype.itemsize
    memory = np.full(begin + n + 64, CANARY, np.uint8)
    return memory[begin : begin + n].view(dtype).reshape(shape), memory


def _placed(x, shape, view, begin=64):
    """The numbers of x in ``view`` of an array of that shape."""
    array, memory = _within(shape, x.dtype, begin)
    array = view(array)
    array[...] = x
    return array, memory


def in_order(x):
    return _placed(x, x.shape, lambda a: a)


def fortran(x):
    return _placed(x, x.shape[::-1], lambda a: a.T) if x.ndim > 1 else None


def last_first(x):
    """As a transpose of the last axis leaves it, and a pooling over channels."""
    if x.ndim < 3:
        return None
    return _placed(x, (x.shape[-1], *x.shape[:-1]), lambda a: np.moveaxis(a, 0, -1))


def batch_last(x):
    """As the kernels of convolutions leave images."""
    if x.ndim != 4:
        return None
    n, c, h, w = x.shape
    return _placed(x, (h, c, w, n), lambda a: a.transpose(3, 1, 0, 2))


def stepped(x):
    """Every second place of each axis."""
    if not x.ndim:
        return None
    step = (slice(None, None, 2),) * x.ndim
    return _placed(x, tuple([2 * n for n in x.shape]), lambda a: a[step])


def inner(x):
    """Rows in one piece, with gaps between them."""
    if not x.ndim:
        return None
    return _placed(x, (*x.shape[:-1], x.shape[-1] + 3), lambda a: a[..., 1 : x.shape[-1] + 1])


def backwards(x):
    """Every axis from its end."""
    return _placed(x, x.shape, lambda a: a[(slice(None, None, -1),) * x.ndim]) if x.ndim else None


def backwards_rows(x):
    """The first axis alone from its end."""
    return _placed(x, x.shape, lambda a: a[::-1]) if x.ndim > 1 else None


def unaligned(x):
    return _placed(x, x.shape, lambda a: a, begin=61) if x.dtype.itemsize > 1 else None


def read_only(x):
    array, memory = in_order(x)
    array.flags.writeable = False
    return array, memory


def one_row(x):
    """The first row in the place of all: stride 0. Other numbers than those of x."""
    if not x.ndim or x.size == 0:
        return None
    row, memory = in_order(x[:1])
    return np.broadcast_to(row, x.shape), memory


def one_column(x):
    """The first column in the place of all."""
    if x.ndim < 2 or x.size == 0:
        return None
    column, memory = in_order(x[..., :1])
    return np.broadcast_to(column, x.shape), memory


LAYOUTS = {
    f.__name__: f
    for f in (
        *(in_order, fortran, last_first, batch_last, stepped, inner, backwards, backwards_rows),
        *(unaligned, read_only, one_row, one_column),
    )
}


class Given:
    """An array that was handed out in a layout, and what its memory held."""

    def __init__(self, x, layout, bring=lambda array: array):
        self.found = None
        made = LAYOUTS[layout](x)
        if made is not None:
            self.numbers, self.memory = made
            self.found = bring(self.numbers)
            self.bits = self.memory.tobytes()

    def changed(self):
        return self.memory.tobytes() != self.bits
