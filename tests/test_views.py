"""Views: a write in place to one is seen by its root and by every other view, as in PyTorch."""

import importlib.util
import random

import numpy as np
import pytest

import tinyxp as tx
from tests.helpers import leaf, normal


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
