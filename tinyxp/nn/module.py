"""Module: the base of layers and models, which holds their tensors by name."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Self

from tinyxp.core import dtypes
from tinyxp.core.tensor import Tensor
from tinyxp.errors import ArgumentError, DTypeError, TinyError
from tinyxp.nn.hooks import Hooked
from tinyxp.nn.parameter import Parameter, as_tensor, like
from tinyxp.ops.creation import to as moved_to
from tinyxp.ops.creation import zeros_like

__all__ = ["Module", "ModuleError"]

REGISTRIES = ("_parameters", "_buffers", "_modules")


class ModuleError(TinyError, AttributeError):
    """A module lacks an attribute or ``forward``, or was used before ``super().__init__()``."""


class IncompatibleKeys(NamedTuple):
    """The keys that ``load_state_dict`` missed, and the keys that it did not expect."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Module(Hooked):
    """The base of all layers and models: parameters, buffers and submodules, by attribute name.

    A subclass calls ``super().__init__()`` first, assigns Parameters and Modules to attributes, and
    defines ``forward``; calling the module calls it. Raises ModuleError for a missing attribute.

    >>> class Scale(tx.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.factor = tx.nn.Parameter([2.0])
    ...     def forward(self, x):
    ...         return x * self.factor
    >>> list(Scale().state_dict())
    ['factor']
    """

    training: bool
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, "Module | None"]
    _transient: set[str]  # buffers that are not in the state dict

    def __init__(self) -> None:
        # not by __setattr__, which needs these registries
        self.__dict__.update(
            training=True, _parameters={}, _buffers={}, _modules={}, _transient=set(), _hooks={}
        )

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output; subclasses define it."""
        raise ModuleError(f"{type(self).__name__} does not define forward()")

    # -- attributes ---------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        held = next((r for r in REGISTRIES if name in self.__dict__.get(r, ())), None)
        if isinstance(value, Parameter):
            self._register("_parameters", name, value, moves=True)
        elif isinstance(value, Module) and held != "_parameters":
            self._register("_modules", name, value, moves=True)
        elif held is None:
            object.__setattr__(self, name, value)
        elif value is None or (held == "_buffers" and isinstance(value, Tensor)):
            self.__dict__[held][name] = value
        else:
            raise DTypeError(
                f"{type(self).__name__}.{name} is one of its {held[1:]}, got "
                f"{type(value).__name__}; assign one, or None, or change its values by "
                "load_state_dict or nn.init"
            )

    def __getattr__(self, name: str) -> Any:
        # Python calls this only if the ordinary lookup fails
        held = self.__dict__
        for registry in REGISTRIES:
            if registry in held and name in held[registry]:
                return held[registry][name]
        if "_modules" not in held:
            why = "its __init__ did not call super().__init__()"
            raise ModuleError(f"{type(self).__name__} has no attribute {name!r}; {why}")
        known = [*self._parameters, *self._buffers, *self._modules]
        known += [k for k in self.__dict__ if not k.startswith("_")]
        raise ModuleError(f"{type(self).__name__} has no attribute {name!r}; it has {known}")

    def __delattr__(self, name: str) -> None:
        for registry in (self._parameters, self._buffers, self._modules):
            if name in registry:
                del registry[name]
                self._transient.discard(name)
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._parameters, *self._buffers, *self._modules]

    def _register(self, registry: str, name: str, value: Any, moves: bool = False) -> None:
        """Put a value into a registry, or with ``moves`` from one into another; not under the name
        of an attribute of the class, which would hide it."""
        held, kind = self.__dict__, type(self)
        if registry not in held:
            then = "call super().__init__() first in __init__"
            raise ModuleError(f"cannot set {kind.__name__}.{name} yet; {then}")
        if not isinstance(name, str):
            raise DTypeError(f"a name must be a string, got {name!r}; take {str(name)!r}")
        if not name or "." in name:
            raise ArgumentError(f"a name must be without dots and not empty, got {name!r}")
        others = [held, *(held[other] for other in REGISTRIES if other != registry)]
        hiding = [base.__dict__ for base in kind.__mro__] + ([] if moves else others)
        if any(name in names for names in hiding):
            what = f"an attribute {name!r}, which is not one of its {registry[1:]}"
            raise ArgumentError(f"{kind.__name__} already has {what}; take another name")
        for other in others:
            other.pop(name, None)
        held[registry][name] = value

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter, or None for an optional parameter that is absent."""
        if not isinstance(param, Parameter | None):
            raise DTypeError(f"{name} must be an nn.Parameter or None, got {type(param).__name__}")
        self._register("_parameters", name, param)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that is not learned; if ``persistent``, it is part of the state dict."""
        if not isinstance(tensor, Tensor | None):
            raise DTypeError(f"{name} must be a Tensor or None, got {type(tensor).__name__}")
        self._register("_buffers", name, tensor)
        (self._transient.discard if persistent else self._transient.add)(name)

    def add_module(self, name: str, module: "Module | None") -> None:
        """Add a submodule, or None for an optional one that is absent."""
        if not isinstance(module, Module | None):
            raise DTypeError(f"{name} must be an nn.Module or None, got {type(module).__name__}")
        self._register("_modules", name, module)

    register_module = add_module

    # -- iteration ----------------------------------------------------------------------------

    def named_children(self) -> Iterator[tuple[str, "Module"]]:
        """Iterate over the direct submodules and their names, each module once."""
        seen: set[Module] = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def children(self) -> Iterator["Module"]:
        """Iterate over the direct submodules, each once."""
        return (module for _, module in self.named_children())

    def named_modules(
        self, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, "Module"]]:
        """Iterate over this module and all submodules, with dotted names."""
        seen: set[Module] = set()
        # a stack, as a recursive closure would leave a reference cycle at every call
        waiting = [(prefix, self)]
        while waiting:
            name, module = waiting.pop()
            if module in seen:
                continue
            if remove_duplicate:
                seen.add(module)
            yield name, module
            for child_name, child in reversed(module._modules.items()):
                if child is not None:
                    waiting.append((f"{name}.{child_name}" if name else child_name, child))

    def modules(self) -> Iterator["Module"]:
        """Iterate over this module and all submodules, each once."""
        return (module for _, module in self.named_modules())

    def _named(
        self, registry: str, prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        modules = self.named_modules(prefix, remove_duplicate) if recurse else [(prefix, self)]
        for path, module in modules:
            for name, tensor in getattr(module, registry).items():
                if tensor is None or id(tensor) in seen:
                    continue
                if remove_duplicate:
                    seen.add(id(tensor))
                yield (f"{path}.{name}" if path else name), tensor

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Iterate over dotted names and parameters; a tied one has its first name only."""
        return self._named("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Iterate over the parameters, each once."""
        return (p for _, p in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Iterate over dotted names and buffers."""
        return self._named("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """Iterate over the buffers, each once."""
        return (b for _, b in self.named_buffers(recurse=recurse))

    def get_submodule(self, target: str) -> "Module":
        """Return the module at a dotted path; '' is this module. Raises ModuleError."""
        module = self
        for name in target.split(".") if target else ():
            if (found := module._modules.get(name)) is None:
                raise ModuleError(
                    f"{type(module).__name__} has no submodule {name!r} (in {target!r}); "
                    f"it has {list(module._modules)}"
                )
            module = found
        return module

    def get_parameter(self, target: str) -> Parameter:
        """Return the parameter at a dotted path. Raises ModuleError."""
        return self._at("_parameters", target)

    def get_buffer(self, target: str) -> Tensor:
        """Return the buffer at a dotted path. Raises ModuleError."""
        return self._at("_buffers", target)

    def _at(self, registry: str, target: str) -> Any:
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        held = getattr(module, registry)
        if name not in held:
            raise ModuleError(
                f"{type(module).__name__} has no {name!r} among its {registry[1:]} (in "
                f"{target!r}); it has {list(held)}"
            )
        return held[name]

    # -- state --------------------------------------------------------------------------------

    def _state(self) -> dict[str, Tensor]:
        """The tensors of the state dict themselves, tied ones under every name, as in PyTorch."""
        state: dict[str, Tensor] = {}
        for path, module in self.named_modules(remove_duplicate=False):
            dot = f"{path}." if path else ""
            kept = {k: v for k, v in module._buffers.items() if k not in module._transient}
            for name, tensor in (module._parameters | kept).items():
                if tensor is not None:
                    state[dot + name] = tensor
        return state

    def state_dict(self) -> dict[str, Tensor]:
        """Return every parameter and persistent buffer by its dotted name, detached.

        Optimizer steps and ``load_state_dict`` do not change it. A write in place, to one of its
        tensors or to a parameter, changes both, as in PyTorch; ``copy.deepcopy`` prevents that.
        """
        return {name: tensor.detach() for name, tensor in self._state().items()}

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> IncompatibleKeys:
        """Copy the values of ``state`` (Tensors or arrays) into parameters and buffers.

        Each keeps its identity, dtype, backend and device. Raises ArgumentError that names every
        missing, unexpected (if ``strict``) and misshapen key; then nothing has changed.
        """
        for path, module in self.named_modules():
            module._meet(state, path)
        own = self._state()
        missing = [name for name in own if name not in state]
        unexpected = [name for name in state if name not in own]
        found = {name: as_tensor(state[name]) for name in own if name in state}
        misshapen = [
            f"{name}: expected {own[name].shape}, got {value.shape}"
            for name, value in found.items()
            if value.shape != own[name].shape
        ]
        wrong = {"misshapen": misshapen}
        if strict:
            wrong = {"missing": missing, "unexpected": unexpected} | wrong
        if any(wrong.values()):
            parts = [f"{what}: {', '.join(keys)}" for what, keys in wrong.items() if keys]
            hint = "" if misshapen else "; pass strict=False to load what fits"
            raise ArgumentError(
                f"the state does not fit {type(self).__name__}; {'; '.join(parts)}{hint}"
            )
        fitted = {name: like(value, own[name]) for name, value in found.items()}
        for name, value in fitted.items():
            own[name].array = value.array
        return IncompatibleKeys(missing, unexpected)

    def _meet(self, state: Mapping[str, Any], path: str) -> None:
        """Prepare to load a state, in which this module has the name ``path``."""

    # -- all parameters and submodules --------------------------------------------------------

    def train(self, mode: bool = True) -> Self:
        """Put this module and all submodules into training mode, in which dropout is active."""
        if not isinstance(mode, bool):
            raise DTypeError(f"train expects True or False, got {mode!r}")
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Put all into evaluation mode: ``train(False)``."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Set whether the parameters require gradients; False freezes them."""
        for p in self.parameters():
            p.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Set the gradients of all parameters to None, or to zeros."""
        for p in self.parameters():
            p.grad = None if set_to_none or p.grad is None else zeros_like(p.grad)

    def apply(self, fn: Callable[["Module"], Any]) -> Self:
        """Call ``fn`` on every submodule, then on this module."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def to(self, backend_or_device: Any = None, dtype: Any = None) -> Self:
        """Move all parameters and buffers, in place, to another backend, device or floating dtype.

        ``model.to("torch")``, ``model.to("cuda:0")``, ``model.to(dtype=tx.float64)``. Tensors keep
        their identity, so tied weights stay tied; only floating ones change their dtype.
        """
        if isinstance(backend_or_device, dtypes.DType):
            backend_or_device, dtype = None, backend_or_device
        if dtype is not None and dtypes.as_dtype(dtype).kind != "real floating":
            raise DTypeError(f"a module takes a real floating dtype, got {dtype!r}")

        def move(tensor: Tensor) -> None:
            floating = tensor.dtype.kind == "real floating"
            new = moved_to(tensor.detach(), backend_or_device, dtype=dtype if floating else None)
            tensor.array, tensor.backend = new.array, new.backend

        for tensor in (*self.parameters(), *self.buffers()):
            gradient, tensor.grad = tensor.grad, None
            move(tensor)
            if gradient is not None:
                own = gradient.detach()  # the user may hold the gradient, which must not move
                move(own)
                tensor.grad = own
        return self

    def half(self) -> Self:
        """Convert all floating tensors to float16."""
        return self.to(dtype=dtypes.float16)

    def bfloat16(self) -> Self:
        """Convert all floating tensors to bfloat16."""
        return self.to(dtype=dtypes.bfloat16)

    def float(self) -> Self:
        """Convert all floating tensors to float32."""
        return self.to(dtype=dtypes.float32)

    def double(self) -> Self:
        """Convert all floating tensors to float64."""
        return self.to(dtype=dtypes.float64)

    # -- repr ---------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """The text between the brackets of ``repr``; subclasses override it."""
        return ""

    def __repr__(self) -> str:
        """As in PyTorch, followed by the shapes of the module's own parameters and their total."""
        own = [f"{name} {p.shape}" for name, p in self._parameters.items() if p is not None]
        total = sum(p.size for p in self.parameters())
        shapes = f"{', '.join(own)}: " if own else ""
        note = f"  # {shapes}{total:,} parameters" if total else ""
        children = [f"({name}): {text}" for name, text in self._children_repr()]
        extra = self.extra_repr()
        if not children:
            return f"{type(self).__name__}({extra}){note}"
        lines = [extra, *children] if extra else children
        body = "\n".join(lines).replace("\n", "\n  ")
        return f"{type(self).__name__}(\n  {body}\n){note}"

    def _children_repr(self) -> Iterable[tuple[str, str]]:
        """The names of the submodules and their repr."""
        return ((name, repr(child)) for name, child in self._modules.items())
