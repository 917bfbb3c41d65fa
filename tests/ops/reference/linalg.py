"""The functions of PyTorch that tinyxp's linear algebra is compared with, by name.

Vectors get the phase that tinyxp gives them, so that PyTorch has their derivative too. A matrix
that must be Hermitian is replaced by its Hermitian part.
"""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is the reference: pip install torch")

NO_REFERENCE: dict[str, str] = {}


def phases(v):
    """The phase that makes the first element of 0.4 of the largest real, for each column."""
    size = v.detach().abs()
    large = size >= 0.4 * size.amax(-2, keepdim=True)
    first = large.to(torch.int64).argmax(-2, keepdim=True)
    return torch.sgn(torch.gather(v, -2, first)).conj()


def hermitian(x):
    return (x + x.mH) / 2


def eigh(x):
    w, v = torch.linalg.eigh(hermitian(x))
    return w, v * phases(v)


def eig(x):
    w, v = torch.linalg.eig(x)
    return w, v * phases(v)


def svd(x):
    u, s, vh = torch.linalg.svd(x, full_matrices=False)
    turn = phases(u)
    return u * turn, s, vh * turn.mH


def qr(x):
    q, r = torch.linalg.qr(x)
    d = torch.sgn(torch.diagonal(r, dim1=-2, dim2=-1))[..., None, :]
    return q * d, r * d.mH


def complement(q):
    """The unit vector orthogonal to n - 1 columns: a column of the projector on it."""
    rest = torch.eye(q.shape[-2], dtype=q.dtype) - q @ torch.linalg.pinv(q)
    column = rest[..., :1]
    y = column / torch.linalg.vector_norm(column, dim=-2, keepdim=True)
    return y * phases(y)


def cofactors(x):
    return torch.linalg.det(x)[..., None, None] * torch.linalg.inv(x).mT


def minors(x, h):
    b = torch.linalg.inv(x).mT
    along = (h * b).sum((-2, -1), keepdim=True)
    return torch.linalg.det(x)[..., None, None] * (along * b - b @ h.mT @ b)


def cross(x1, x2, axis=-1):
    return torch.linalg.cross(*torch.broadcast_tensors(x1, x2), dim=axis)


def diagonal(x, offset=0):
    return torch.diagonal(x, offset, dim1=-2, dim2=-1)


def vector_norm(x, axis=None, keepdims=False, ord=2):
    return torch.linalg.vector_norm(x, ord, dim=axis, keepdim=keepdims)


def matrix_norm(x, keepdims=False, ord="fro"):
    if ord in (2, -2):  # PyTorch's own sorts the singular values, without a second derivative
        s = torch.linalg.svdvals(x)
        y = s.amax(-1) if ord == 2 else s.amin(-1)
        return y[..., None, None] if keepdims else y
    return torch.linalg.matrix_norm(x, ord, keepdim=keepdims)


def solve(x1, x2):
    if x2.ndim == 1:
        return torch.linalg.solve(x1, x2[:, None])[..., 0]
    return torch.linalg.solve(x1, x2[(None,) * (x1.ndim - x2.ndim)])


REFERENCE = {
    "cholesky": lambda x, upper=False: torch.linalg.cholesky(hermitian(x), upper=upper),
    "cofactors": cofactors,
    "complement": complement,
    "cross": cross,
    "det": torch.linalg.det,
    "diagonal": diagonal,
    "eig": eig,
    "eigh": eigh,
    "eigvalsh": lambda x: torch.linalg.eigvalsh(hermitian(x)),
    "inv": torch.linalg.inv,
    "length": vector_norm,
    "matrix_norm": matrix_norm,
    "matrix_power": torch.linalg.matrix_power,
    "matrix_rank": lambda x, rtol=None: torch.linalg.matrix_rank(x, rtol=rtol),
    "minors": minors,
    "pinv": lambda x, rtol=None: torch.linalg.pinv(x, rtol=rtol),
    "qr": qr,
    "slogdet": torch.linalg.slogdet,
    "solve": solve,
    "svd": svd,
    "svdvals": torch.linalg.svdvals,
    "trace": lambda x, offset=0: diagonal(x, offset).sum(-1),
    "vector_norm": vector_norm,
}

ONES = np.ones((3, 4))
# inputs for the operations without a gradient, which declare no example
INPUTS = {
    "matrix_rank": [
        ((ONES,), {}),
        ((np.stack([ONES, np.eye(3, 4), 0 * ONES]),), {}),
        ((np.diag([1.0, 1e-3, 1e-9]),), {"rtol": 1e-6}),
    ],
}
