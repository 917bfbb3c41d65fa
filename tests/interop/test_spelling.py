"""PyTorch's spellings: the same values as PyTorch, and its keywords for axes."""

import numpy as np
import pytest

import tinyxp as tx
from tests.helpers import each
from tinyxp.errors import ArgumentError, DTypeError, ShapeError, TinyError

torch = pytest.importorskip("torch", reason="PyTorch is the reference: pip install torch")
X = np.arange(24.0).reshape(2, 3, 4) - 7.5

CALLS = {
    "view": lambda x, m: x.view(-1, 4),
    "view of a tuple": lambda x, m: x.view((3, 8)),
    "view_as": lambda x, m: x.view_as(x.view(24)),
    "permute": lambda x, m: x.permute(2, 0, 1),
    "permute by a tuple": lambda x, m: x.permute((2, 0, 1)),
    "movedim": lambda x, m: x.movedim(0, -1),
    "t": lambda x, m: x[0].t(),
    "t of a vector": lambda x, m: x[0, 0].t(),
    "expand": lambda x, m: x[:, :1].expand(5, -1, 3, -1),
    "contiguous": lambda x, m: x.transpose(0, 1).contiguous().view(3, 8),
    "transpose": lambda x, m: m.transpose(x, 0, -1),
    "unsqueeze": lambda x, m: m.unsqueeze(x, 1) * x.unsqueeze(-1).squeeze(-1).unsqueeze(0),
    "flatten": lambda x, m: m.flatten(x, 1),
    "flatten all": lambda x, m: x.flatten(),
    "flatten a number": lambda x, m: x.sum().flatten(),
    "cat": lambda x, m: m.cat([x, 2 * x], dim=-1),
    "stack": lambda x, m: m.stack([x, 2 * x], dim=1),
    "split": lambda x, m: m.split(x, 2, dim=1)[1],
    "split by lengths": lambda x, m: x.split([1, 3], dim=-1)[1],
    "chunk": lambda x, m: m.chunk(x, 3, dim=2)[1],
    "masked_fill": lambda x, m: x.masked_fill(x > 1, 0.5),
    "mm": lambda x, m: m.mm(x[0], x[1].t()),
    "bmm": lambda x, m: x.bmm(x.transpose(1, 2)),
    "matmul": lambda x, m: x.matmul(x[0].t()),
    "pow": lambda x, m: x.pow(2),
    "relu": lambda x, m: m.relu(x) + x.relu(),
    "sigmoid": lambda x, m: m.sigmoid(x) + x.sigmoid(),
    "softmax": lambda x, m: m.softmax(x, dim=1) + x.softmax(-1),
    "sum": lambda x, m: m.sum(x, 1) + m.sum(x, dim=1) + x.sum(1),
    "mean": lambda x, m: x.mean(dim=(0, 2), keepdim=True) + x.mean(1, keepdim=True),
    "logsumexp": lambda x, m: m.logsumexp(x, dim=1),
    "argmax": lambda x, m: x.argmax(dim=1) + m.argmax(x, 1),
    "all": lambda x, m: (x > 0).all(dim=0),
    "long": lambda x, m: x.long(),
    "float": lambda x, m: x.float(),
    "bool": lambda x, m: x.bool(),
    "int": lambda x, m: x.int().double(),
}


@each("name", CALLS)
def test_values_and_gradients(name, backend):
    x, t = tx.asarray(X, requires_grad=True), torch.tensor(X, requires_grad=True)
    y, z = CALLS[name](x, tx), CALLS[name](t, torch)
    assert y.dtype.name == str(z.dtype).removeprefix("torch.")
    np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), rtol=1e-12)
    if z.requires_grad:
        (y**2).sum().backward()
        (z**2).sum().backward()
        np.testing.assert_allclose(x.grad.numpy(), t.grad.numpy(), rtol=1e-6)


def test_sizes():
    x = tx.asarray(X)
    assert (x.dim(), x.numel()) == (3, 24)
    assert (tx.float, tx.double, tx.int, tx.long) == (tx.float32, tx.float64, tx.int32, tx.int64)


SAME = {  # m: the library, x: (2, 3, 4), v: (4,); what PyTorch's users write, with its numbers
    "x.max(1)": lambda m, x, v: x.max(1),
    "x.min(-1)": lambda m, x, v: x.min(-1),
    "x.max(dim=0)": lambda m, x, v: x.max(dim=0),
    "x.max(1, True)": lambda m, x, v: x.max(1, True),
    "x.min(1, keepdim=True)": lambda m, x, v: x.min(1, keepdim=True),
    "x.max(1)[1]": lambda m, x, v: x.max(1)[1],
    "x.max(1).indices": lambda m, x, v: x.max(1).indices,
    "_, i = x.max(1)": lambda m, x, v: [i for _, i in [x.max(1)]],
    "max(x, 1)": lambda m, x, v: m.max(x, 1),
    "min(x, dim=2)": lambda m, x, v: m.min(x, dim=2),
    "max(x, y)": lambda m, x, v: m.max(x, v),
    "x.min(y)": lambda m, x, v: x.min(v),
    "max(x, other=y)": lambda m, x, v: m.max(x, other=v),
    "x.max()": lambda m, x, v: x.max(),
    "max of equals": lambda m, x, v: m.max(x * 0, 1)[0],
    "max of NaN": lambda m, x, v: m.max(m.where(x > 0, np.nan, x), 1),
    "amax": lambda m, x, v: m.amax(x, 1) + x.amax((1,)) + x.amin(dim=1, keepdim=True),
    "x.argmax(1)": lambda m, x, v: x.argmax(1),
    "x.argmin(1, True)": lambda m, x, v: x.argmin(1, True),
    "x.argsort(1)": lambda m, x, v: x.argsort(1),
    "argsort(x, 1, True)": lambda m, x, v: m.argsort(x, 1, True),
    "x.sort()": lambda m, x, v: x.sort(),
    "sort(x, 1)": lambda m, x, v: m.sort(x, 1),
    "sort(x, dim=0, descending=True)": lambda m, x, v: m.sort(x, dim=0, descending=True),
    "x.sort(1, True)[0]": lambda m, x, v: x.sort(1, True)[0],
    "x.topk(2)": lambda m, x, v: x.topk(2),
    "topk(x, 2, 1, False)": lambda m, x, v: m.topk(x, 2, 1, False),
    "topk(x, k=1, dim=0).values": lambda m, x, v: m.topk(x, k=1, dim=0).values,
    "x.std()": lambda m, x, v: x.std(),
    "x.var()": lambda m, x, v: x.var(),
    "x.std(1)": lambda m, x, v: x.std(1),
    "x.var(dim=(0, 2))": lambda m, x, v: x.var(dim=(0, 2)),
    "x.var(1, keepdim=True)": lambda m, x, v: x.var(1, keepdim=True),
    "x.std(False)": lambda m, x, v: x.std(False),
    "x.std(1, False)": lambda m, x, v: x.std(1, False),
    "x.std(1, True, True)": lambda m, x, v: x.std(1, True, True),
    "x.std(unbiased=False)": lambda m, x, v: x.std(unbiased=False),
    "x.std(1, unbiased=True)": lambda m, x, v: x.std(1, unbiased=True),
    "x.var(dim=1, correction=0)": lambda m, x, v: x.var(dim=1, correction=0),
    "var(x, 1)": lambda m, x, v: m.var(x, 1),
    "std(x, dim=0)": lambda m, x, v: m.std(x, dim=0),
    "std(x, correction=2)": lambda m, x, v: m.std(x, correction=2),
    "x.sum(0, True)": lambda m, x, v: x.sum(0, True),
    "sum(x, (0, 1))": lambda m, x, v: m.sum(x, (0, 1)),
    "x.mean(0, True)": lambda m, x, v: x.mean(0, True),
    "x.prod(1, keepdim=True)": lambda m, x, v: x.prod(1, keepdim=True),
    "x.logsumexp(1)": lambda m, x, v: m.logsumexp(x, 1, True),
    "(x > 0).any(1, True)": lambda m, x, v: (x > 0).any(1, True),
    "(x > 0).long().sum(1)": lambda m, x, v: (x > 0).long().sum(1),
    "count_nonzero(x, 1)": lambda m, x, v: m.count_nonzero(x, 1),
    "cumsum": lambda m, x, v: m.cumsum(x, 0) + x.cumsum(dim=-1) + m.cumprod(x, 1),
    "clamp": lambda m, x, v: m.clamp(x, -1, 1) + x.clamp(min=0) + x.clip(-2, 3) + x.clamp(max=v),
    "flip": lambda m, x, v: x.flip(0) + x.flip(1, 2) + m.flip(x, [0]) + m.flip(x, dims=(1,)),
    "roll": lambda m, x, v: m.roll(x, 1, 0) + m.roll(x, shifts=1, dims=1) + m.roll(x, 2),
    "diff": lambda m, x, v: m.diff(x, 1, 1),
    "diff, dim": lambda m, x, v: m.diff(x, dim=0),
    "tril": lambda m, x, v: m.tril(x, 1) + m.triu(x, diagonal=-1),
    "squeeze": lambda m, x, v: x[:1, :, :1].squeeze(),
    "squeeze(0)": lambda m, x, v: x[:1].squeeze(0).squeeze(),
    "cat": lambda m, x, v: m.cat([x, x], 1) + m.concat([x, x], dim=1) + m.cat((x, x), axis=1),
    "stack": lambda m, x, v: m.stack([x, x], 1) + m.stack([x, x], dim=1),
    "split": lambda m, x, v: m.split(x, 2, 1)[1],
    "tile": lambda m, x, v: m.tile(x, (2, 1, 1)),
    "where": lambda m, x, v: m.where(x > 0, x, 0.0),
    "matmul of vectors": lambda m, x, v: m.matmul(v, v) + m.matmul(x, v) + x @ v,
    "//": lambda m, x, v: x.detach() // 2 + x.detach() // -2,
    "%": lambda m, x, v: x % 2 + x % -2 + m.remainder(x, -3.5),
    "round": lambda m, x, v: x.round() + m.round(x),
    "nonzero": lambda m, x, v: (x > 2).nonzero(),
    "nonzero(as_tuple=True)": lambda m, x, v: m.nonzero(x > 2, as_tuple=True),
    "x.nonzero(as_tuple=True)[1]": lambda m, x, v: (x > 2).nonzero(as_tuple=True)[1],
    "nonzero(as_tuple=False)": lambda m, x, v: m.nonzero(x > 2, as_tuple=False),
    "meshgrid": lambda m, x, v: m.meshgrid(v, 2 * v, indexing="ij"),
    "x[0, :, i]": lambda m, x, v: x[0, :, m.tensor([0, 1])],
    "x[:, 0, i]": lambda m, x, v: x[:, 0, m.tensor([0, 1, 1])],
    "x[i, :, 1]": lambda m, x, v: x[m.tensor([1, 0, 1]), :, 1],
    "x[i, 1]": lambda m, x, v: x[m.tensor([1, 0]), 1],
    "linspace": lambda m, x, v: m.linspace(3, 10, 5),
    "arange": lambda m, x, v: [m.arange(3), m.arange(1.0, 2, 0.25), m.arange(2, 8, 3)],
    "full": lambda m, x, v: [m.full((2,), 1), m.full((2,), 1.5), m.full((2,), True)],
    "tensor": lambda m, x, v: [m.tensor([1, 2]), m.tensor(1.5), m.tensor([True]), m.tensor(X)],
    "int / int": lambda m, x, v: m.tensor([1, 2]) / m.tensor([2, 2]),
    "int // int": lambda m, x, v: m.tensor([7, -7]) // m.tensor([2, 2]) + m.tensor([7, -7]) % -2,
}


def flat(y):
    return [part for z in y for part in flat(z)] if isinstance(y, (tuple, list)) else [y]


@each("name", SAME)
def test_pytorchs_numbers_or_a_refusal(name, backend):
    """Every spelling of PyTorch's here gives its values, shapes, dtypes and gradients."""
    x, t = tx.asarray(X, requires_grad=True), torch.tensor(X, requires_grad=True)
    v, w = tx.asarray(X[1, 1]), torch.tensor(X[1, 1])
    ours, theirs = flat(SAME[name](tx, x, v)), flat(SAME[name](torch, t, w))
    assert len(ours) == len(theirs)
    for y, z in zip(ours, theirs, strict=True):
        assert (y.shape, y.dtype.name) == (tuple(z.shape), str(z.dtype).removeprefix("torch."))
        np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), rtol=1e-6)
        assert y.requires_grad == z.requires_grad
        if z.requires_grad:
            x.grad, t.grad = None, None
            weights = np.linspace(1, 2, z.numel()).reshape(z.shape)
            y.backward(tx.asarray(weights), retain_graph=True)
            z.backward(torch.tensor(weights), retain_graph=True)
            np.testing.assert_allclose(x.grad.numpy(), t.grad.numpy(), rtol=1e-6, atol=1e-12)


def test_the_standards_spelling_keeps_its_meaning(backend):
    x = tx.asarray(X)
    for ours, theirs in ((tx.max, np.max), (tx.min, np.min), (tx.std, np.std), (tx.var, np.var)):
        for axis in (None, 1, (0, 2)):
            y = ours(x, axis=axis, keepdims=True).numpy()
            np.testing.assert_allclose(y, theirs(X, axis=axis, keepdims=True))
        np.testing.assert_allclose(ours(x).numpy(), theirs(X))
    np.testing.assert_array_equal(tx.sort(x, axis=1).numpy(), np.sort(X, axis=1))
    np.testing.assert_array_equal(x.max(axis=1).numpy(), X.max(axis=1))
    np.testing.assert_allclose(x.std(axis=1, correction=0).numpy(), X.std(axis=1))
    assert [i.tolist() for i in tx.nonzero(x > 15)] == [[1], [2], [3]]
    assert tx.max(tx.asarray([1.0, 3.0])).item() == 3.0


REFUSED = {  # ambiguous, contradictory or unknown
    "x.std(axis=0)": lambda x: x.std(axis=0),
    "x.var(keepdims=True)": lambda x: x.var(keepdims=True),
    "x.std(unbiased=False, correction=1)": lambda x: x.std(unbiased=False, correction=1),
    "x.std(1, dim=1)": lambda x: x.std(1, dim=1),
    "std(x, axis=1, dim=1)": lambda x: tx.std(x, axis=1, dim=1),
    "x.std(axis=1, keepdim=True)": lambda x: x.std(axis=1, keepdim=True),
    "x.std(ddof=1)": lambda x: x.std(ddof=1),
    "x.max(1, axis=1)": lambda x: x.max(1, axis=1),
    "x.max(1, keepdims=True)": lambda x: x.max(1, keepdims=True),
    "max(x, axis=1, keepdim=True)": lambda x: tx.max(x, axis=1, keepdim=True),
    "x.max((0, 1))": lambda x: x.max((0, 1)),
    "x.max(True)": lambda x: x.max(True),
    "x.max(1.0)": lambda x: x.max(1.0),
    "x.max(1, 2)": lambda x: x.max(1, 2),
    "x.max(keepdim=True)": lambda x: x.max(keepdim=True),
    "x.max(7)": lambda x: x.max(7),
    "x.max(1, True, 3)": lambda x: x.max(1, True, 3),
    "x.sort(axis=1)": lambda x: x.sort(axis=1),
    "sort(x, 1, axis=1)": lambda x: tx.sort(x, 1, axis=1),
    "x.sum(0, 1)": lambda x: x.sum(0, 1),
    "x.mean(0, 1)": lambda x: x.mean(0, 1),
    "x.any(0, 2)": lambda x: (x > 0).any(0, 2),
    "sum(x, 0, axis=1)": lambda x: tx.sum(x, 0, axis=1),
    "sum(x, 0, dim=1)": lambda x: tx.sum(x, 0, dim=1),
    "sum(x, axis=0, dim=1)": lambda x: tx.sum(x, axis=0, dim=1),
    "mean(x, 0, axis=1)": lambda x: tx.mean(x, 0, axis=1),
    "mean(x, axis=0, dim=1)": lambda x: tx.mean(x, axis=0, dim=1),
    "sum(x, foo=1)": lambda x: tx.sum(x, foo=1),
    "mean(x, foo=1)": lambda x: tx.mean(x, foo=1),
    "flip(x, dims=0, axis=0)": lambda x: tx.flip(x, dims=0, axis=0),
    "reshape(x, (24,), shape=(24,))": lambda x: tx.reshape(x, (24,), shape=(24,)),
    "stack([x], 0, dim=1)": lambda x: tx.stack([x], 0, dim=1),
    "cat([x], 0, axis=0)": lambda x: tx.cat([x], 0, axis=0),
    "cat([x], dim=0, axis=0)": lambda x: tx.cat([x], dim=0, axis=0),
    "topk(x, 1, 0, dim=1)": lambda x: tx.topk(x, 1, 0, dim=1),
    "softmax(x, 1, dim=1)": lambda x: tx.softmax(x, 1, dim=1),
    "exp(x, foo=1)": lambda x: tx.exp(x, foo=1),
    "add(x, x, alpha=2)": lambda x: tx.add(x, x, alpha=2),
    "nonzero(as_tuple=1)": lambda x: tx.nonzero(x, as_tuple=1),
}


@each("name", REFUSED)
def test_what_could_be_either_is_refused(name, backend):
    for x in (tx.asarray(X), tx.asarray(X, requires_grad=True)):
        with pytest.raises((TinyError, TypeError)):
            REFUSED[name](x)


def test_meshgrid_asks_for_its_indexing():
    x, y = tx.arange(3), tx.arange(2)
    with pytest.warns(UserWarning, match="'xy'.*'ij'"):
        assert tx.meshgrid(x, y)[0].shape == (2, 3)
    for indexing in ("xy", "ij"):
        tx.meshgrid(x, y, indexing=indexing)
    tx.meshgrid(x)


@each(
    ("kind", "call"),
    [
        (DTypeError, lambda x: tx.sum(x, 1, 2)),
        (DTypeError, lambda x: tx.sum(x, 1, False, 2)),
        (DTypeError, lambda x: tx.reshape(x, (24,), True)),
        (ShapeError, lambda x: tx.mm(x, x)),
        (ShapeError, lambda x: tx.bmm(x, x[:1])),
        (ShapeError, lambda x: tx.split(x, [1, 1], dim=1)),
        (ArgumentError, lambda x: tx.split(x, 0)),
        (DTypeError, lambda x: tx.split(x, 1, dim=None)),
        (DTypeError, lambda x: x.transpose(0, None)),
        (ArgumentError, lambda x: tx.flatten(x, 2, 1)),
        (TinyError, lambda x: x.view(5, -1)),
        (TinyError, lambda x: x.expand(2, 5, 4)),
        (TinyError, lambda x: x.transpose(0, 3)),
    ],
)
def test_errors(kind, call, backend):
    """A surplus argument must not be dropped: ``tx.sum(x, 1)`` once summed over everything."""
    for x in (tx.asarray(X), tx.asarray(X, requires_grad=True)):
        with pytest.raises(kind):
            call(x)
