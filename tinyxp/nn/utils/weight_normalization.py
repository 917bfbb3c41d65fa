"""Weight normalization: a weight is learned as a length and a direction."""

from typing import Any

from tinyxp.core.foreign_errors import typed
from tinyxp.core.tensor import Tensor
from tinyxp.errors import ArgumentError
from tinyxp.nn.module import Module
from tinyxp.nn.parameter import Parameter
from tinyxp.ops.exponential import sqrt
from tinyxp.ops.reductions import sum
from tinyxp.ops.shaping import normalize_axes

__all__ = ["remove_weight_norm", "weight_norm"]


class _WeightNorm:
    """The hook that computes the weight before each ``forward``."""

    def __init__(self, name: str, dim: int | None) -> None:
        self.name, self.dim = name, dim
        self.handle: Any = None

    def norm(self, v: Tensor) -> Any:
        """The norm of v, or of each slice along ``dim``."""
        if self.dim in (None, -1):  # -1 too: not the last axis, in PyTorch
            return sqrt(sum(v * v))
        (kept,) = normalize_axes(self.dim, v.ndim)
        return sqrt(sum(v * v, axis=tuple(i for i in range(v.ndim) if i != kept), keepdims=True))

    def weight(self, module: Any) -> Any:
        v = getattr(module, f"{self.name}_v")
        return v * (getattr(module, f"{self.name}_g") / self.norm(v))

    def __call__(self, module: Any, args: Any) -> None:
        setattr(module, self.name, self.weight(module))


@typed
def weight_norm(module: Any, name: str = "weight", dim: int | None = 0) -> Any:
    """w = g · v / ‖v‖: the parameters ``name_g`` and ``name_v`` replace the parameter ``name``.

    The norm is that of each slice along ``dim`` (each output of a layer), or of the whole weight
    for None or -1. Returns the module. Raises ArgumentError if there is no such parameter.
    Source: Salimans & Kingma 2016, eq. 2.

    >>> layer = tx.nn.utils.weight_norm(tx.nn.Linear(3, 2))
    >>> {name: p.shape for name, p in layer.named_parameters()}
    {'bias': (2,), 'weight_g': (2, 1), 'weight_v': (2, 3)}
    """
    if _hook(module, name) is not None:
        raise ArgumentError(f"{type(module).__name__}.{name} has weight_norm already")
    w = module._parameters.get(name)
    if w is None:
        raise ArgumentError(
            f"{type(module).__name__} has no parameter {name!r}; it has {list(module._parameters)}"
        )
    hook = _WeightNorm(name, dim)
    g = Parameter(hook.norm(w).detach())
    delattr(module, name)
    module.register_parameter(f"{name}_g", g)
    module.register_parameter(f"{name}_v", Parameter(w.detach()))
    hook(module, ())  # sets the weight before the first call
    hook.handle = module.register_forward_pre_hook(hook)
    return module


@typed
def remove_weight_norm(module: Any, name: str = "weight") -> Any:
    """Make the weight an ordinary parameter again, with its current value.

    Raises ArgumentError without an earlier ``weight_norm``.

    >>> layer = tx.nn.utils.weight_norm(tx.nn.Linear(3, 2))
    >>> list(tx.nn.utils.remove_weight_norm(layer).state_dict())
    ['bias', 'weight']
    """
    hook = _hook(module, name)
    if hook is None:
        raise ArgumentError(f"{type(module).__name__}.{name} has no weight_norm to remove")
    w = hook.weight(module).detach()
    hook.handle.remove()
    for part in (name, f"{name}_g", f"{name}_v"):
        delattr(module, part)
    module.register_parameter(name, Parameter(w))
    return module


def _hook(module: Module, name: str) -> Any:
    hooks = [hook for hook, _ in module._hooks.get("forward_pre", {}).values()]
    return next((h for h in hooks if isinstance(h, _WeightNorm) and h.name == name), None)
