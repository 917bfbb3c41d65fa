"""Muon: orthogonalized momentum for the matrices of hidden layers."""

import math
from typing import Any

from tinyxp.backends import Array
from tinyxp.core.tensor import is_complex
from tinyxp.errors import ArgumentError, DTypeError, ShapeError
from tinyxp.optim.optimizer import Group, Optimizer, State, average

__all__ = ["Muon"]


class Muon(Optimizer):
    """b ← μ b + (1 - μ) g; p ← (1 - lr λ) p - lr' O, where O approximates the orthogonal matrix
    nearest to b (to (1 - μ) g + μ b if ``nesterov``).

    O comes from :func:`orthogonalize`. For p of shape (m, n), lr' is lr √max(1, m / n)
    (``adjust_lr_fn`` None or "original"), or 0.2 lr √max(m, n) ("match_rms_adamw"), whose steps are
    as long as AdamW's. Give biases, embeddings and the last layer to another optimizer. Raises
    ShapeError for a parameter that is not a matrix, DTypeError for a complex one.

    The iteration runs in the dtype of p. PyTorch's always runs in bfloat16, so its steps differ by
    1 to 2%, and by more where b is nearly singular. Source: Jordan et al. 2024
    (kellerjordan.github.io/posts/muon); Liu et al. 2025, eq. 4.

    >>> p = tx.asarray([[0.0, 0.0], [0.0, 0.0]], requires_grad=True)
    >>> optimizer = tx.optim.Muon([p], lr=1.0)
    >>> p.grad = tx.asarray([[0.0, 2.0], [0.0, 0.0]])
    >>> optimizer.step()  # all singular values but 0 become about 1
    >>> round(p.detach()[0, 1].item(), 1)
    -0.7
    """

    decoupled = True
    initial = {"momentum_buffer": 0.0}

    lr: float = 1e-3
    weight_decay: float = 0.1
    momentum: float = 0.95
    nesterov: bool = True
    ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315)
    eps: float = 1e-7
    ns_steps: int = 5
    adjust_lr_fn: str | None = None

    def prepare(self) -> None:
        adjust_lr_fn, ns_steps = self.defaults["adjust_lr_fn"], self.defaults["ns_steps"]
        ns_coefficients = self.defaults["ns_coefficients"]
        if adjust_lr_fn not in (None, "original", "match_rms_adamw"):
            raise ArgumentError(
                f"adjust_lr_fn expects 'original' or 'match_rms_adamw', got {adjust_lr_fn!r}"
            )
        if not 0 <= ns_steps < 100 or len(ns_coefficients) != 3:
            raise ArgumentError(
                "expected ns_steps in [0, 100) and three ns_coefficients, got "
                f"{ns_steps} and {ns_coefficients}"
            )

    def add_param_group(self, param_group: Group) -> None:
        super().add_param_group(param_group)
        for p in self.param_groups[-1]["params"]:
            if p.ndim != 2:
                raise ShapeError(
                    f"Muon expects matrices, got a parameter of shape {p.shape}; give it to AdamW"
                )
            if is_complex(p):
                raise DTypeError(f"Muon expects real parameters, got {p.dtype!r}")

    def formula(self, xp: Any, p: Array, g: Array, state: State, group: Group) -> Array:
        b, momentum = state["momentum_buffer"], group["momentum"]
        average(b, g, momentum)
        u = (1 - momentum) * g + momentum * b if group["nesterov"] else b
        o = orthogonalize(xp, u, group["ns_coefficients"], group["ns_steps"], group["eps"])
        m, n = p.shape
        if group["adjust_lr_fn"] == "match_rms_adamw":
            ratio = 0.2 * math.sqrt(max(m, n))
        else:
            ratio = math.sqrt(max(1.0, m / max(n, 1)))
        return p - group["lr"] * ratio * o


def orthogonalize(
    xp: Any, x: Array, coefficients: tuple[float, float, float], steps: int, eps: float
) -> Array:
    """x with all nonzero singular values near 1: X ← X / ‖X‖, then in each step
    X ← a X + (b A + c A²) X with A = X Xᵀ, an odd polynomial of the singular values.

    Source: Jordan et al. 2024, "Newton-Schulz iteration"; Björck and Bowie 1971.
    """
    a, b, c = coefficients
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / xp.clip(xp.linalg.matrix_norm(x), min=eps)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return x.T if tall else x
