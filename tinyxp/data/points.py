"""Points in the plane: two classes that a line separates, and XOR, which no line does."""

import math

from tinyxp.core.foreign_errors import typed
from tinyxp.core.tensor import Tensor
from tinyxp.errors import ArgumentError
from tinyxp.ops.creation import asarray, astype
from tinyxp.ops.shaping import expand_dims
from tinyxp.random import Generator, source

XOR = ([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0, 1, 1, 0])


@typed
def two_clouds(
    n: int, generator: Generator | None = None, gap: float = 0.5
) -> tuple[Tensor, Tensor]:
    """n points of two separable classes: x (n, 2) float32, y (n,) int64 in {0, 1}.

    Two discs of radius 1 on either side of the line u·x = 1, u = (0.6, 0.8), with a ``gap`` between
    them: u·x ≥ 1 + gap/2 for class 1, u·x ≤ 1 - gap/2 for class 0. Half of the points, rounded
    down, have class 1. Raises ArgumentError unless n ≥ 2 and gap ≥ 0.

    >>> x, y = tx.data.two_clouds(100, tx.random.Generator(0))
    >>> side = x @ tx.asarray([0.6, 0.8]) - 1
    >>> tx.all((side > 0) == (y == 1)).item()
    True
    """
    if n < 2 or not 0 <= gap < math.inf:
        raise ArgumentError(f"two_clouds expects n >= 2 and gap >= 0, got n={n}, gap={gap}")
    generator = source(generator)
    radius = generator.uniform((n,)) ** 0.5  # uniform over the disc
    angle = generator.uniform((n,)) * (2 * math.pi)
    y = asarray(generator.permutation(n) % 2)
    far = 1.0 + (2 * y - 1) * (1.0 + gap / 2)
    along, across = radius * angle.cos() + far, radius * angle.sin()
    x = expand_dims(along, axis=1) * asarray([0.6, 0.8])
    return x + expand_dims(across, axis=1) * asarray([-0.8, 0.6]), y


@typed
def xor_points(
    n: int = 4, generator: Generator | None = None, noise: float = 0.1
) -> tuple[Tensor, Tensor]:
    """XOR: x (n, 2) float32, y (n,) int64, which is 1 if exactly one coordinate is near 1.

    Four points are the truth table itself; more lie around its corners in turn, at most ``noise``
    away in each coordinate. Raises ArgumentError unless n ≥ 4 and 0 ≤ noise < 0.5.

    >>> tx.data.xor_points()
    (tensor([[0., 0.],
            [0., 1.],
            [1., 0.],
            [1., 1.]]), tensor([0, 1, 1, 0]))
    """
    if n < 4:
        raise ArgumentError(f"xor_points expects at least the 4 corners, got n={n}")
    if not 0 <= noise < 0.5:
        raise ArgumentError(
            f"xor_points expects 0 <= noise < 0.5, where corners would meet, got {noise}"
        )
    corners, labels = asarray(XOR[0]), asarray(XOR[1])
    if n == 4:
        return corners, labels
    generator = source(generator)
    which = astype(asarray([i % 4 for i in range(n)]), labels.dtype)
    shift = (generator.uniform((n, 2)) * 2 - 1) * noise
    return corners[which] + shift, labels[which]
