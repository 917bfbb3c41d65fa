"""Views: a write in place to one is seen by its root and by every other view, as in PyTorch."""

import copy
import gc
import importlib.util
import pickle
import random
import weakref

import numpy as np
import pytest

import tinyxp as tx
from tests.helpers import each, leaf, normal
from tinyxp.debug.observers import Observer, observing
from tinyxp.errors import ArgumentError, DTypeError, GradientError, ShapeError
from tinyxp.interop.inplace import OPERATIONS

needs_torch = pytest.mark.skipif(not importlib.util.find_spec("torch"), reason="needs PyTorch")


def counted(*shape, dtype=tx.float64):
    return tx.reshape(tx.arange(int(np.prod(shape)), dtype=dtype), shape).clone()


# -- the same programs in PyTorch ------------------------------------------------------------------

# each a view of a tensor of at least one axis, or None: (name, how it is drawn, how it is taken)
SHAPES = [(6,), (2, 3), (3, 4), (2, 3, 2), (4, 1, 3)]


def drawn_key(rng, shape):
    key = []
    for n in shape[: rng.randint(1, len(shape))]:
        a, b = sorted((rng.randrange(n), rng.randint(0, n)))
        key.append(rng.choice([rng.randrange(n), slice(a, max(b, a + 1)), slice(None, None, 2)]))
    if rng.random() < 0.3:
        key.insert(rng.randint(0, len(key)), None)
    if rng.random() < 0.2:
        key.append(...)
    return tuple(key)


def drawn_view(rng, shape):
    """A way to take a view of a tensor of this shape, the same in both libraries."""
    ndim, size = len(shape), int(np.prod(shape))
    if not shape:
        return lambda x: x.reshape((1,))
    axis, other = rng.randrange(ndim), rng.randrange(ndim)
    order = rng.sample(range(ndim), ndim)
    key = drawn_key(rng, shape)
    split = next((d for d in (2, 3) if shape[axis] % d == 0), 1)
    apart = (*shape[:axis], split, shape[axis] // split, *shape[axis + 1 :])
    i = rng.randrange(shape[axis])
    ones = [k for k, n in enumerate(shape) if n == 1]
    ways = [
        lambda x: x[key],
        lambda x: x[key],
        lambda x: x[i % shape[0]],
        lambda x: x.reshape(apart),
        lambda x: x.reshape(-1),
        lambda x: x.reshape((size,)),
        lambda x: x.flatten(),
        lambda x: x.permute(order),
        lambda x: x.transpose(axis, other),
        lambda x: x.unsqueeze(axis),
        lambda x: x.split(1, axis)[i],
        lambda x: x.chunk(2, axis)[0],
        lambda x: list(x)[i % shape[0]],
        lambda x: x.detach(),
        lambda x: x.movedim(axis, other),
        lambda x: x.contiguous(),
        lambda x: x.contiguous().clone(),  # a copy lies row by row here, in PyTorch as x does
        lambda x: x.expand(shape),
        lambda x: x.view_as(x),
    ]
    if ndim > 1:
        ways += [lambda x: x.mT]
    if ones:
        ways += [lambda x: x.squeeze(ones[0])]
    return rng.choice(ways)


def drawn_write(rng, shape):
    key = drawn_key(rng, shape) if shape else (...,)
    number = rng.choice([2.0, -1.5, 0.5])

    def added(x, w):
        x += number * w

    def scaled(x, w):
        x *= w

    def put(x, w):
        x[key] = number

    def squared(x, w):
        x[key] = x[key] * x[key] * w

    def accumulated(x, w):
        x[key] += w

    def deeper(x, w):
        x[0][...] = w

    return rng.choice([added, scaled, put, squared, accumulated, *([deeper] if shape else [])])


def program(seed):
    """A list of steps on a list of tensors, drawn without looking at numbers."""
    rng = random.Random(seed)
    shape = rng.choice(SHAPES)
    shapes, steps = [shape], []
    for _ in range(rng.randint(3, 9)):
        i = rng.randrange(len(shapes))
        if rng.random() < 0.55:
            view = drawn_view(rng, shapes[i])
            shapes.append(tuple(view(tx.zeros(shapes[i])).shape))
            steps.append(("view", i, view))
        else:
            quiet = rng.random() < 0.25
            steps.append(("quiet" if quiet else "write", i, drawn_write(rng, shapes[i])))
    return shape, steps


def run(steps, x, w, no_grad):
    tensors = [x * 1.0]
    for kind, i, act in steps:
        if kind == "view":
            tensors.append(act(tensors[i]))
        elif kind == "write":
            act(tensors[i], w)
        else:
            with no_grad():
                act(tensors[i], w)
    return tensors


@needs_torch
@pytest.mark.parametrize("part", range(8))
def test_random_programs_give_what_they_give_in_pytorch(part):
    """Values of all tensors after views and writes, and the gradients of a sum over all."""
    import torch

    agreed = graphs = 0
    for seed in range(60 * part, 60 * part + 60):
        shape, steps = program(seed)
        a = normal(*shape, seed=seed)
        x, w = torch.tensor(a, requires_grad=True), torch.tensor(1.25, dtype=torch.float64)
        w.requires_grad_()
        try:
            theirs = run(steps, x, w, torch.no_grad)
        except RuntimeError:  # it refuses writes to what split gives, and the like
            continue
        ours = run(steps, u := leaf(a), v := leaf(1.25), tx.no_grad)
        for k, (y, z) in enumerate(zip(ours, theirs, strict=True)):
            np.testing.assert_array_equal(
                y.detach().numpy(), z.detach().numpy(), err_msg=f"seed {seed}, tensor {k}"
            )
        agreed += 1
        try:
            sum((z * z).sum() for z in theirs).backward()
        except RuntimeError:  # a number that its backward pass needs was overwritten
            continue
        sum((y * y).sum() for y in ours).backward()
        for mine, its in ((u.grad, x.grad), (v.grad, w.grad)):
            g = np.zeros(1) if mine is None else mine.numpy()
            np.testing.assert_allclose(
                g, 0 if its is None else its.numpy(), rtol=1e-12, atol=1e-12, err_msg=f"seed {seed}"
            )
        graphs += 1
    assert agreed > 30 and graphs > 5


# -- every kind of view, on every backend ----------------------------------------------------------

VIEWS = {
    "row": (lambda x: x[1], lambda a: a[1]),
    "last row": (lambda x: x[-1], lambda a: a[-1]),
    "element": (lambda x: x[1, 2], lambda a: a[1:2, 2]),
    "slices": (lambda x: x[1:, ::2], lambda a: a[1:, ::2]),
    "reversed": (lambda x: x[::-1, 3:0:-2], lambda a: a[::-1, 3:0:-2]),
    "new axes": (lambda x: x[None, 1:, None, 1], lambda a: a[None, 1:, None, 1]),
    "ellipsis": (lambda x: x[..., -1], lambda a: a[..., -1]),
    "all": (lambda x: x[:], lambda a: a[:]),
    "row of a slice": (lambda x: x[1:][0][1:3], lambda a: a[1:][0][1:3]),
    "reshape": (lambda x: tx.reshape(x, (2, 6)), lambda a: a.reshape(2, 6)),
    "view": (lambda x: x.view(-1)[2:7], lambda a: a.reshape(-1)[2:7]),
    "flatten": (lambda x: x.flatten()[5:], lambda a: a.reshape(-1)[5:]),
    "permute_dims": (lambda x: tx.permute_dims(x, (1, 0))[2], lambda a: a.T[2]),
    "matrix_transpose": (lambda x: tx.matrix_transpose(x)[1:], lambda a: a.T[1:]),
    "T, split": (lambda x: tx.reshape(x.T, (2, 2, 3))[1], lambda a: a.T.reshape(2, 2, 3)[1]),
    "mT": (lambda x: x.mT[0], lambda a: a.T[0]),
    "transpose": (lambda x: x.transpose(0, 1)[-1], lambda a: a.T[-1]),
    "moveaxis": (lambda x: tx.moveaxis(x, 0, -1)[3], lambda a: a.T[3]),
    "expand_dims": (lambda x: tx.expand_dims(x, axis=1)[:, 0, 2], lambda a: a[:, 2]),
    "squeeze": (lambda x: tx.squeeze(x[1:2], axis=0), lambda a: a[1]),
    "split": (lambda x: tx.split(x, [1, 3], dim=1)[1], lambda a: a[:, 1:]),
    "chunk": (lambda x: x.chunk(3)[2], lambda a: a[2:]),
    "unstack": (lambda x: tx.unstack(x, axis=1)[3], lambda a: a[:, 3]),
    "iteration": (lambda x: next(iter(x)), lambda a: a[0]),
    "unpacked": (lambda x: [*x][2], lambda a: a[2]),
    "diagonal": (
        lambda x: tx.linalg.diagonal(x, offset=1),
        lambda a: np.lib.stride_tricks.as_strided(a.reshape(-1)[1:], (3,), (5 * a.itemsize,)),
    ),
    "diagonal of the transposed": (
        lambda x: tx.linalg.diagonal(x.mT),
        lambda a: np.lib.stride_tricks.as_strided(a, (3,), (5 * a.itemsize,)),
    ),
    "every fifth": (lambda x: tx.reshape(x, (-1,))[::5], lambda a: a.reshape(-1)[::5]),
    "broadcast to its shape": (lambda x: tx.broadcast_to(x, (3, 4))[1], lambda a: a[1]),
    "broadcast_arrays": (lambda x: tx.broadcast_arrays(x, tx.zeros(1))[0][0], lambda a: a[0]),
    "real": (lambda x: tx.real(x)[1], lambda a: a[1]),
    "detach": (lambda x: x.detach()[2], lambda a: a[2]),
    "detach of a row": (lambda x: x[2].detach()[1:], lambda a: a[2][1:]),
}


@each("name", VIEWS)
def test_a_write_reaches_the_root_and_all_that_shows_it(name, backend):
    ours, theirs = VIEWS[name]
    x, a = tx.asarray(normal(3, 4)), normal(3, 4)
    all_of_it, column = x.flatten(), x.T[1]
    y, b = ours(x), theirs(a)
    for write in ("+=", "=", "method"):
        if write == "+=":
            y += 1.0
            b += 1.0
        elif write == "=":
            y[...] = y * y
            b[...] = b * b
        else:
            assert y.mul_(0.5) is y
            b *= 0.5
        assert np.array_equal(y.numpy(), b.reshape(y.shape))
        assert np.array_equal(x.numpy(), a)
        assert np.array_equal(all_of_it.numpy(), a.reshape(-1))
        assert np.array_equal(column.numpy(), a[:, 1])
    x *= 2.0
    assert np.array_equal(y.numpy(), 2 * b.reshape(y.shape))


COPIES = {
    "advanced": lambda x: x[[0, 1]],
    "mask": lambda x: x[x > -9],
    "flip": lambda x: tx.flip(x),
    "roll": lambda x: tx.roll(x, 0),
    "clone": lambda x: x.clone(),
    "asarray": lambda x: tx.asarray(x, copy=True),
    "reshape, copied": lambda x: tx.reshape(x, (4, 3), copy=True),
    "reshape of the transposed": lambda x: tx.reshape(x.mT, (-1,)),
    "reshape of a column": lambda x: tx.reshape(x[:, 1:3], (6,)),
    "reshape of the detached": lambda x: x.mT.detach().reshape(-1),
    "reshape of the expanded": lambda x: x[:1].expand(3, 4).reshape(-1),
    "contiguous": lambda x: x.mT.contiguous(),
    "tile": lambda x: tx.tile(x, (1, 1)),
    "clip": lambda x: tx.clip(x),
    "meshgrid": lambda x: tx.meshgrid(x[0], indexing="ij")[0],
    "pixel_shuffle": lambda x: tx.nn.functional.pixel_shuffle(x[None], 1),
    "operation": lambda x: +x * 1.0,
    "deepcopy": copy.deepcopy,
    "pickle": lambda x: pickle.loads(pickle.dumps(x)),
}


@each("name", COPIES)
def test_a_copy_is_no_view(name, backend):
    x = tx.asarray(normal(3, 4))
    y = COPIES[name](x)
    before = y.numpy()
    y += 1.0
    assert np.array_equal(x.numpy(), normal(3, 4))
    x *= 3.0
    assert np.array_equal(y.numpy(), before + 1)


def test_views_without_numbers(backend):
    x = tx.zeros((0, 3))
    y = x.reshape(-1)[:0]
    y += 1.0
    x.T[1] *= 2.0
    assert x.shape == (0, 3) and y.shape == (0,)


def test_parts_of_complex_numbers(backend):
    numbers = [1 + 2j, complex(np.inf, -np.inf), complex(3, np.nan)]
    z, c = tx.asarray(numbers, dtype=tx.complex128), np.asarray(numbers)
    tx.real(z)[:2] += 1.0
    c.real[:2] += 1.0
    z.imag[::2] = 5.0
    c.imag[::2] = 5.0
    z.imag[1] *= -1.0
    c.imag[1] *= -1.0
    tx.conj(z)[0] = 7 + 8j
    c[0] = 7 - 8j
    assert np.array_equal(z.numpy(), c, equal_nan=True)
    part = z.real.reshape(3, 1)  # which PyTorch can show without a copy
    part += 1.0
    assert z[2].item() == 4 + 5j
    with pytest.raises(ArgumentError, match="no imaginary part to write to"):
        tx.imag(tx.ones(2))[0] = 1.0


# -- programs of other people ----------------------------------------------------------------------


def test_siblings_all_reach_their_root(backend):
    x = counted(4, 3)
    a, b = tx.split(x, 2)
    a += 1.0
    b *= 2.0
    for row in x:
        row -= 1.0
    first, *_, last = x
    first[...], last[...] = last * 1.0, first * 1.0
    expected = np.arange(12.0).reshape(4, 3)
    expected[:2] += 1
    expected[2:] *= 2
    expected -= 1
    assert x.tolist() == expected[[3, 1, 2, 0]].tolist()


def test_the_diagonal_by_a_step(backend):
    covariances = tx.zeros((2, 3, 3))
    for k in range(2):
        flat = tx.reshape(covariances[k, :, :], (-1,))
        flat[::4] += k + 1.0
    assert covariances.tolist() == [np.eye(3).tolist(), (2 * np.eye(3)).tolist()]


def test_scipy_integrates_to_infinity():
    integrate = pytest.importorskip("scipy.integrate")
    bounds = (tx.asarray(v, dtype=tx.float64) for v in (0.0, np.inf))
    found = integrate.tanhsinh(lambda x: tx.exp(-x) * tx.cos(x), *bounds)
    assert abs(found.integral.item() - 0.5) < 1e-12 and found.status.item() == 0


def test_initial_values_reach_through_views(backend):
    layer = tx.nn.Linear(2, 4)
    tx.nn.init.ones_(layer.bias[1:3])  # a forget gate's, say
    with tx.no_grad():
        layer.weight[0].zero_()
        layer.weight[:, 1] *= 0.0
    assert layer.bias.tolist()[1:3] == [1, 1] and layer.bias.is_leaf
    assert layer.weight[0].tolist() == [0, 0] and layer.weight[3, 1].item() == 0
    assert layer.weight[3, 0].item() != 0


def test_a_write_to_an_item_is_one_write(backend):
    class Counter(Observer):
        count = 0

        def on_call(self, op, args, static, y):
            self.count += op.name == "replace"

    x = counted(3, 4)
    with observing(Counter()) as seen:
        x[0] += 1.0
        assert seen.count == 1
        x[1:, ::2] *= 2.0
        assert seen.count == 2
        x[2][1:] -= 1.0
        assert seen.count == 4  # one for each of the two keys
    assert x.tolist() == [[1, 2, 3, 4], [8, 5, 12, 7], [16, 8, 19, 10]]


# -- gradients -------------------------------------------------------------------------------------


def test_gradients_through_views_written_to(backend):
    u, v = leaf(normal(4, 4)), leaf(normal(2, 2, seed=1))

    def f(u, v):
        x = u.clone()
        y = x[2:, 2:]
        x[2:][:, 2:].mul_(v)
        part = x[:, :2][2:]
        part *= v
        return x * y.sum()

    tx.gradcheck(f, u, v)


def test_a_view_taken_before_has_the_gradient_of_the_new_numbers(backend):
    r = leaf([1.0])
    x = tx.zeros(5, dtype=tx.float64)
    y = x[0]
    assert not y.requires_grad
    x += r * 3.0
    assert y.requires_grad and y.item() == 3
    y.backward()
    assert r.grad.tolist() == [3]


def test_what_a_graph_has_saved_stays(backend):
    u = leaf([2.0, 3.0])
    x = u * 1.0
    y = x * x
    x[0].zero_()
    x.detach()[1] = 100.0
    (y + x).sum().backward()  # where PyTorch refuses: it has overwritten what it saved
    assert u.grad.tolist() == [4, 7] and x.tolist() == [0, 100]


def test_no_grad_changes_numbers_and_not_the_graph(backend):
    u = leaf([1.0, 2.0])
    x = u * 3.0
    y = x[0]
    with tx.no_grad():
        x *= 10.0
        y += 5.0
    assert x.tolist() == [35, 60] and y.item() == 35 and y.requires_grad
    (x.sum() + y).backward()
    assert u.grad.tolist() == [6, 3]


def test_a_view_of_a_leaf_is_written_to_under_no_grad_alone(backend):
    w = leaf([[1.0, 2.0], [3.0, 4.0]])
    for write in (lambda: w[0].add_(1.0), lambda: w.mT[0].zero_(), lambda: w[0][...].fill_(1.0)):
        with pytest.raises(GradientError, match=r"add_|zero_|fill_"):
            write()
    row = w[1]
    with tx.no_grad():
        w[0].add_(1.0)
        w[:, 1][1] = 7.0
    assert w.tolist() == [[2, 3], [3, 7]] and row.tolist() == [3, 7]
    assert w.is_leaf and w.requires_grad
    row.sum().backward()
    assert w.grad.tolist() == [[0, 0], [1, 1]]
    w.detach()[0] = 0.0  # which PyTorch allows at any time
    assert w.tolist() == [[0, 0], [3, 7]] and w.is_leaf


def test_what_detach_gives_has_a_graph_of_its_own(backend):
    u, v = leaf([1.0, 2.0]), leaf([5.0])
    x = u * 1.0
    h = x.detach()
    h[0] *= v[0]
    h[1] *= v[0]
    assert x.tolist() == h.tolist() == [5, 10]
    h.sum().backward()
    x.sum().backward()
    assert v.grad.tolist() == [3] and u.grad.tolist() == [1, 1]


# -- what is refused -------------------------------------------------------------------------------


def test_one_element_in_several_places(backend):
    x = tx.zeros(3)
    for y in (
        tx.broadcast_to(x, (2, 3)),
        x.expand(2, 3),
        tx.broadcast_arrays(x, tx.ones((2, 3)))[0],
    ):
        with pytest.raises(ArgumentError, match=r"take a copy of it first: y = tx\.clone\(y\)"):
            y += 1.0
        with pytest.raises(ArgumentError, match="would give one element several values"):
            y[0] = 1.0
        y = y.clone()
        y[0] += 1.0
        assert y.tolist() == [[1, 1, 1], [0, 0, 0]]
    assert x.tolist() == [0, 0, 0]


def test_a_view_of_older_numbers(backend):
    """An optimizer's step is no write in place: a view from before keeps its numbers."""
    p = tx.nn.Parameter([1.0, 2.0])
    optimizer = tx.optim.SGD([p], lr=1.0)
    row, still = p.detach(), p.detach()[:1]
    p.sum().backward()
    optimizer.step()
    assert row.tolist() == [1, 2] and p.tolist() == [0, 1]
    for write in (lambda: row.add_(1.0), lambda: still.zero_(), lambda: row[0].fill_(3.0)):
        with pytest.raises(ArgumentError, match="take the view again"):
            write()
    with tx.no_grad():
        p += 1.0
    assert row.tolist() == [1, 2] and still.tolist() == [1] and p.tolist() == [1, 2]
    row += 1.0  # of the same numbers as p has by now
    assert p.tolist() == [2, 3]


def test_dtypes_and_shapes_stay(backend):
    x = tx.zeros((2, 3))
    row = x[0]
    row += tx.ones(3, dtype=tx.float64)
    assert row.dtype is x.dtype is tx.float32 and x.tolist() == [[1, 1, 1], [0, 0, 0]]
    n = tx.zeros(3, dtype=tx.int32)
    n[1:] += tx.ones(2, dtype=tx.int64)
    assert n.dtype is tx.int32 and n.tolist() == [0, 1, 1]
    for write in (lambda: n[:2].add_(0.5), lambda: row.mul_(1j), lambda: n[:2].div_(2)):
        with pytest.raises(DTypeError, match="must keep shape and dtype"):
            write()
    with pytest.raises(ShapeError, match="must keep shape and dtype"):
        row.add_(tx.ones((2, 3)))
    assert n.tolist() == [0, 1, 1]


# -- life and death --------------------------------------------------------------------------------


def test_views_outlive_their_root(backend):
    def pair():
        x = tx.zeros(4)
        y = x.reshape(2, 2)
        return y, y[0]

    y, row = pair()
    row += 1.0
    assert y.tolist() == [[1, 1], [0, 0]]


def test_detached_numbers_keep_no_graph_alive(backend):
    u = leaf([1.0, 2.0])
    x = u * 2.0
    kept, gone = x.detach(), weakref.ref(x)
    row, root = x[0], weakref.ref(x)
    del x
    assert gone() is not None  # the row keeps it
    del row
    assert gone() is None and root() is None
    kept += 1.0
    assert kept.tolist() == [3, 5]


def test_no_cycles():
    gc.collect()
    gc.disable()
    try:
        x = tx.zeros((3, 4))
        ends = weakref.ref(x)
        for row in x:
            row += 1.0
        y = x.mT
        y[0].detach().mul_(2.0)
        del x, y, row
        assert ends() is None
    finally:
        gc.enable()


def test_a_deep_copy_has_a_gradient_of_its_own():
    p = tx.asarray([1.0, 2.0], requires_grad=True)
    p.grad = tx.ones(2)
    q = copy.deepcopy(p)
    p.grad *= 2.0
    assert q.grad.tolist() == [1, 1] and p.grad.tolist() == [2, 2]


# -- methods in place ------------------------------------------------------------------------------

ARGUMENTS = {
    **dict.fromkeys(("add", "div", "floor_divide", "mul", "pow", "remainder", "sub"), (0.25,)),
    **dict.fromkeys(("clamp", "clip"), (0.25, 0.5)),
    **{name: ([[0.5], [0.25], [0.75]],) for name in ("atan2", "copy", "hypot")},
    **{name: ([0.5, 1.0], [[2.0], [4.0], [8.0]]) for name in ("addcdiv", "addcmul")},
    **{name: ([[True], [False], [True]],) for name in ("logical_and", "logical_or", "logical_xor")},
    **{name: ([3, 5],) for name in ("bitwise_and", "bitwise_or", "bitwise_xor")},
    **dict.fromkeys(("cumprod", "cumsum"), (1,)),
    "fill": (2.0,),
    "lerp": ([0.5, 1.0], 0.25),
    "masked_fill": ([True, False], 9.0),
}


@needs_torch
@each("name", sorted(OPERATIONS.keys() - {"normal", "uniform"}))
def test_methods_in_place(name):
    import torch

    a = np.abs(normal(3, 3)) % 1 + (name == "acosh")
    a = a > 0.5 if "logical" in name else np.arange(9).reshape(3, 3) if "bitwise" in name else a
    x, t = tx.asarray(a), torch.tensor(a)

    def given(make):
        return [make(v) if isinstance(v, list) else v for v in ARGUMENTS.get(name, ())]

    part, its = x[:, 1:], t[:, 1:]
    as_float = {"dtype": "float64"} if a.dtype == float and name != "masked_fill" else {}
    assert (
        getattr(part, f"{name}_")(*given(lambda v: tx.asarray(np.asarray(v, **as_float)))) is part
    )
    getattr(its, f"{name}_")(*given(lambda v: torch.tensor(np.asarray(v, **as_float))))
    np.testing.assert_allclose(x.numpy(), t.numpy(), rtol=1e-14, err_msg=name)


@needs_torch
def test_options_of_methods_in_place():
    import torch

    x, t = tx.ones(3, dtype=tx.float64), torch.ones(3, dtype=torch.float64)
    for y, ones in ((x, tx.ones(3, dtype=tx.float64)), (t, torch.ones(3, dtype=torch.float64))):
        y.mul_(0.9).add_(ones, alpha=0.1).sub_(ones, alpha=3).addcmul_(y, y, value=-2)
        y.div_(0.3, rounding_mode="floor").addcdiv_(y, ones * 7, value=0.5)
        y[1:].div_(0.7, rounding_mode="trunc")
        y[0].copy_((ones * 5)[0])
    np.testing.assert_allclose(x.numpy(), t.numpy(), rtol=1e-15)
    n = tx.zeros(2, dtype=tx.int64)
    assert n.copy_(tx.asarray([1.9, -1.9])).tolist() == [1, -1]  # it casts as PyTorch does


def test_random_methods_in_place(backend):
    x = tx.zeros((2, 500))
    x[0].normal_(3.0, 0.1, generator=tx.random.Generator(0))
    x[1].uniform_(-2.0, -1.0, generator=tx.random.Generator(0))
    low, high = x.numpy()
    assert abs(low.mean() - 3) < 0.02 and abs(low.std() - 0.1) < 0.02
    assert -2 <= high.min() < -1.9 and -1.1 < high.max() <= -1


@pytest.mark.parametrize("shape", [(-2, 2), (-5,), (4, -3), (np.int64(-2), 4), (-(2**70),)])
def test_only_minus_one_stands_for_a_length(shape, backend):
    x = tx.ones((2, 2))
    for f in (x.reshape, x.view, lambda shape: tx.reshape(x, shape)):
        with pytest.raises(ShapeError, match="from 0 up, or one of -1"):
            f(shape)
