"""The numbers of a step of AdamW, as the backends' functions ``adamw`` take them.

``adamw(params, grads, m, v, step, advance=None)`` returns new parameters and changes m and v in
place. All four are lists of arrays of one dtype. While a step is captured ``advance`` is given; it
returns the ``AdamWStep`` of each replay, of which only ``factors()`` may differ from ``step``'s.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

Arrays = list[Any]


class AdamWStep(NamedTuple):
    """A step of AdamW (Loshchilov & Hutter 2019, algorithm 2); ``step`` counts from 1."""

    beta1: float
    beta2: float
    eps: float
    lr: float
    weight_decay: float
    step: int

    def factors(self) -> list[float]:
        """What changes from step to step: 1 / √(1 - β₂ᵗ), lr / (1 - β₁ᵗ), 1 - lr λ.

        >>> AdamWStep(0.5, 0.75, 1e-8, lr=1.0, weight_decay=0.5, step=1).factors()
        [2.0, 2.0, 0.5]
        """
        root = 1 / math.sqrt(1 - self.beta2**self.step)
        size = self.lr / (1 - self.beta1**self.step)
        return [float(root), float(size), float(1 - self.lr * self.weight_decay)]


Advance = Callable[[], AdamWStep] | None
