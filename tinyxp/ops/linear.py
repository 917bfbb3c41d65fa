"""Products of matrices and vectors: matmul, vecdot, outer, tensordot, einsum."""

import math

from tinyxp.core import hints as advice
from tinyxp.core.composite import composite
from tinyxp.core.operation import expect_tensors
from tinyxp.core.primitive import primitive
from tinyxp.errors import ArgumentError, AxisError, DTypeError, ShapeError
from tinyxp.ops.complexes import conj
from tinyxp.ops.examples import normal
from tinyxp.ops.reductions import sum
from tinyxp.ops.shaping import broadcast_shapes, broadcast_to, normalize_axes, permute_dims, reshape

__all__ = ["einsum", "matmul", "outer", "tensordot", "vecdot"]


@primitive(autocast="lower")
def matmul(xp, x1, x2, /):
    """y[..., i, j] = Σₖ x₁[..., i, k] · x₂[..., k, j]; leading axes are broadcast together.

    Shapes: (..., m, k), (..., k, n) -> (..., m, n). An operand with one axis is a row on the left
    and a column on the right, and the result lacks that axis. Raises ShapeError.

    >>> tx.matmul(tx.asarray([[1.0, 2.0], [3.0, 4.0]]), tx.asarray([1.0, 1.0]))
    tensor([3., 7.])
    """
    a, b = tuple(x1.shape), tuple(x2.shape)
    if not a or not b:
        raise ShapeError(f"matmul expects operands with axes, got {a} and {b}; use * for numbers")
    if a[-1] != b[-2 if len(b) > 1 else 0]:
        raise ShapeError(
            f"matmul of {a} and {b}: the last axis of the first must be as long as the "
            f"second-to-last of the second{advice.for_matmul(a, b)}"
        )
    return xp.matmul(x1, x2)


matmul.op.broadcasts = False  # the broadcasting hint would be wrong for its last two axes


@matmul.vjp(0)
def _(xp, g, x1_shape, x2):
    row, column = len(x1_shape) == 1, len(x2.shape) == 1
    b = xp.expand_dims(x2, axis=-1) if column else x2
    g = xp.expand_dims(g, axis=-1) if column else g
    g = xp.expand_dims(g, axis=-2) if row else g
    a = xp.matmul(g, xp.matrix_transpose(b))
    return a[..., 0, :] if row else a


@matmul.vjp(1)
def _(xp, g, x1, x2_shape):
    row, column = len(x1.shape) == 1, len(x2_shape) == 1
    a = xp.expand_dims(x1, axis=0) if row else x1
    g = xp.expand_dims(g, axis=-1) if column else g
    g = xp.expand_dims(g, axis=-2) if row else g
    if len(x2_shape) <= 2:  # one matrix for the whole batch: one product instead of many
        rows = math.prod(g.shape[:-1])
        a = xp.reshape(xp.broadcast_to(a, (*g.shape[:-1], a.shape[-1])), (rows, a.shape[-1]))
        g = xp.reshape(g, (rows, g.shape[-1]))
    b = xp.matmul(xp.matrix_transpose(a), g)
    return b[..., 0] if column else b


matmul.example(normal((3, 4), (4, 2)))
matmul.example(normal((4,), (4,)))
matmul.example(normal((2, 3, 4), (4,)))
matmul.example(normal((3,), (2, 3, 2)))
matmul.example(normal((2, 3, 4), (4, 2)))
matmul.example(normal((2, 1, 2, 3), (3, 3, 2)))


def expect_common_axis(name, x1, x2, axis):
    """Raise AxisError unless ``axis``, a negative integer, exists in both."""
    n = min(len(x1.shape), len(x2.shape))
    if not hasattr(axis, "__index__") or not -n <= axis <= -1:
        raise AxisError(
            f"{name} counts its axis from the end, -{n} to -1 for the shapes {tuple(x1.shape)} and "
            f"{tuple(x2.shape)}, got {axis!r}"
        )


@primitive
def vecdot(xp, x1, x2, /, *, axis=-1):
    """y = Σ conj(x₁) · x₂ along ``axis``, a negative integer; the other axes are broadcast.

    Raises AxisError, and ShapeError if the axis has different lengths.

    >>> tx.vecdot(tx.asarray([1.0, 2.0]), tx.asarray([3.0, 4.0]))
    tensor(11.)
    """
    expect_common_axis("vecdot", x1, x2, axis)
    if x1.shape[axis] != x2.shape[axis]:
        raise ShapeError(
            f"vecdot of {tuple(x1.shape)} and {tuple(x2.shape)}: axis {axis} must have the same "
            "length in both"
        )
    return xp.vecdot(x1, x2, axis=axis)


# dy = Σ conj(dx₁) x₂
vecdot.vjp(0)(lambda xp, g, x2, axis: conj.on(xp, xp.expand_dims(g, axis=axis) * x2))
vecdot.vjp(1)(lambda xp, g, x1, axis: xp.expand_dims(g, axis=axis) * conj.on(xp, x1))
vecdot.example(normal((3, 4), (4,)))
vecdot.example(normal((3, 4), (2, 3, 1), axis=-2))


@primitive
def outer(xp, x1, x2, /):
    """y[i, j] = x₁[i] · x₂[j]: (m,), (n,) -> (m, n). Raises ShapeError for other ranks.

    >>> tx.outer(tx.asarray([1, 2]), tx.asarray([3, 4]))
    tensor([[3, 4],
            [6, 8]])
    """
    if len(x1.shape) != 1 or len(x2.shape) != 1:
        raise ShapeError(
            f"outer expects two vectors, got shapes {tuple(x1.shape)} and {tuple(x2.shape)}"
        )
    return xp.reshape(x1, (-1, 1)) * x2


outer.op.broadcasts = False
outer.vjp(0)(lambda xp, g, x2: xp.matmul(g, x2))
outer.vjp(1)(lambda xp, g, x1: xp.matmul(x1, g))
outer.example(normal((3,), (4,)))


@composite(narrow=True, autocast="lower")
def tensordot(x1, x2, /, *, axes=2):
    """Σ over ``axes`` of x₁ · x₂: n for the last n of x₁ and the first n of x₂, or two lists.

    Raises AxisError, and ShapeError if the axes differ in length.

    >>> tx.tensordot(tx.ones((2, 3)), tx.ones((3, 4)), axes=1).shape
    (2, 4)
    """
    if isinstance(axes, int):
        if not 0 <= axes <= min(x1.ndim, x2.ndim):
            raise AxisError(f"tensordot of {x1.shape} and {x2.shape} cannot sum over {axes} axes")
        axes = (tuple(range(x1.ndim - axes, x1.ndim)), tuple(range(axes)))
    left, right = normalize_axes(axes[0], x1.ndim), normalize_axes(axes[1], x2.ndim)
    if [x1.shape[i] for i in left] != [x2.shape[i] for i in right]:
        raise ShapeError(f"tensordot of {x1.shape} over {left} and {x2.shape} over {right}")
    rest1 = tuple(i for i in range(x1.ndim) if i not in left)
    rest2 = tuple(i for i in range(x2.ndim) if i not in right)
    inner = math.prod(x1.shape[i] for i in left)
    a = reshape(permute_dims(x1, rest1 + left), (math.prod(x1.shape[i] for i in rest1), inner))
    b = reshape(permute_dims(x2, right + rest2), (inner, math.prod(x2.shape[i] for i in rest2)))
    return reshape(matmul(a, b), (*(x1.shape[i] for i in rest1), *(x2.shape[i] for i in rest2)))


tensordot.example(normal((2, 3, 4), (4, 5, 3), axes=((2, 1), (0, 2))))


def einsum(subscripts, /, *operands):
    """Sums of products in Einstein's notation: 'ij,jk->ik' is the product of two matrices.

    Letters that the result lacks are summed over; a letter that occurs twice in an operand takes
    its diagonal; '...' stands for any leading axes. Without '->' the result has the letters that
    occur once, in alphabetical order. Raises ArgumentError, ShapeError.

    >>> tx.einsum("bij,bjk->bik", tx.ones((5, 2, 3)), tx.ones((5, 3, 4))).shape
    (5, 2, 4)
    """
    if not isinstance(subscripts, str):
        raise DTypeError(f"einsum expects a string first, got {type(subscripts).__name__}")
    expect_tensors("einsum", *operands)
    terms, result = _parse(subscripts, operands)
    lengths = {}
    for term, x in zip(terms, operands, strict=True):
        for letter, n in zip(term, x.shape, strict=True):
            if lengths.setdefault(letter, n) != n:
                if 1 not in (n, lengths[letter]) or not letter.isdigit():
                    raise ShapeError(
                        f"einsum {subscripts!r}: {letter!r} is {lengths[letter]} and {n}"
                    )
                lengths[letter] = max(n, lengths[letter])
    todo = [_diagonal(term, x) for term, x in zip(terms, operands, strict=True)]
    term, x = todo.pop(0)
    while todo:
        other, y = todo.pop(0)
        later = {*result}.union(*(t for t, _ in todo))
        term, x = _contract(term, x, other, y, later)
    term, x = _keep(term, x, result)
    return permute_dims(x, tuple(term.index(letter) for letter in result)) if term else x


def _parse(subscripts, operands):
    """The letters of each operand and of the result; '...' becomes digits, from the right."""
    left, arrow, right = subscripts.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(operands):
        raise ArgumentError(
            f"einsum {subscripts!r} names {len(terms)} operands, got {len(operands)}"
        )
    spread, widest = [], 0
    for term, x in zip(terms, operands, strict=True):
        hidden = x.ndim - len(term.replace("...", ""))
        letters = term.replace("...", "").replace(".", "!")
        if hidden < 0 or (hidden and "..." not in term) or not (letters.isalpha() or not letters):
            raise ShapeError(f"einsum {subscripts!r}: {term!r} does not fit the shape {x.shape}")
        dots = [str(i) for i in range(hidden, 0, -1)]
        before, _, after = term.partition("...")
        spread.append([*before, *(dots if "..." in term else []), *after])
        widest = max(widest, hidden)
    dots = [str(i) for i in range(widest, 0, -1)]
    if arrow:
        before, has_dots, after = right.partition("...")
        result = [*before, *(dots if has_dots else []), *after]
    else:
        every = [letter for term in spread for letter in term if not letter.isdigit()]
        result = dots + sorted(letter for letter in set(every) if every.count(letter) == 1)
    known = {letter for term in spread for letter in term}
    if len(set(result)) != len(result) or not known.issuperset(result):
        raise ArgumentError(
            f"einsum {subscripts!r}: the result repeats a letter or has an unknown one"
        )
    return spread, result


def _diagonal(term, x):
    """An operand without repeated letters: a diagonal replaces each pair of axes."""
    while len(set(term)) < len(term):
        i = next(i for i, letter in enumerate(term) if letter in term[i + 1 :])
        j = term.index(term[i], i + 1)
        n = x.shape[i]
        order = (*(k for k in range(x.ndim) if k not in (i, j)), i, j)
        flat = reshape(permute_dims(x, order), (*(x.shape[k] for k in order[:-2]), n * n))
        x = flat[..., :: n + 1] if n else flat
        term = [*(term[k] for k in order[:-2]), term[i]]
    return term, x


def _keep(term, x, letters):
    """An operand summed over the axes whose letters are not in ``letters``."""
    gone = tuple(i for i, letter in enumerate(term) if letter not in letters)
    return [letter for letter in term if letter in letters], sum(x, axis=gone) if gone else x


def _contract(a, x, b, y, later):
    """Two operands contracted by one matrix product, summed over letters not needed later."""
    a, x = _keep(a, x, later.union(b))
    b, y = _keep(b, y, later.union(a))
    batch = [letter for letter in a if letter in b and letter in later]
    inner = [letter for letter in a if letter in b and letter not in later]
    left = [letter for letter in a if letter not in b]
    right = [letter for letter in b if letter not in a]
    x = permute_dims(x, tuple(a.index(letter) for letter in batch + left + inner))
    y = permute_dims(y, tuple(b.index(letter) for letter in batch + inner + right))
    k, m, n = len(batch), len(left), len(inner)
    leading = broadcast_shapes(x.shape[:k], y.shape[:k])
    summed = broadcast_shapes(x.shape[k + m :], y.shape[k : k + n])
    x = broadcast_to(x, (*x.shape[: k + m], *summed))
    y = broadcast_to(y, (*y.shape[:k], *summed, *y.shape[k + n :]))
    size = math.prod(summed)
    x3 = reshape(x, (*x.shape[:k], math.prod(x.shape[k : k + m]), size))
    y3 = reshape(y, (*y.shape[:k], size, math.prod(y.shape[k + n :])))
    z = reshape(matmul(x3, y3), (*leading, *x.shape[k : k + m], *y.shape[k + n :]))
    return batch + left + right, z
