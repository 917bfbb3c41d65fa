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
    """The first row in the place of all: stride 0, and other numbers than those of x."""
    if not x.ndim or x.size == 0:
        return None
    row, memory = in_order(x[:1])
    # writeable, which NumPy's own are not, so that nothing but our look sees a write
    strides = (0, *row.strides[1:])
    return np.lib.stride_tricks.as_strided(row, x.shape, strides), memory


def one_column(x):
    """The first column, rounded, in the place of all, as the gradient of a sum: NumPy lets nobody
    write. Rounded, as else the variance of equal numbers would be nothing but rounding."""
    if x.ndim < 2 or x.size == 0:
        return None
    column, memory = in_order(np.round(8 * x[..., :1]) / 8 if x.dtype.kind in "fc" else x[..., :1])
    return np.broadcast_to(column, x.shape), memory


LAYOUTS = {
    f.__name__: f
    for f in (
        *(in_order, fortran, last_first, batch_last, stepped, inner, backwards, backwards_rows),
        *(unaligned, read_only, one_row, one_column),
    )
}


class Given:
    """An array handed out in a layout, None if it has none such, and what its memory held."""

    def __init__(self, x, layout):
        self.array, self.memory = LAYOUTS[layout](x) or (None, np.empty(0))
        self.bits = self.memory.tobytes()

    def changed(self):
        return self.memory.tobytes() != self.bits


def arrays_in(x, path=()):
    """The arrays in nested tuples and lists, each with the way to it."""
    if isinstance(x, np.ndarray):
        yield path, x
    elif isinstance(x, (tuple, list)):
        for i, part in enumerate(x):
            yield from arrays_in(part, (*path, i))


def replaced(x, path, array):
    """Nested tuples with another array at the end of that way."""
    if not path:
        return array
    parts = [*x]
    parts[path[0]] = replaced(parts[path[0]], path[1:], array)
    return type(x)(*parts) if hasattr(x, "_fields") else type(x)(parts)
