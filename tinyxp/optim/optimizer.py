"""The Optimizer: groups of parameters with their options, and the state of each parameter.

A step computes a new array and binds it to ``p.array``, because a graph may have saved the old one.
Only the optimizer holds the state arrays, so they are updated in place.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import KW_ONLY, InitVar
from typing import TYPE_CHECKING, Any, ClassVar

from tinyxp import backends
from tinyxp.backends import Array
from tinyxp.backends.common.capture import capturing
from tinyxp.core.foreign_errors import typed, typed_init
from tinyxp.core.tape import enable_grad
from tinyxp.core.tensor import Tensor, is_complex, wrap
from tinyxp.errors import ArgumentError, BackendError, DTypeError, GradientError, ShapeError
from tinyxp.nn.fields import declared_fields
from tinyxp.ops.creation import asarray, move, zeros_like
from tinyxp.optim.capture import call_in_replays
from tinyxp.optim.options import SWITCHES, DeclaresFields, check_options, constructor, option_names
from tinyxp.optim.state_dict import OPTIONS, expect_state

__all__ = ["Optimizer"]

Group = dict[str, Any]
State = dict[str, Any]
Parameters = Iterable[Tensor] | Iterable[tuple[str, Tensor]] | Iterable[Group]


class Optimizer(DeclaresFields):
    """The base of all optimizers. A subclass returns its first state from ``start`` and computes a
    step in ``formula``. Those of tinyxp declare their options as fields; others pass ``defaults``.

    ``params`` is an iterable of Tensors, of pairs (name, Tensor) as ``named_parameters()`` yields
    them, or of groups ``{"params": tensors, **options}`` whose options override ``defaults``.
    Raises ArgumentError if there are no parameters, one occurs twice, only some have names, or an
    option is out of range; DTypeError if one is not a Tensor, GradientError if one is not a leaf.

    PyTorch's options that choose an implementation (``foreach``, ``fused``, ``capturable``) are
    accepted and ignored; ``differentiable=True`` is refused. ``lr`` may be a Tensor of one element,
    whose value is used. A complex parameter is treated as its real and imaginary parts.

    >>> p = tx.asarray([1.0, 2.0], requires_grad=True)
    >>> optimizer = tx.optim.SGD([p], lr=0.5)
    >>> (p * p).sum().backward()
    >>> optimizer.step()
    >>> p
    tensor([0., 0.], requires_grad=True)
    """

    params: InitVar[Parameters]
    if TYPE_CHECKING:  # the classes name their own
        _: KW_ONLY
        foreach: bool | None = None
        fused: bool | None = None
        maximize: bool = False
        capturable: bool = False
        differentiable: bool = False
        decoupled_weight_decay: bool = False
    fixed: ClassVar[dict[str, Any]] = {}  # options that the constructor does not take
    decoupled: ClassVar[bool] = False  # whether weight decay shrinks p itself, not through g
    initial: ClassVar[dict[str, float]] = {}  # what ``start`` returns, if it needs no options
    lazily: ClassVar[tuple[str, ...]] = ()  # state that starts with the first gradient
    numbers: ClassVar[tuple[str, ...]] = ("step",)  # state that is a number, not an array like p

    def __init_subclass__(cls, switches: str = "", **options: Any) -> None:
        super().__init_subclass__(**options)
        fields = declared_fields(cls) if cls.__module__.startswith("tinyxp.") else {}
        fields |= {name: SWITCHES[name] for name in switches.split()}
        if fields:
            cls.__init__ = constructor(cls, "params", fields, Optimizer._init)  # type: ignore[method-assign]
        OPTIONS.update(option_names(cls))
        typed_init(cls)

    def _init(self, params: Parameters, options: dict[str, Any]) -> None:
        Optimizer.__init__(self, params, options | self.fixed)
        self.prepare()

    @typed
    def __init__(self, params: Parameters, defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor):
            raise DTypeError("an optimizer expects an iterable of Tensors, got a Tensor; pass [x]")
        if defaults.get("differentiable"):
            raise ArgumentError(
                "differentiable=True is refused: a step records no graph; write the update as a "
                "function and use tx.grad"
            )
        self.defaults = check_options(defaults)
        self.state: dict[Tensor, State] = defaultdict(dict)
        self.param_groups: list[Group] = []
        if not isinstance(params, Iterable):
            raise DTypeError(
                f"an optimizer expects an iterable of Tensors, got {type(params).__name__}; pass "
                "model.parameters()"
            )
        groups: list[Any] = list(params)
        if not groups:
            raise ArgumentError("an optimizer expects parameters, got none; see model.parameters()")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def prepare(self) -> None:
        """Check the options together. Raises ArgumentError."""

    def __repr__(self) -> str:
        options = [
            ", ".join(f"{k}={v}" for k, v in group.items() if k != "params" and v is not None)
            for group in self.param_groups
        ]
        return f"{type(self).__name__}({'; '.join(options)})"

    def add_param_group(self, param_group: Group) -> None:
        """Add a group ``{"params": tensors, **options}``, such as layers to unfreeze."""
        if not isinstance(param_group, dict) or "params" not in param_group:
            raise DTypeError(f"a group is a dict with 'params', got {type(param_group).__name__}")
        params = param_group["params"]
        if isinstance(params, (set, frozenset)):
            raise DTypeError("a group expects its parameters in an order, got a set; pass a list")
        pairs = [
            p if isinstance(p, tuple) else (None, p)
            for p in ([params] if isinstance(params, Tensor) else params)
        ]
        names, tensors = [name for name, _ in pairs if name is not None], [p for _, p in pairs]
        if names:
            param_group = param_group | {"param_names": names}
        named = [len(group.get("param_names", ())) > 0 for group in self.param_groups[:1]]
        if len(names) not in (0, len(pairs)) or named == [not names]:
            raise ArgumentError("either all parameters have names or none; see named_parameters()")
        known = set(self._params())
        for p in tensors:
            if not isinstance(p, Tensor):
                raise DTypeError(f"an optimizer expects Tensors, got {type(p).__name__}")
            if not p.is_leaf:
                raise GradientError(
                    f"an optimizer changes leaves only, got the result of {p._node.op.name}; "
                    "pass the tensor that it was computed from, or x.detach()"
                )
            if getattr(p, "uninitialized", False):
                raise ArgumentError(
                    "an optimizer expects parameters with a shape, got one of a lazy module; call "
                    "the model once first"
                )
            if p in known:
                raise ArgumentError(f"a parameter of shape {p.shape} occurs twice; pass it once")
            known.add(p)
        self.param_groups.append(check_options({**self.defaults, **param_group, "params": tensors}))

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Set the gradients of all parameters to None, or to zeros."""
        for p in self._params():
            if p.grad is not None:
                p.grad = None if set_to_none else zeros_like(p.grad.detach())

    # -- a step ---------------------------------------------------------------------------------

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient.

        ``closure`` recomputes the loss and its gradients; its result is returned.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        if (capture := capturing()) is not None:
            capture.keep(self, self._rewinding, self._params())
            if capture.recording and call_in_replays(self, capture):
                return loss
        self._change()
        return loss

    def _change(self) -> None:
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            for p in params:
                g, array = p.grad, p.array
                same = g.array.dtype == array.dtype and g.array.shape == array.shape
                if g.backend is not p.backend or not same:
                    raise ShapeError(
                        f"a gradient must match its parameter, {p.shape} {p.dtype!r} on "
                        f"{p.backend.name!r}, got {g.shape} {g.dtype!r} on {g.backend.name!r}"
                    )
            self.update(params, group)

    def update(self, params: list[Tensor], group: Group) -> None:
        """Update ``params``, all of which have a gradient, with the options of their group."""
        start = self.start(group)
        for p in params:
            state, g = self.state_of(p, start), p.grad.array  # type: ignore[union-attr]
            if "step" in state:
                state["step"] += 1
            xp = p.backend.xp
            if not is_complex(p):
                new = self.new_value(xp, p.array, g, state, group)
                # NumPy's bfloat16 times a number is float32
                p.array = new if new.dtype == p.array.dtype else xp.astype(new, p.array.dtype)
                continue
            arrays = {k: _real_pairs(xp, v) for k, v in state.items() if k not in self.numbers}
            real = state | arrays
            new = self.new_value(xp, _real_pairs(xp, p.array), _real_pairs(xp, g), real, group)
            for name, value in real.items():
                state[name] = value if name in self.numbers else _complex(xp, value, p.array.dtype)
            p.array = _complex(xp, new, p.array.dtype)

    def state_of(self, p: Tensor, start: State) -> State:
        """The state of p; before its first step, ``start`` as arrays.

        Raises ShapeError or BackendError if p has changed its shape or backend since then, because
        kernels do not check it.
        """
        state = self.state[p]
        if not start.keys() <= state.keys():
            for name, value in start.items():
                if name not in state:
                    state[name] = value if name in self.numbers else full_array(p, value)
        shape, kind = p.array.shape, type(p.array)
        for name, value in state.items():
            if hasattr(value, "shape") and (value.shape != shape or type(value) is not kind):
                _expect_like(p, name, value)
        return state

    def new_value(self, xp: Any, p: Array, g: Array, state: State, group: Group) -> Array:
        """The new value of a parameter: ``maximize``, weight decay, then the formula."""
        if group.get("maximize"):
            g = -g
        if decay := group.get("weight_decay"):
            if group.get("decoupled_weight_decay", self.decoupled):
                p = p * (1 - group["lr"] * decay)
            else:
                g = g + decay * p
        return self.formula(xp, p, g, state, group)

    def start(self, group: Group) -> dict[str, Any]:
        """The state before the first step, by name; a number means an array filled with it."""
        return dict(self.initial)

    def formula(self, xp: Any, p: Array, g: Array, state: State, group: Group) -> Array:
        """The new value of p, whose gradient is g; ``state`` is updated in place."""
        raise NotImplementedError

    def can_capture(self, group: Group) -> bool:
        """Whether the steps of a group can be captured: no Python number changes between them."""
        return False

    def _rewinding(self) -> Callable[[], None]:
        """A function that restores the present state in the same arrays. State that the next step
        would create is created now."""
        now: list[tuple[State, State]] = []
        for group in self.param_groups:
            start = self.start(group)
            for p in group["params"]:
                if p.grad is not None:
                    state = self.state_of(p, start)
                    copies = {
                        k: copy_like(p, v) if hasattr(v, "shape") else v for k, v in state.items()
                    }
                    now.append((state, copies))

        def back() -> None:
            for state, copies in now:
                for name in state.keys() - copies.keys():
                    del state[name]
                for name, value in copies.items():
                    if hasattr(value, "shape"):
                        state[name][...] = value
                    else:
                        state[name] = value

        return back

    # -- saving and loading ---------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """A copy of the state in PyTorch's layout, with parameters numbered across all groups.

        ``{"state": {0: {"step": 3, "exp_avg": Tensor, …}, …}, "param_groups": [{"lr": …,
        "params": [0, 1]}, …]}``
        """
        number = {p: i for i, p in enumerate(self._params())}
        state = {
            number[p]: {
                name: wrap(copy_like(p, value), p.backend) if hasattr(value, "shape") else value
                for name, value in values.items()
            }
            for p, values in self.state.items()
            if values
        }
        groups = [g | {"params": [number[p] for p in g["params"]]} for g in self.param_groups]
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a state, ours or PyTorch's, moved to each parameter's device and dtype.

        It is loaded whole or not at all. Raises ArgumentError for the state of another class, with
        other options, or with other numbers of parameters in its groups.
        """
        expect_state(self, state_dict)
        groups = state_dict["param_groups"]
        numbers = [i for group in groups for i in group["params"]]
        state: dict[Tensor, State] = defaultdict(dict)
        for p, i in zip(self._params(), numbers, strict=True):
            saved = state_dict["state"].get(i, {})
            if saved:
                state[p] = {k: self._load_value(p, k, value) for k, value in saved.items()}
        self.param_groups = [
            ours
            # older releases of PyTorch lack it
            | ({"maximize": False} if "maximize" in self.defaults.keys() - saved.keys() else {})
            | check_options(dict(saved))
            | {"params": ours["params"]}
            for ours, saved in zip(self.param_groups, groups, strict=True)
        ]
        self.state = state

    def state_names(self, group: Group) -> tuple[set[str], set[str]] | None:
        """The names of the state that each parameter of a group has, and of optional state; None if
        the class does not declare them."""
        if type(self).start is Optimizer.start and not (self.lazily or self.initial):
            return None
        return {*self.start(group)}, {*self.lazily}

    def _load_value(self, p: Tensor, name: str, value: Any) -> Any:
        """A saved value, converted to the state of p."""
        if value is None:
            return None
        if name in self.numbers:
            return int(value) if name == "step" else float(value)
        x = asarray(value, dtype=p.dtype)
        if x.shape != p.shape:
            raise ShapeError(f"the state {name!r} of a parameter of shape {p.shape} has {x.shape}")
        return copy_like(p, move(x, p.backend, p.device).array)

    def _params(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]


# -- state ------------------------------------------------------------------------------------


def full_array(p: Tensor, value: float) -> Array:
    """A new array with the shape, dtype and device of p, filled with ``value`` (in both parts)."""
    fill = complex(value, value) if is_complex(p) else value
    return p.backend.xp.full(p.shape, fill, dtype=p.array.dtype, device=p.array.device)


def copy_like(p: Tensor, value: Array) -> Array:
    """A copy of ``value`` with the shape, dtype and device of p.

    copy() would keep the order of a transposed array, and a kernel that flattens such an array
    would write into a copy of it.
    """
    array = full_array(p, 0.0)
    array[...] = value
    return array


def _expect_like(p: Tensor, name: str, value: Array) -> None:
    """Raise ShapeError or BackendError for the state ``name`` of p."""
    anew = "make a new optimizer, or drop this state: del optimizer.state[p]"
    if value.shape != p.array.shape:
        raise ShapeError(
            f"the state {name!r} of a parameter of shape {p.shape} has {tuple(value.shape)}: "
            f"the parameter has changed its shape since the last step; {anew}"
        )
    if (owner := backends.of(value)) is not p.backend:  # also for a NumPy scalar
        raise BackendError(
            f"the state {name!r} of a parameter on {p.backend.name!r} lies on "
            f"{owner.name if owner else type(value).__name__!r}; {anew}"
        )


def average(mean: Array, x: Array, beta: float) -> None:
    """mean ← β mean + (1 - β) x, in place."""
    mean *= beta
    mean += (1 - beta) * x


def _real_pairs(xp: Any, z: Array) -> Array:
    """A complex array as a real one with one more axis."""
    return xp.stack([xp.real(z), xp.imag(z)], axis=-1)


def _complex(xp: Any, x: Array, dtype: Any) -> Array:
    """The complex array of real and imaginary parts."""
    return xp.astype(x[..., 0], dtype) + 1j * xp.astype(x[..., 1], dtype)
