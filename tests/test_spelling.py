"""PyTorch's spellings: the same values as PyTorch, and its keywords for axes."""

import numpy as np
import pytest

import tinyxp as tx
from tinyxp.backends.errors import ArgumentError, DTypeError, ShapeError, TinyError

torch = pytest.importorskip("torch", reason="PyTorch is the reference: pip install 'tinyxp[torch]'")
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


@pytest.mark.parametrize("name", CALLS)
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


@pytest.mark.parametrize("name", ["max", "min", "std", "var"])
def test_what_pytorch_means_otherwise_is_refused(name):
    with pytest.raises(ArgumentError, match=f"call tx.{name}"):
        getattr(tx, name)(tx.asarray(X), dim=1)


@pytest.mark.parametrize(
    ("kind", "call"),
    [
        (DTypeError, lambda x: tx.sum(x, 1, 2)),
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
    """An argument too many was dropped once: ``tx.sum(x, 1)`` summed over everything."""
    for x in (tx.asarray(X), tx.asarray(X, requires_grad=True)):
        with pytest.raises(kind):
            call(x)
