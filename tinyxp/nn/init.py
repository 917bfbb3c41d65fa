"""First values of parameters, in place on a leaf: the tensor object stays, its data is new.

Drawn from ``generator`` (the default one if None), so that a seed gives the same start everywhere.
"""

import math
from typing import Any

from tinyxp import backends
from tinyxp.backends.errors import ArgumentError, GradientError, ShapeError
from tinyxp.core import Tensor
from tinyxp.ops.creation import full_like
from tinyxp.random import Generator, default_generator


def _set(tensor: Tensor, value: Tensor) -> Tensor:
    if not tensor.is_leaf:
        raise GradientError(
            f"initial values are for leaves, got the result of {tensor._node.op.name}"
        )
    tensor.data = value.data
    return tensor


def _draw(tensor: Tensor, kind: str, a: float, b: float, generator: Generator | None) -> Tensor:
    with backends.using(tensor.backend):
        draw = getattr(generator or default_generator(), kind)
        return _set(tensor, draw(tensor.shape, a, b, dtype=tensor.dtype, device=tensor.device))


def uniform_(
    tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Numbers spread evenly over [a, b).

    >>> tx.nn.init.uniform_(tx.zeros(2), 3.0, 4.0) >= 3.0
    tensor([ True,  True])
    """
    return _draw(tensor, "uniform", a, b, generator)


def normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Numbers from the normal distribution.

    >>> tx.nn.init.normal_(tx.zeros((2, 3)), std=0.02).shape
    (2, 3)
    """
    return _draw(tensor, "normal", mean, std, generator)


def constant_(tensor: Tensor, val: float) -> Tensor:
    """One number throughout.

    >>> tx.nn.init.constant_(tx.zeros(2), 0.5)
    tensor([0.5, 0.5])
    """
    return _set(tensor, full_like(tensor, val))


def zeros_(tensor: Tensor) -> Tensor:
    """Zeros.

    >>> tx.nn.init.zeros_(tx.ones(2))
    tensor([0., 0.])
    """
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """Ones.

    >>> tx.nn.init.ones_(tx.zeros(2))
    tensor([1., 1.])
    """
    return constant_(tensor, 1.0)


def fans(tensor: Tensor) -> tuple[int, int]:
    """How many inputs feed an output, and outputs an input: weight (out, in, …) -> (in …, out …).

    >>> tx.nn.init.fans(tx.zeros((8, 4, 3, 3)))
    (36, 72)
    """
    if tensor.ndim < 2:
        raise ShapeError(f"a fan needs a weight of two axes or more, got shape {tensor.shape}")
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor that keeps the variance through an activation; ``param`` is leaky ReLU's slope.

    >>> tx.nn.init.calculate_gain("tanh")
    1.6666666666666667
    """
    slope = 0.01 if param is None else param
    gains: dict[str, float] = {
        "linear": 1.0,
        "sigmoid": 1.0,
        "tanh": 5 / 3,
        "relu": math.sqrt(2),
        "leaky_relu": math.sqrt(2 / (1 + slope**2)),
        "selu": 3 / 4,
    }
    gains |= {f"conv{n}d": 1.0 for n in (1, 2, 3)}
    if nonlinearity not in gains:
        raise ArgumentError(f"unknown nonlinearity {nonlinearity!r}; choose one of {list(gains)}")
    return gains[nonlinearity]


def xavier_uniform_(
    tensor: Tensor, gain: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """U(-a, a) with a = gain · √(6 / (fan_in + fan_out)). Source: Glorot & Bengio 2010, eq. 16.

    >>> abs(tx.nn.init.xavier_uniform_(tx.zeros((3, 3)))).max().item() <= 1
    True
    """
    bound = gain * math.sqrt(6 / sum(fans(tensor)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """N(0, gain² · 2 / (fan_in + fan_out)). Source: Glorot & Bengio 2010.

    >>> tx.nn.init.xavier_normal_(tx.zeros((3, 3))).shape
    (3, 3)
    """
    return normal_(tensor, 0.0, gain * math.sqrt(2 / sum(fans(tensor))), generator)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    modes: dict[str, int] = dict(zip(("fan_in", "fan_out"), fans(tensor), strict=True))
    if mode not in modes:
        raise ArgumentError(f"unknown mode {mode!r}; choose one of {list(modes)}")
    return calculate_gain(nonlinearity, a) / math.sqrt(max(1, modes[mode]))


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """U(-b, b) with b = gain · √(3 / fan). Source: He et al. 2015, eq. 14.

    ``a`` is the slope of the leaky ReLU that follows, ``mode`` the fan whose variance is kept.

    >>> tx.nn.init.kaiming_uniform_(tx.zeros((3, 3)), nonlinearity="relu").shape
    (3, 3)
    """
    bound = math.sqrt(3) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


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
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def default_(weight: Tensor, bias: Any, generator: Generator | None = None) -> None:
    """How PyTorch starts Linear and Conv: both weight and bias from U(-b, b), b = 1 / √fan_in.

    For the weight this is He's uniform with the slope a = √5.

    >>> tx.nn.init.default_(tx.zeros((2, 4)), None)
    """
    kaiming_uniform_(weight, a=math.sqrt(5), generator=generator)
    if bias is not None:
        bound = 1 / math.sqrt(max(1, fans(weight)[0]))
        uniform_(bias, -bound, bound, generator)
