"""The Optimizer: groups of parameters with their options, and the state of each parameter.

A step computes a new array and binds it to ``p.data``: the old one may be saved in a graph. State
arrays belong to the optimizer alone, so they are updated in place.
"""

import math
from collections.abc import Iterable
from typing import Any

from tinyxp.backends import Array
from tinyxp.backends.errors import ArgumentError, DTypeError, GradientError, ShapeError
from tinyxp.core import Tensor, wrap
from tinyxp.ops.creation import asarray, move, zeros_like

Group = dict[str, Any]
Parameters = Iterable[Tensor] | Iterable[Group]


class Optimizer:
    """The base of all optimizers: ``update`` is all that one has to add.

    ``params`` is an iterable of Tensors, or of groups ``{"params": tensors, **options}`` whose
    options go before ``defaults``. Raises ArgumentError if there are none or one comes twice,
    DTypeError for what is no Tensor, GradientError for what is no leaf.

    >>> p = tx.asarray([1.0, 2.0], requires_grad=True)
    >>> optimizer = tx.optim.SGD([p], lr=0.5)
    >>> (p * p).sum().backward()
    >>> optimizer.step()
    >>> p
    tensor([0., 0.], requires_grad=True)
    """

    def __init__(self, params: Parameters, defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor):
            raise DTypeError("an optimizer expects an iterable of Tensors, got a Tensor; pass [x]")
        self.defaults = defaults
        self.state: dict[Tensor, dict[str, Any]] = {}
        self.param_groups: list[Group] = []
        groups: list[Any] = list(params)
        if not groups:
            raise ArgumentError("an optimizer expects parameters, got none; see model.parameters()")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def __repr__(self) -> str:
        options = [
            ", ".join(f"{k}={v}" for k, v in group.items() if k != "params")
            for group in self.param_groups
        ]
        return f"{type(self).__name__}({'; '.join(options)})"

    def add_param_group(self, group: Group) -> None:
        """Add a group ``{"params": tensors, **options}``, say of layers that thaw later."""
        if not isinstance(group, dict) or "params" not in group:
            raise DTypeError(f"a group is a dict with 'params', got {type(group).__name__}")
        params = group["params"]
        params = [params] if isinstance(params, Tensor) else list(params)
        known = {p for g in self.param_groups for p in g["params"]}
        for p in params:
            if not isinstance(p, Tensor):
                raise DTypeError(f"an optimizer expects Tensors, got {type(p).__name__}")
            if not p.is_leaf:
                raise GradientError(
                    f"an optimizer changes leaves only, got the result of {p._node.op.name}; "
                    "pass the tensor that it was computed from, or x.detach()"
                )
            if p in known:
                raise ArgumentError(f"a parameter of shape {p.shape} comes twice; pass it once")
            known.add(p)
        self.param_groups.append({**self.defaults, **group, "params": params})

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or set them to zeros."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.grad = None if set_to_none else zeros_like(p.grad.detach())

    def step(self) -> None:
        """Change every parameter that has a gradient."""
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            for p in params:
                g = p.grad
                if g.backend is not p.backend or g.dtype is not p.dtype or g.shape != p.shape:
                    raise ShapeError(
                        f"a gradient must match its parameter, {p.shape} {p.dtype!r} on "
                        f"{p.backend.name!r}, got {g.shape} {g.dtype!r} on {g.backend.name!r}"
                    )
            self.update(params, group)

    def update(self, params: list[Tensor], group: Group) -> None:
        """Bind new data to ``params``, all of which have a gradient, by the group's options."""
        raise NotImplementedError

    # -- saving and loading ---------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """A copy of the state in PyTorch's layout, parameters being numbered through all groups.

        ``{"state": {0: {"step": 3, "exp_avg": Tensor, …}, …}, "param_groups": [{"lr": …,
        "params": [0, 1]}, …]}``
        """
        number = {p: i for i, p in enumerate(self._params())}
        state = {
            number[p]: {
                name: wrap(owned(p, value), p.backend) if hasattr(value, "shape") else value
                for name, value in values.items()
            }
            for p, values in self.state.items()
        }
        groups = [g | {"params": [number[p] for p in g["params"]]} for g in self.param_groups]
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state, brought to each parameter's backend, device and dtype.

        Raises ArgumentError if the groups do not have as many parameters as here.
        """
        groups = state_dict["param_groups"]
        sizes = [len(group["params"]) for group in groups]
        wanted = [len(group["params"]) for group in self.param_groups]
        if sizes != wanted:
            raise ArgumentError(
                f"expected groups of {wanted} parameters, got a state with {sizes}; "
                "make the optimizer with the same groups first"
            )
        numbers = [i for group in groups for i in group["params"]]
        self.state = {
            p: {name: _loaded(p, name, value) for name, value in state_dict["state"][i].items()}
            for p, i in zip(self._params(), numbers, strict=True)
            if i in state_dict["state"]
        }
        self.param_groups = [
            ours | saved | {"params": ours["params"]}
            for ours, saved in zip(self.param_groups, groups, strict=True)
        ]

    def _params(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]


def owned(p: Tensor, value: Array | None = None) -> Array:
    """A new array in the shape, dtype and place of p: zeros, or a copy of ``value``.

    Not zeros_like or copy: they keep the order of a transposed array, and a kernel that flattens
    such an array would write into a copy of it.
    """
    array = p.backend.xp.zeros(p.shape, dtype=p.data.dtype, device=p.data.device)
    if value is not None:
        array[...] = value
    return array


def _loaded(p: Tensor, name: str, value: Any) -> Any:
    """A saved value as the state of p: step is a number, all else are arrays like p, or None."""
    if value is None:
        return None
    if name == "step":
        return int(value)
    x = asarray(value, dtype=p.dtype)
    if x.shape != p.shape:
        raise ShapeError(f"the state {name!r} of a parameter of shape {p.shape} has {x.shape}")
    return owned(p, move(x, p.backend, p.device).data)


def check(name: str, value: float, below: float = math.inf) -> None:
    """Raise ArgumentError unless the option ``name`` is a number in [0, below)."""
    if not 0.0 <= value < below:
        raise ArgumentError(f"{name} expects a number in [0, {below}), got {value}")
