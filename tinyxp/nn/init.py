"""Initialization of parameters, in place on a leaf: the tensor keeps its identity.

Values are drawn from ``generator`` (or the default one), so a seed gives the same ones on every
backend.
"""

import math
from contextvars import ContextVar
from typing import Any

import numpy as np

from tinyxp import backends
from tinyxp.backends.common.context import Block, bound
from tinyxp.core.foreign_errors import typed
from tinyxp.core.tape import no_grad
from tinyxp.core.tensor import Tensor, wrap
from tinyxp.core.views import rebind
from tinyxp.errors import ArgumentError, DTypeError, GradientError, ShapeError
from tinyxp.ops.creation import full_like
from tinyxp.random import Generator, source


def _set(tensor: Tensor, value: Tensor) -> Tensor:
    if not tensor.is_leaf and tensor._view is None:
        raise GradientError(
            f"nn.init expects a leaf tensor, got the result of {tensor._node.op.name}"
        )
    with no_grad():
        return rebind(tensor, value, "an initial value")


_skipping: ContextVar[bool] = ContextVar("tinyxp_skipping", default=False)


def skip_draws() -> Block:
    """Set zeros instead of random values inside a ``with`` block, for a model whose state is loaded
    next: drawing the 124 million values of GPT-2 takes longer than reading them.

    >>> with tx.nn.init.skip_draws():
    ...     layer = tx.nn.Linear(2, 2)
    >>> layer.load_state_dict({"weight": tx.ones((2, 2)), "bias": tx.zeros(2)})
    IncompatibleKeys(missing_keys=[], unexpected_keys=[])
    """
    return bound(_skipping, True)


def _draw(tensor: Tensor, kind: str, a: float, b: float, generator: Generator | None) -> Tensor:
    if _skipping.get():
        return zeros_(tensor)
    with backends.using(tensor.backend):
        draw = getattr(source(generator), kind)
        return _set(tensor, draw(tensor.shape, a, b, dtype=tensor.dtype, device=tensor.device))


def _set_numpy(tensor: Tensor, values: Any) -> Tensor:
    """Set values that NumPy computed, so that a seed gives the same ones on every backend."""
    array = values.reshape(tensor.shape).astype(tensor.dtype.name)
    return _set(tensor, wrap(tensor.backend.from_numpy(array, tensor.device), tensor.backend))


def _numpy(kind: str, shape: Any, generator: Generator | None) -> Any:
    """Draw standard random numbers as a NumPy array of float64."""
    with backends.using(backends.get("numpy")):
        return getattr(source(generator), kind)(shape, dtype="float64").numpy()


@typed
def uniform_(
    tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """U(a, b), the uniform distribution over [a, b).

    >>> tx.nn.init.uniform_(tx.zeros(2), 3.0, 4.0) >= 3.0
    tensor([ True,  True])
    """
    return _draw(tensor, "uniform", a, b, generator)


@typed
def normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """N(mean, std²), the normal distribution.

    >>> tx.nn.init.normal_(tx.zeros((2, 3)), std=0.02).shape
    (2, 3)
    """
    return _draw(tensor, "normal", mean, std, generator)


@typed
def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """N(mean, std²), the normal distribution, truncated to [a, b].

    x = Φ⁻¹(p) with p from U(Φ(a), Φ(b)), for mean 0 and std 1. Φ is exact at 2¹⁴ + 1 points from a
    to b and interpolated linearly, with an error of at most 1e-7.
    Raises ArgumentError unless a < b, std > 0 and mean is finite, or if (a, b) is beyond 37
    standard deviations.

    >>> abs(tx.nn.init.trunc_normal_(tx.zeros((2, 3)), std=0.02, a=-0.04, b=0.04)).max() <= 0.04
    tensor(True)
    """
    if not (a < b and 0 < std < math.inf and math.isfinite(mean)):
        raise ArgumentError(
            f"trunc_normal_ expects a < b, finite mean and std > 0, got {a}, {b}, {mean} and {std}"
        )
    low, high = (a - mean) / std, (b - mean) / std
    side = -1.0 if low > 0 else 1.0  # in the left tail Φ is small and keeps its digits
    low, high = (-high, -low) if side < 0 else (low, high)
    low, high = max(low, min(high, 0.0) - 8.3), min(high, 8.3)  # beyond, float64 has no density
    if high < -37:
        raise ArgumentError(
            f"trunc_normal_: ({a}, {b}) is {-high:.3g} standard deviations from the mean {mean}"
        )
    x = np.linspace(low, high, 2**14 + 1)
    below = np.asarray([math.erfc(-t / math.sqrt(2)) / 2 for t in x.tolist()])
    u = _numpy("uniform", tensor.shape, generator)
    found = np.interp(below[0] + u * (below[-1] - below[0]), below, x)
    return _set_numpy(tensor, np.clip(mean + std * side * found, a, b))


@typed
def constant_(tensor: Tensor, val: float) -> Tensor:
    """A constant.

    >>> tx.nn.init.constant_(tx.zeros(2), 0.5)
    tensor([0.5, 0.5])
    """
    return _set(tensor, full_like(tensor, val))


@typed
def zeros_(tensor: Tensor) -> Tensor:
    """Zeros.

    >>> tx.nn.init.zeros_(tx.ones(2))
    tensor([0., 0.])
    """
    return constant_(tensor, 0.0)


@typed
def ones_(tensor: Tensor) -> Tensor:
    """Ones.

    >>> tx.nn.init.ones_(tx.zeros(2))
    tensor([1., 1.])
    """
    return constant_(tensor, 1.0)


@typed
def eye_(tensor: Tensor) -> Tensor:
    """The identity matrix, cut or padded with zeros to the shape.

    >>> tx.nn.init.eye_(tx.zeros((2, 3)))
    tensor([[1., 0., 0.],
            [0., 1., 0.]])
    """
    if tensor.ndim != 2:
        raise ShapeError(f"eye_ expects a matrix, got shape {tensor.shape}")
    return _set_numpy(tensor, np.eye(tensor.shape[0], tensor.shape[1]))


@typed
def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """The convolution weight that copies channels: 1 at the kernel's centre, from channel i to i.

    Shapes: (out, in, *kernel), a kernel of 1 to 3 axes. With ``groups``, the same in each group of
    outputs.

    >>> tx.nn.init.dirac_(tx.zeros((1, 2, 3)))
    tensor([[[0., 1., 0.],
             [0., 0., 0.]]])
    """
    if tensor.ndim not in (3, 4, 5):
        raise ShapeError(f"dirac_ expects a weight of 3, 4 or 5 axes, got shape {tensor.shape}")
    outputs, inputs, *kernel = tensor.shape
    if groups < 1 or outputs % groups:
        raise ArgumentError(f"dirac_: {outputs} outputs are not a multiple of groups={groups}")
    values, each = np.zeros(tensor.shape), outputs // groups
    for i in range(outputs):
        if i % each < inputs and tensor.size:
            values[(i, i % each, *(n // 2 for n in kernel))] = 1
    return _set_numpy(tensor, values)


@typed
def fans(tensor: Tensor) -> tuple[int, int]:
    """(fan_in, fan_out): how many inputs an output has, and how many outputs an input.

    >>> tx.nn.init.fans(tx.zeros((8, 4, 3, 3)))
    (36, 72)
    """
    if tensor.ndim < 2:
        raise ShapeError(f"fans expects a weight of two axes or more, got shape {tensor.shape}")
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


_calculate_fan_in_and_fan_out = fans  # the name in PyTorch, which models use


@typed
def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor that keeps the variance through an activation; ``param`` is leaky ReLU's slope.

    >>> tx.nn.init.calculate_gain("tanh")
    1.6666666666666667
    """
    slope = 0.01 if param is None else param
    if isinstance(slope, bool) or not isinstance(slope, (int, float)):
        raise DTypeError(f"calculate_gain expects a number as the slope, got {slope!r}")
    gains: dict[str, float] = {
        "linear": 1.0,
        "sigmoid": 1.0,
        "tanh": 5 / 3,
        "relu": math.sqrt(2),
        "leaky_relu": math.sqrt(2 / (1 + slope**2)),
        "selu": 3 / 4,
    }
    gains |= {f"conv{kind}{n}d": 1.0 for kind in ("", "_transpose") for n in (1, 2, 3)}
    if nonlinearity not in gains:
        raise ArgumentError(f"unknown nonlinearity {nonlinearity!r}; choose one of {list(gains)}")
    return gains[nonlinearity]


@typed
def xavier_uniform_(
    tensor: Tensor, gain: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """U(-a, a) with a = gain · √(6 / (fan_in + fan_out)). Source: Glorot & Bengio 2010, eq. 16.

    >>> abs(tx.nn.init.xavier_uniform_(tx.zeros((3, 3)))).max().item() <= 1
    True
    """
    bound = gain * math.sqrt(6 / max(1, sum(fans(tensor))))
    return uniform_(tensor, -bound, bound, generator)


@typed
def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """N(0, gain² · 2 / (fan_in + fan_out)). Source: Glorot & Bengio 2010.

    >>> tx.nn.init.xavier_normal_(tx.zeros((3, 3))).shape
    (3, 3)
    """
    return normal_(tensor, 0.0, gain * math.sqrt(2 / max(1, sum(fans(tensor)))), generator)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    modes: dict[str, int] = dict(zip(("fan_in", "fan_out"), fans(tensor), strict=True))
    if mode not in modes:
        raise ArgumentError(f"unknown mode {mode!r}; choose one of {list(modes)}")
    return calculate_gain(nonlinearity, a) / math.sqrt(max(1, modes[mode]))


@typed
def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """U(-b, b) with b = gain · √(3 / fan). Source: He et al. 2015, eq. 14.

    ``a`` is the slope of the leaky ReLU that follows; ``mode`` chooses the fan.

    >>> tx.nn.init.kaiming_uniform_(tx.zeros((3, 3)), nonlinearity="relu").shape
    (3, 3)
    """
    if not tensor.size:
        return tensor
    bound = math.sqrt(3) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


@typed
def kaiming_normal_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """N(0, gain² / fan). Source: He et al. 2015, eq. 14.

    >>> tx.nn.init.kaiming_normal_(tx.zeros((3, 3)), mode="fan_out").shape
    (3, 3)
    """
    if not tensor.size:
        return tensor
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


@typed
def orthogonal_(tensor: Tensor, gain: float = 1, generator: Generator | None = None) -> Tensor:
    """``gain`` times a random matrix with orthonormal rows or columns, whichever are fewer.

    A weight of more than two axes counts as (n₀, n₁ · n₂ · …). Q of the QR decomposition of a
    normal matrix, with the signs that make R's diagonal positive, is uniformly distributed.
    Source: Saxe et al. 2013; Mezzadri 2006.

    >>> w = tx.nn.init.orthogonal_(tx.zeros((2, 3)))
    >>> bool(tx.all(abs(w @ w.T - tx.eye(2)) < 1e-6))
    True
    """
    if tensor.ndim < 2:
        raise ShapeError(f"orthogonal_ expects two axes or more, got shape {tensor.shape}")
    if not tensor.size:
        return tensor
    rows = tensor.shape[0]
    x = _numpy("normal", (rows, tensor.size // rows), generator)
    q, r = np.linalg.qr(x.T if x.shape[0] < x.shape[1] else x)
    q = q * np.where(np.diag(r) < 0, -1.0, 1.0)
    return _set_numpy(tensor, gain * (q.T if x.shape[0] < x.shape[1] else q))


@typed
def sparse_(
    tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None
) -> Tensor:
    """N(0, std²), with zeros in a random fraction ``sparsity`` of each column.

    Source: Martens 2010.

    >>> tx.count_nonzero(tx.nn.init.sparse_(tx.zeros((4, 2)), 0.5), axis=0)
    tensor([2, 2])
    """
    if tensor.ndim != 2:
        raise ShapeError(f"sparse_ expects a matrix, got shape {tensor.shape}")
    if not 0 <= sparsity <= 1:
        raise ArgumentError(f"sparse_ expects sparsity in [0, 1], got {sparsity}")
    values = std * _numpy("normal", tensor.shape, generator)
    order = np.argsort(_numpy("uniform", tensor.shape, generator), axis=0)  # of each column
    np.put_along_axis(values, order[: math.ceil(sparsity * tensor.shape[0])], 0.0, axis=0)
    return _set_numpy(tensor, values)


@typed
def default_(weight: Tensor, bias: Any, generator: Generator | None = None) -> None:
    """PyTorch's initialization of Linear and Conv: weight and bias from U(-b, b), b = 1 / √fan_in.

    For the weight this is ``kaiming_uniform_`` with a = √5.

    >>> tx.nn.init.default_(tx.zeros((2, 4)), None)
    """
    kaiming_uniform_(weight, a=math.sqrt(5), generator=generator)
    if bias is not None:
        bound = 1 / math.sqrt(max(1, fans(weight)[0]))
        uniform_(bias, -bound, bound, generator)
