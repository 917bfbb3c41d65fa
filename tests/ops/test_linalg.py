"""Linear algebra against its definitions: values, shapes, dtypes, singular cases, gradients."""

import itertools
import math

import numpy as np
import pytest

import tinyxp as tx
from tests.compare import close
from tests.helpers import each
from tinyxp.errors import ArgumentError, AxisError, DTypeError, GradientError, ShapeError

DTYPES = ("float32", "float64", "complex64", "complex128")
STACKS = ((), (2,), (2, 1, 3), (0,))
TALL, WIDE, SQUARE = (4, 3), (2, 4), (3, 3)
la = tx.linalg


def numbers(shape, dtype="float64", seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape)
    if np.dtype(dtype).kind == "c":
        x = x + 1j * rng.normal(size=shape)
    return np.asarray(x, dtype=dtype)


def positive(shape, dtype="float64", seed=0):
    x = numbers(shape, dtype, seed)
    return x @ x.conj().swapaxes(-1, -2) + 2 * np.eye(shape[-1], dtype=dtype)


def symmetric(shape, dtype="float64", seed=0):
    x = numbers(shape, dtype, seed)
    return x + x.conj().swapaxes(-1, -2)


def t(x, **options):
    return tx.asarray(x, **options)


def real_dtype(dtype):
    return {"complex64": "float32", "complex128": "float64"}.get(dtype, dtype)


def adjoint(x):
    return tx.conj(x.mT)


def over_cases(*shapes):
    return each(
        ("shape", "dtype"),
        [
            ((*stack, *shape), dtype)
            for stack, shape, dtype in itertools.product(STACKS, shapes, DTYPES)
        ],
    )


# -- values -------------------------------------------------------------------------------------


@over_cases(SQUARE, (1, 1), (0, 0))
def test_square_matrices(shape, dtype, backend):
    x = numbers(shape, dtype)
    y = x + 4 * np.eye(shape[-1], dtype=dtype)
    close(la.det(t(x)), np.linalg.det(x))
    close(la.inv(t(y)), np.linalg.inv(y))
    for name, part in zip(("sign", "logabsdet"), np.linalg.slogdet(x), strict=True):
        close(getattr(la.slogdet(t(x)), name), part)
    for n in (-2, -1, 0, 1, 2, 3, 6):
        close(la.matrix_power(t(y / 4), n), np.linalg.matrix_power(y / 4, n))
    close(la.trace(t(x)), np.trace(x, axis1=-2, axis2=-1))


@over_cases(SQUARE, (1, 1), (0, 0))
def test_cholesky(shape, dtype, backend):
    x = positive(shape, dtype)
    lower, upper = la.cholesky(t(x)), la.cholesky(t(x), upper=True)
    close(lower, np.linalg.cholesky(x))
    close(upper, np.linalg.cholesky(x).conj().swapaxes(-1, -2))
    close(adjoint(upper) @ upper, x)


@over_cases(SQUARE, TALL, WIDE, (0, 0), (0, 3), (3, 0))
def test_qr(shape, dtype, backend):
    x = numbers(shape, dtype)
    for mode, k in (("reduced", min(shape[-2:])), ("complete", shape[-2])):
        result = la.qr(t(x), mode=mode)
        q, r = result
        assert result._fields == ("Q", "R")
        assert q.shape == (*shape[:-1], k) and r.shape == (*shape[:-2], k, shape[-1])
        close(q @ r, x)
        close(adjoint(q) @ q, np.broadcast_to(np.eye(k, dtype=dtype), (*shape[:-2], k, k)))
        assert np.array_equal(r.numpy(), np.triu(r.numpy()))
        diagonal = la.diagonal(r).numpy()
        assert (diagonal.real >= 0).all() and np.allclose(diagonal.imag, 0, atol=1e-5)


@over_cases(SQUARE, (1, 1), (0, 0))
def test_eigh(shape, dtype, backend):
    x = symmetric(shape, dtype)
    result = la.eigh(t(x))
    w, v = result
    assert result._fields == ("eigenvalues", "eigenvectors")
    close(w, np.linalg.eigvalsh(x))
    close(la.eigvalsh(t(x)), np.linalg.eigvalsh(x))
    assert v.numpy().dtype == dtype
    close(t(x) @ v, (v * w[..., None, :]).numpy())
    close(adjoint(v) @ v, np.broadcast_to(np.eye(shape[-1], dtype=dtype), shape))


@over_cases(SQUARE, (1, 1), (0, 0))
def test_eig(shape, dtype, backend):
    x = numbers(shape, dtype)
    result = la.eig(t(x))
    w, v = result
    assert result._fields == ("eigenvalues", "eigenvectors")
    wide = np.result_type(dtype, "complex64").name
    assert w.dtype.name == v.dtype.name == wide
    assert w.shape == shape[:-1] and v.shape == shape
    close(tx.astype(t(x), w.dtype) @ v, (v * w[..., None, :]).numpy())
    close(la.vector_norm(v, axis=-2), np.ones(shape[:-1], real_dtype(wide)))
    assert np.array_equal(la.eigvals(t(x)).numpy(), w.numpy())
    close(tx.prod(w, axis=-1), np.linalg.det(x).astype(wide))


@over_cases(SQUARE, TALL, WIDE, (0, 0), (0, 3), (3, 0))
def test_svd(shape, dtype, backend):
    x = numbers(shape, dtype)
    *stack, m, n = shape
    k = min(m, n)
    close(la.svdvals(t(x)), np.linalg.svd(x, compute_uv=False))
    for full in (False, True):
        result = la.svd(t(x), full_matrices=full)
        u, s, vh = result
        assert result._fields == ("U", "S", "Vh")
        close(s, np.linalg.svd(x, compute_uv=False))
        a, b = (m, n) if full else (k, k)
        assert u.shape == (*stack, m, a) and vh.shape == (*stack, b, n)
        close((u[..., :k] * s[..., None, :]) @ vh[..., :k, :], x)
        close(adjoint(u) @ u, np.broadcast_to(np.eye(a, dtype=dtype), (*stack, a, a)))
        close(vh @ adjoint(vh), np.broadcast_to(np.eye(b, dtype=dtype), (*stack, b, b)))
    assert la.svd(t(x)).U.shape == (*stack, m, m)  # the standard's default


@over_cases(SQUARE, TALL, WIDE, (0, 3), (3, 0))
def test_pinv_and_rank(shape, dtype, backend):
    x = numbers(shape, dtype)
    close(la.pinv(t(x)), np.linalg.pinv(x))
    rank = la.matrix_rank(t(x))
    assert rank.dtype is tx.int64
    assert np.array_equal(
        rank.numpy(), np.linalg.matrix_rank(x) if x.size else np.zeros(shape[:-2])
    )


@pytest.mark.parametrize(
    ("rtol", "ranks"),
    [
        (1e-4, [3, 3]),
        (0.01, [2, 2]),
        ([0.5, 1e-4], [1, 3]),
        ([0.99, 0.0], [1, 3]),
        ([0.02], [2, 2]),
    ],
)
def test_tolerances(rtol, ranks, backend):
    x = np.zeros((2, 3, 3))
    x[:] = np.diag([10.0, 1.0, 0.01])
    given = rtol if isinstance(rtol, float) else t(rtol, dtype=tx.float64)
    assert list(la.matrix_rank(t(x), rtol=given).numpy()) == ranks
    close(la.trace(la.pinv(t(x), rtol=given) @ t(x)), np.asarray(ranks, dtype="float64"))


def test_rank_of_dependent_columns(backend):
    assert la.matrix_rank(t(np.ones((3, 4)))).item() == 1
    assert la.matrix_rank(t(np.zeros((3, 4)))).item() == 0
    close(la.pinv(t(np.zeros((3, 4)))), np.zeros((4, 3)))


@each("dtype", DTYPES)
@each(
    ("a", "b"),
    [
        ((3, 3), (3,)),
        ((3, 3), (3, 2)),
        ((2, 3, 3), (3,)),
        ((3, 3, 3), (3, 3)),
        ((2, 3, 3), (3, 2)),
        ((2, 1, 3, 3), (4, 3, 1)),
        ((3, 3), (2, 3, 3)),
        ((0, 0), (0,)),
        ((2, 0, 0), (0, 4)),
        ((3, 3), (3, 0)),
    ],
)
def test_solve(a, b, dtype, backend):
    x1, x2 = numbers(a, dtype) + 4 * np.eye(a[-1], dtype=dtype), numbers(b, dtype, 1)
    y = la.solve(t(x1), t(x2))
    close(y, np.linalg.solve(x1, x2))
    if len(b) == 1:
        assert y.shape == (*a[:-2], *b)


@pytest.mark.parametrize("dtype", ["float64", "complex128", "int8", "uint8", "int64"])
def test_products(dtype, backend):
    kind = np.dtype(dtype).kind
    a, b = (
        numbers((2, 4, 3), dtype, i)
        if kind in "fc"
        else numbers((2, 4, 3), "float64", i).astype(dtype)
        for i in (0, 1)
    )
    if kind in "fc":
        close(la.cross(t(a), t(b)), np.cross(a, b))
    else:
        assert np.array_equal(la.cross(t(a), t(b)).numpy(), np.cross(a, b))
    c = a.swapaxes(-1, -2)
    close(la.cross(t(c), t(b[0].T), axis=-2), np.cross(c, b[0].T, axis=-2).astype(dtype))
    close(la.vecdot(t(a), t(b)), np.sum(a.conj() * b, axis=-1, dtype=dtype))
    close(
        la.vecdot(t(a), t(b[:, :, :1]), axis=-2),
        np.sum(a.conj() * b[:, :, :1], axis=-2, dtype=dtype),
    )
    close(la.outer(t(a[0, 0]), t(b[0, :, 0])), np.outer(a[0, 0], b[0, :, 0]))
    close(la.tensordot(t(a), t(b), axes=3), np.tensordot(a, b, axes=3))
    close(la.tensordot(t(a), t(b), axes=0), np.tensordot(a, b, axes=0))
    axes = ((-1, 0), (2, -3))
    close(la.tensordot(t(a), t(b), axes=axes), np.tensordot(a, b, axes=axes))
    close(la.matmul(t(a), la.matrix_transpose(t(b))), a @ b.swapaxes(-1, -2))


def test_vecdot_conjugates_its_first_argument():
    x, y = t(np.asarray([1j, 2j, 3j])), t(np.asarray([1, 2j, 3]))
    assert complex(la.vecdot(x, y)) == 4 - 10j
    assert complex(la.matmul(x, y)) == -4 + 10j


@each("shape", [(3, 4), (4, 3), (2, 3, 3), (0, 3), (3, 0), (2, 0, 0)])
@each("offset", [0, 1, -1, 3, -3, 9, -9])
def test_diagonals(shape, offset, backend):
    for dtype in ("float64", "int16", "bool"):
        x = numbers(shape).astype(dtype)
        y = np.diagonal(x, offset, axis1=-2, axis2=-1)
        assert np.array_equal(la.diagonal(t(x), offset=offset).numpy(), y)
    x = numbers(shape)
    close(la.trace(t(x), offset=offset), np.trace(x, offset, axis1=-2, axis2=-1))


def test_trace_sums_as_sum_does(backend):
    x = np.full((3, 3), 100, dtype="int8")
    y = la.trace(t(x))
    assert y.dtype is tx.int64 and y.item() == 300
    assert la.trace(t(x), dtype=tx.float64).dtype is tx.float64
    assert la.trace(t(numbers((3, 3), "float32"))).dtype is tx.float32


@each("dtype", DTYPES)
@each("ord", [0, 1, 2, 3, 0.5, -1, -2, -0.5, 2.5, math.inf, -math.inf])
@each("axis", [None, 0, -1, (0, 2)])
def test_vector_norm(axis, ord, dtype, backend):
    x = numbers((2, 3, 4), dtype)
    x[0, 0, 0] = 0 if ord >= 0 else 1
    size = np.abs(x)
    limits = {
        0: np.sum(size != 0, axis=axis),
        math.inf: np.max(size, axis=axis),
        -math.inf: np.min(size, axis=axis),
    }
    y = limits[ord] if ord in limits else np.sum(size**ord, axis=axis) ** (1 / ord)
    y = np.asarray(y, dtype=real_dtype(dtype))
    close(la.vector_norm(t(x), ord=ord, axis=axis), y)
    kept = la.vector_norm(t(x), ord=ord, axis=axis, keepdims=True)
    assert kept.shape == np.sum(size, axis=axis, keepdims=True).shape


@each("dtype", DTYPES)
@each("ord", ["fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf])
def test_matrix_norm(ord, dtype, backend):
    for shape in ((3, 4), (4, 3), (2, 3, 3), (2, 1, 2, 4), (0, 2, 3)):
        x = numbers(shape, dtype)
        y = np.linalg.norm(x, ord=ord, axis=(-2, -1))
        close(la.matrix_norm(t(x), ord=ord), np.asarray(y, dtype=real_dtype(dtype)))
        assert la.matrix_norm(t(x), ord=ord, keepdims=True).shape == (*shape[:-2], 1, 1)


def test_norms_at_zeros(backend):
    zeros = t(np.zeros((2, 3)))
    for ord in (2, 1, 0, 0.5, 3, -1, -2, math.inf, -math.inf):
        assert la.vector_norm(zeros, ord=ord).item() == 0
    assert la.vector_norm(t([]), ord=2).item() == 0
    assert la.vector_norm(t([3, 4])).item() == 5  # integers
    assert la.vector_norm(t([3, 4])).dtype is tx.float32


def test_integers_become_float32(backend):
    x = t([[4, 2], [2, 5]])
    for f in (la.det, la.inv, la.cholesky, la.svdvals, la.eigvalsh, la.pinv):
        assert f(x).dtype is tx.float32
    assert la.qr(t([[1, 2, 3], [3, 4, 5]])).R.dtype is tx.float32
    assert la.solve(x, t([1, 2])).dtype is tx.float32
    assert la.eig(x).eigenvectors.dtype is tx.complex64


# -- the same vectors everywhere ----------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_vectors_are_the_same_on_every_backend(dtype, backend):
    def all_of(x, h):
        return *la.eigh(h), *la.svd(x, full_matrices=False), *la.qr(x)

    x, h = numbers((5, 4), dtype), symmetric((4, 4), dtype)
    here = [y.numpy() for y in all_of(t(x), t(h))]
    with tx.backend("numpy"):
        for y, expected in zip(here, all_of(t(x), t(h)), strict=True):
            np.testing.assert_allclose(y, expected.numpy(), atol=1e-12)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_pivots_are_positive(dtype, backend):
    h = symmetric((4, 4), dtype)
    for v in (la.eigh(t(h)).eigenvectors, la.svd(t(h)).U, la.eig(t(h)).eigenvectors):
        v = v.numpy()
        size = np.abs(v)
        for j in range(4):
            pivot = v[np.argmax(size[:, j] >= 0.4 * size[:, j].max()), j]
            assert pivot.real > 0 and abs(pivot.imag) < 1e-12


def test_vectors_do_not_jump_between_elements_of_equal_size(backend):
    """(1, 1) and (1, -1): rounding must not choose the pivot."""
    for noise in (0, 1e-12, -1e-12):
        v = la.eigh(t(np.asarray([[2.0 + noise, 1.0], [1.0, 2.0]]))).eigenvectors.numpy()
        np.testing.assert_allclose(v * 2**0.5, [[1, 1], [-1, 1]], atol=1e-10)


def test_the_hermitian_part_counts(backend):
    x = positive((3, 3), "complex128") + 0.1 * numbers((3, 3), "complex128")
    h = (x + x.conj().T) / 2
    for f in (la.cholesky, la.eigvalsh, lambda x: la.eigh(x).eigenvectors):
        close(f(t(x)), f(t(h)).numpy())


# -- gradients ----------------------------------------------------------------------------------


@each("dtype", ["float64", "complex128"])
@each("name", ["inv", "solve", "eigvalsh", "det", "slogdet", "pinv", "cholesky"])
def test_third_derivatives(name, dtype):
    """On NumPy: the rules are one for all backends, and test_parity.py compares their numbers."""
    x = positive((2, 2), dtype) / 2
    others = [numbers((2,), dtype, 3)] if name == "solve" else []
    tx.gradcheck(getattr(la, name), t(x), *map(t, others), order=3, rtol=1e-4, name=name)


OF_SQUARES = ["cholesky", "det", "eig", "eigh", "eigvals", "eigvalsh", "inv", "slogdet"]
FUNCTIONS = [*OF_SQUARES, "matrix_norm", "pinv", "qr", "svd", "svdvals", "trace", "vector_norm"]


def several(y):
    return list(y) if isinstance(y, tuple) else [y]


@each("name", FUNCTIONS)
def test_gradients_in_single_precision(name, backend):
    for narrow, wide in (("float32", "float64"), ("complex64", "complex128")):
        x, found = positive((2, 3, 3), wide), {}
        for dtype in (narrow, wide):
            leaf = t(x.astype(dtype), requires_grad=True)
            loss = sum(tx.real(y * y).sum() for y in several(getattr(la, name)(leaf)))
            (first,) = tx.autograd.grad(loss, leaf, create_graph=True)
            (second,) = tx.autograd.grad(tx.real(first * first).sum(), leaf, allow_unused=True)
            found[dtype] = [first.detach(), second if name != "trace" else first.detach()]
        for y, expected in zip(found[narrow], found[wide], strict=True):
            close(y, expected.numpy().astype(narrow), tolerance=1e-3)


@each("shape", [(0, 0), (0, 3, 3), (2, 0, 0), (3, 0), (0, 3), (0, 4, 2)])
@each("name", FUNCTIONS)
def test_gradients_of_empty_matrices(name, shape, backend):
    if shape[-1] != shape[-2] and name in OF_SQUARES:
        pytest.skip(f"{name} is for square matrices")
    for dtype in ("float64", "complex128"):
        leaf = t(np.zeros(shape, dtype), requires_grad=True)
        loss = sum(tx.real(y).sum() for y in several(getattr(la, name)(leaf)))
        loss.backward()
        assert leaf.grad.shape == shape and leaf.grad.numpy().dtype == dtype


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_third_derivatives_of_vectors(dtype):
    tx.gradcheck(la.eigh, t(symmetric((2, 2), dtype)), order=3, rtol=1e-4)
    tx.gradcheck(la.svd, t(numbers((2, 2), dtype)), order=3, rtol=1e-4)
    tx.gradcheck(la.qr, t(numbers((2, 2), dtype)), order=3, rtol=1e-4)


@each("dtype", ["float64", "complex128"])
@each("shape", [(4, 2), (2, 4), (3, 3), (2, 3, 1)])
def test_projectors_on_completed_columns(shape, dtype):
    """What all bases of the last columns share has a derivative, also of the second order. On
    NumPy, as the third derivatives."""
    x = t(numbers(shape, dtype))
    k = min(shape[-2:])

    def of_u(x):
        u = la.svd(x).U[..., :, k:]
        return u @ adjoint(u)

    def of_v(x):
        v = la.svd(x).Vh[..., k:, :]
        return adjoint(v) @ v

    def of_q(x):
        q = la.qr(x, mode="complete").Q[..., :, k:]
        return q @ adjoint(q)

    for f in (of_u, of_v, of_q):
        tx.gradcheck(f, x, order=2)
    tx.gradcheck(lambda x: la.qr(x, mode="complete").R, x, order=2)


def test_a_choice_of_basis_has_no_derivative(backend):
    x = t(numbers((4, 2)), requires_grad=True)
    w = t(numbers((4, 4), seed=5))
    for y in (la.svd(x).U, la.qr(x, mode="complete").Q):
        with pytest.raises(GradientError, match="are an arbitrary basis"):
            (y * w).sum().backward()
    # but the first columns have one, and so has a single last column
    (la.svd(x).U[:, :2] * w[:, :2]).sum().backward()
    tx.gradcheck(lambda x: la.qr(x, mode="complete").Q, t(numbers((3, 2))), order=2)
    tx.gradcheck(lambda x: la.svd(x), t(numbers((3, 2), "complex128")), order=2)


def test_orthonormality_has_gradient_zero(backend):
    """A gradient that is only rounding error raises no error."""
    x = t(numbers((4, 2)), requires_grad=True)
    q = la.qr(x, mode="complete").Q
    ((q.mT @ q - t(np.eye(4))) ** 2).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 0, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_what_does_not_depend_on_the_gauge(dtype, backend):
    def projector(v):
        return v[..., :, :1] @ adjoint(v[..., :, :1])

    tx.gradcheck(lambda x: projector(la.eigh(x).eigenvectors), t(symmetric((3, 3), dtype)), order=2)
    tx.gradcheck(lambda x: projector(la.svd(x).U), t(numbers((3, 3), dtype)), order=2)
    tx.gradcheck(lambda x: projector(la.qr(x).Q), t(numbers((3, 2), dtype)), order=2)

    def spectral(x):  # v w² v⁻¹ = x² for vectors of any length
        w, v = la.eig(x)
        return (v * w[..., None, :] ** 2) @ la.inv(v)

    x = t(numbers((3, 3), dtype))
    close(spectral(x), (x @ x).numpy().astype("complex128"))
    tx.gradcheck(spectral, x, order=2)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_wide_qr(dtype, backend):
    tx.gradcheck(la.qr, t(numbers((2, 3), dtype)), order=2)
    tx.gradcheck(la.qr, t(numbers((2, 2, 4), dtype)), order=2)


def gradient(f, x):
    leaf = t(x, requires_grad=True)
    f(leaf).backward()
    return leaf.grad.numpy()


@each("dtype", ["float64", "complex128"])
@each("kind", ["equal", "zero", "both", "tall", "wide", "nothing"])
def test_equal_and_zero_singular_values(kind, dtype, backend):
    """Σ s² = Σ |x|², and its gradient is 2x for all singular values."""
    u, _ = np.linalg.qr(numbers((3, 3), dtype, 1))
    v, _ = np.linalg.qr(numbers((3, 3), dtype, 2))
    values = {"equal": [2, 2, 1], "zero": [2, 1, 0], "both": [1, 0, 0], "nothing": [0, 0, 0]}
    x = u * np.asarray(values.get(kind, [2, 2, 0])) @ v.conj().T
    x = {"tall": x[:, :2], "wide": x[:2]}.get(kind, x)
    found = gradient(lambda x: (la.svdvals(x) ** 2).sum(), x)
    np.testing.assert_allclose(found, 2 * x, atol=1e-12)
    found = gradient(lambda x: (la.svd(x, full_matrices=False).S ** 2).sum(), x)
    np.testing.assert_allclose(found, 2 * x, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_vectors_of_equal_values_have_no_derivative(dtype, backend):
    """The projector on all of them and v f(w) vᴴ have different derivatives from the same g."""
    equal = np.eye(3, dtype=dtype) * 2
    for f in (
        lambda x: la.eigh(x).eigenvectors,
        lambda x: la.eig(x).eigenvectors,
        lambda x: la.svd(x).U,
        lambda x: la.svd(x).Vh,
    ):
        with pytest.raises(GradientError, match="two eigenvalues or singular values are equal"):
            gradient(lambda x, f=f: tx.real(f(x)).sum(), equal)
    lost = np.zeros((3, 2), dtype=dtype)
    lost[0, 0] = 1
    for x in (lost, lost.T):
        with pytest.raises(GradientError, match="or a singular value is 0"):
            gradient(lambda x: tx.real(sum(y.sum() for y in la.svd(x, full_matrices=False))), x)
    for f in (la.eigvalsh, la.svdvals):  # their second derivatives need the vectors
        leaf = t(equal, requires_grad=True)
        (first,) = tx.autograd.grad((f(leaf) ** 2).sum(), leaf, create_graph=True)
        with pytest.raises(GradientError, match="write it without vectors"):
            tx.real((first * t(numbers((3, 3), dtype))).sum()).backward()


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_vectors_beside_equal_values(dtype, backend):
    """The vectors of a simple value have a derivative, also if other values are equal."""
    q, _ = np.linalg.qr(numbers((4, 4), dtype, 1))
    x = q * np.asarray([1.0, 1.0, 0.0, 3.0]) @ q.conj().T
    step, weights = symmetric((4, 4), dtype, 2), numbers((4, 4), dtype, 3)

    def along(e, vector):  # one number from the projector on the vector
        v = vector(t(x) + e * t(step))
        return tx.real((t(weights) * (v @ adjoint(v))).sum())

    for vector in (
        lambda x: la.eigh(x).eigenvectors[:, 3:],
        lambda x: la.svd(x).U[:, :1],
        lambda x: adjoint(la.svd(x, full_matrices=False).Vh[:1]),
    ):
        tx.gradcheck(lambda e, vector=vector: along(e, vector), t(np.asarray(0.0)))


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_equal_eigenvalues(dtype, backend):
    q, _ = np.linalg.qr(numbers((4, 4), dtype, 1))
    x = q * np.asarray([1.0, 1.0, 1.0, 3.0]) @ q.conj().T
    for f in (la.eigvalsh, lambda x: la.eigh(x).eigenvalues):
        found = gradient(lambda x, f=f: (f(x) ** 3).sum(), x)
        np.testing.assert_allclose(found, 3 * x @ x, atol=1e-11)


def cofactors(x):
    n = len(x)
    rest = [[np.delete(np.delete(x, i, 0), j, 1) for j in range(n)] for i in range(n)]
    return np.asarray(
        [[(-1) ** (i + j) * np.linalg.det(rest[i][j]) for j in range(n)] for i in range(n)]
    )


@each("dtype", ["float64", "complex128"])
@each("rank", [0, 1, 2, 3, 4])
def test_det_of_singular_matrices(rank, dtype, backend):
    x = numbers((4, rank), dtype) @ numbers((rank, 4), dtype, 1)
    found = gradient(lambda x: tx.real(la.det(x)), x)
    np.testing.assert_allclose(found, cofactors(x).conj(), atol=1e-12)
    tx.gradcheck(la.det, t(x), order=2)


def test_det_of_equal_singular_values_to_the_third_order(backend):
    tx.gradcheck(la.det, t(np.eye(3)), order=3)
    leaf = t(np.zeros((3, 3)), requires_grad=True)
    (first,) = tx.autograd.grad(la.det(leaf), leaf, create_graph=True)
    (second,) = tx.autograd.grad((first * t(np.eye(3))).sum(), leaf, create_graph=True)
    with pytest.raises(GradientError, match="the gradient of minors failed"):  # needs an inverse
        second.sum().backward()


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_pinv_of_constant_rank(dtype, backend):
    a, b = t(numbers((4, 2), dtype)), t(numbers((2, 3), dtype, 1))
    tx.gradcheck(lambda a, b: la.pinv(a @ b), a, b, order=2)
    tx.gradcheck(la.pinv, t(np.eye(3) + 0 * numbers((3, 3), dtype)), order=2)


def test_norms_have_gradient_zero_where_they_are_0(backend):
    zeros = np.zeros((2, 3))
    for dtype in ("float64", "complex128"):
        for ord in (2, 1, 0, 0.5, 1.5, 3, -1, -2, math.inf, -math.inf):
            x = t(zeros.astype(dtype), requires_grad=True)
            y = la.vector_norm(x, ord=ord)
            (first,) = tx.autograd.grad(y, x, create_graph=True)
            assert (first.detach().numpy() == 0).all(), ord
            if ord in (2, 3):
                (second,) = tx.autograd.grad(tx.real(first).sum(), x, allow_unused=True)
                assert second is None or np.isfinite(second.numpy()).all()
        assert (gradient(la.matrix_norm, zeros.astype(dtype)) == 0).all()


def test_single_zeros_do_not_disturb_a_norm(backend):
    x = np.asarray([3.0, 0.0, -4.0])
    np.testing.assert_allclose(gradient(la.vector_norm, x), x / 5)
    total = 3**0.5 + 4**0.5
    for ord, expected in (
        (0.5, [total / 3**0.5, 0, -total / 2]),
        (3, 91 ** (-2 / 3) * np.asarray([9, 0, -16])),
        (-1, [0, 0, 0]),
        (0, [0, 0, 0]),
    ):
        found = gradient(lambda x, ord=ord: la.vector_norm(x, ord=ord), x)
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_equal_largest_elements_share_the_gradient(backend):
    x = np.asarray([[2.0, -2.0], [1.0, 2.0]])
    third = 1 / 3
    found = gradient(lambda x: la.vector_norm(x, ord=math.inf), x)
    np.testing.assert_allclose(found, [[third, -third], [0, third]])
    found = gradient(lambda x: la.matrix_norm(x, ord=1), np.asarray([[1.0, -2.0], [2.0, 1.0]]))
    np.testing.assert_allclose(found, [[0.5, -0.5], [0.5, 0.5]])


def test_slogdet_of_a_singular_matrix(backend):
    x = np.stack([np.ones((2, 2)), 2 * np.eye(2)])
    sign, log = la.slogdet(t(x))
    assert list(sign.numpy()) == [0, 1] and log.numpy()[0] == -math.inf
    leaf = t(x, requires_grad=True)
    la.slogdet(leaf).logabsdet[1].backward()  # the singular one is unused
    np.testing.assert_allclose(leaf.grad.numpy(), [np.zeros((2, 2)), np.eye(2) / 2])
    with pytest.raises(GradientError, match="slogdet has no derivative where the determinant is 0"):
        la.slogdet(leaf).logabsdet.sum().backward()


def test_a_power_of_0_has_gradient_zero(backend):
    assert (gradient(lambda x: la.matrix_power(x, 0).sum(), numbers((2, 3, 3))) == 0).all()


def test_where_there_is_no_derivative(backend):
    rank = la.matrix_rank(t(np.ones((3, 3)), requires_grad=True))
    with pytest.raises(GradientError, match="matrix_rank is not differentiable: a rank is a count"):
        rank.backward()
    for dependent in (np.zeros((3, 2)), np.ones((3, 2)), np.ones((2, 3, 4))):
        with pytest.raises(GradientError, match="columns of a matrix are linearly dependent"):
            la.qr(t(dependent, requires_grad=True)).R.sum().backward()


# -- errors -------------------------------------------------------------------------------------


def test_matrices_must_be_square(backend):
    x = t(numbers((2, 3)))
    for name in OF_SQUARES:
        with pytest.raises(
            ShapeError, match=r"expects square matrices, \(..., n, n\), got \(2, 3\)"
        ):
            getattr(la, name)(x)
        with pytest.raises(ShapeError, match="expects matrices"):
            getattr(la, name)(x[0])
    with pytest.raises(ShapeError, match="matrix_power expects square"):
        la.matrix_power(x, 2)
    with pytest.raises(ShapeError, match="solve expects square"):
        la.solve(x, x)
    for name in ("diagonal", "matrix_norm", "matrix_rank", "pinv", "qr", "svd", "svdvals", "trace"):
        with pytest.raises(ShapeError, match=f"{name} expects matrices, .* got shape \\(3,\\)"):
            getattr(la, name)(x[0])


def test_singular_matrices(backend):
    x = t(np.stack([np.eye(2), np.zeros((2, 2))]))
    for call in (la.inv, lambda x: la.solve(x, x), lambda x: la.matrix_power(x, -1)):
        with pytest.raises(ArgumentError, match="an invertible matrix, got one in shape .2, 2, 2."):
            call(x)
    with pytest.raises(ArgumentError, match="cholesky expects a positive-definite matrix"):
        la.cholesky(t(-np.eye(2)))


def test_shapes_that_do_not_fit(backend):
    a, b = t(numbers((2, 3))), t(numbers((4,)))
    with pytest.raises(ShapeError, match=r"solve .* expects \(3,\) or \(..., 3, k\), got \(4,\)"):
        la.solve(t(np.eye(3)), b)
    with pytest.raises(ShapeError, match="cross expects length 3 at axis -2"):
        la.cross(a, a, axis=-2)
    with pytest.raises(ShapeError, match="axis -1 must have the same length"):
        la.vecdot(a, b)
    for f in (la.cross, la.vecdot):
        for axis in (0, -3, 1.5):
            with pytest.raises(AxisError, match="counts its axis from the end"):
                f(a, a, axis=axis)
    with pytest.raises(ShapeError, match="outer expects two vectors"):
        la.outer(a, b)
    with pytest.raises(AxisError, match="cannot sum over 3 axes"):
        la.tensordot(a, a, axes=3)
    with pytest.raises(ShapeError, match="tensordot of"):
        la.tensordot(a, a, axes=((0,), (1,)))


def test_arguments_that_do_not_exist(backend):
    x = t(numbers((3, 3)))
    with pytest.raises(ArgumentError, match="the modes 'reduced' and 'complete', got 'full'"):
        la.qr(x, mode="full")
    with pytest.raises(ArgumentError, match="matrix_norm knows the ord"):
        la.matrix_norm(x, ord=3)
    with pytest.raises(ArgumentError, match="expects a number as ord, got 'fro'"):
        la.vector_norm(x, ord="fro")
    with pytest.raises(DTypeError, match="an integer exponent, got 0.5"):
        la.matrix_power(x, 0.5)
    with pytest.raises(DTypeError, match="rtol"):
        la.pinv(x, rtol=t([1, 2]))
    with pytest.raises(DTypeError, match="Tensor"):
        la.qr([[1.0]])
