"""Hooks: functions that a module calls before and after its forward and backward passes."""

import itertools
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, Self

from tinyxp.backends import Backend
from tinyxp.core.dtypes import DType
from tinyxp.core.foreign_errors import typed_init
from tinyxp.core.primitive import Projection
from tinyxp.core.tape import Node, at_border, edge_of, is_grad_enabled
from tinyxp.core.tensor import Tensor, wrap
from tinyxp.core.tree import fill, leaves
from tinyxp.errors import BackendError, DTypeError, ShapeError, TinyError

__all__ = ["RemovableHandle"]

_numbers = itertools.count()  # of hooks, in the order in which they were registered


class RemovableHandle:
    """Returned when a hook is registered: ``remove()``, or the end of a ``with``, removes the hook.

    >>> model = tx.nn.Linear(2, 1)
    >>> with model.register_forward_hook(lambda module, args, y: print(y.shape)):
    ...     _ = model(tx.zeros((3, 2)))
    (3, 1)
    """

    def __init__(self, hooks: dict[int, Any]) -> None:
        self.hooks, self.number = hooks, next(_numbers)

    def remove(self) -> None:
        """Remove the hook; a second call does nothing."""
        self.hooks.pop(self.number, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


class Hooked:
    """The part of a Module that calls ``forward`` and its hooks."""

    _hooks: dict[str, dict[int, tuple[Callable[..., Any], bool]]]  # kind -> number -> hook, option

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        typed_init(cls)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            if not self._hooks:
                return self.forward(*args, **kwargs)
            return _call(self, args, kwargs)
        except TinyError as error:
            _locate(error, self)
            raise

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, args)`` before ``forward``; a result other than None replaces
        ``args``.

        ``with_kwargs``: ``hook(module, args, kwargs)``, which may return both. ``prepend`` puts it
        before the existing hooks.
        """
        return self._add("forward_pre", hook, prepend, with_kwargs)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, args, output)`` after ``forward``; a result other than None replaces
        the output.

        ``with_kwargs``: ``hook(module, args, kwargs, output)``.
        """
        return self._add("forward", hook, prepend, with_kwargs)

    def register_full_backward_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, grad_output)`` when the gradients of all outputs are known.

        ``grad_output`` is a tuple, with None for an unused output; a result other than None
        replaces it.
        """
        return self._add("backward_pre", hook, prepend)

    def register_full_backward_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, grad_input, grad_output)`` when all inputs have their gradients.

        Both are tuples, ``grad_input`` with None for positional arguments without a gradient (if no
        argument has one, it is empty); a result other than None replaces ``grad_input``.

        >>> model = tx.nn.Linear(1, 1, bias=False)
        >>> _ = tx.nn.init.ones_(model.weight)
        >>> _ = model.register_full_backward_hook(lambda module, gx, gy: print(gx, gy))
        >>> model(tx.asarray([[1.0]], requires_grad=True)).sum().backward()
        (tensor([[1.]]),) (tensor([[1.]]),)
        """
        return self._add("backward", hook, prepend)

    def _add(
        self, kind: str, hook: Callable[..., Any], prepend: bool, option: bool = False
    ) -> RemovableHandle:
        if not callable(hook):
            raise DTypeError(f"a hook must be a function, got {type(hook).__name__}")
        hooks = self._hooks.setdefault(kind, {})
        handle = RemovableHandle(hooks)
        rest = dict(hooks) if prepend else {}
        if prepend:
            hooks.clear()
        hooks[handle.number] = (hook, option)
        hooks.update(rest)
        return handle


def _locate(error: TinyError, module: Any) -> None:
    """Record in an error that it was raised in a module, so that it names the path to it."""
    error.trail = trail = (*error.trail, module)
    names = [
        next((name for name, m in outer.named_modules() if m is inner), "")
        for inner, outer in pairwise(trail)
    ]
    path = ".".join(name for name in reversed(names) if name)
    kind = f"{type(trail[0]).__name__}({trail[0].extra_repr()})"
    error.where = f"{path}, a {kind} of {type(module).__name__}" if path else kind


def _call(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call ``module.forward`` and its hooks."""
    hooks = {kind: list(some.values()) for kind, some in module._hooks.items()}
    for hook, with_kwargs in hooks.get("forward_pre", ()):
        new = hook(module, args, kwargs) if with_kwargs else hook(module, args)
        if new is not None:
            new, kwargs = new if with_kwargs else (new, kwargs)
            args = new if isinstance(new, tuple) else (new,)
    watch = None
    if is_grad_enabled() and (hooks.get("backward") or hooks.get("backward_pre")):
        watch = _Watch(module, hooks)
        args = watch.inputs(args)
    output = module.forward(*args, **kwargs)
    for hook, with_kwargs in hooks.get("forward", ()):
        new = hook(module, args, kwargs, output) if with_kwargs else hook(module, args, output)
        output = output if new is None else new
    return output if watch is None else watch.outputs(output)


class _Watch:
    """The backward hooks of one call: an identity after its outputs, and one before its inputs."""

    def __init__(self, module: Any, hooks: dict[str, list[Any]]) -> None:
        self.module = module
        self.before, self.after = hooks.get("backward_pre", []), hooks.get("backward", [])
        self.grad_output: tuple[Any, ...] = ()
        self.has_inputs = False
        self.args: list[Any] = []  # the shapes, dtypes and backends of the inputs
        self.results: list[Any] = []

    def inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        self.has_inputs = any(edge_of(x) is not None for x in args)
        self.args = [Spec.of(x) for x in args]
        return tuple(gate(args, self.at_inputs)) if self.has_inputs else args

    def outputs(self, output: Any) -> Any:
        values = [leaf for _, leaf in leaves(output)]
        self.results = [Spec.of(x) for x in values]
        return fill(output, gate(values, self.at_outputs))

    def at_outputs(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        for hook, _ in self.before:
            grads = self.replacement(hook(self.module, grads), grads, self.results)
        self.grad_output = grads
        if not self.has_inputs:
            for hook, _ in self.after:
                hook(self.module, (), grads)
        return grads

    def at_inputs(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        for hook, _ in self.after:
            grads = self.replacement(hook(self.module, grads, self.grad_output), grads, self.args)
        return grads

    def replacement(
        self, new: Any, grads: tuple[Any, ...], specs: Sequence["Spec | None"]
    ) -> tuple[Any, ...]:
        """Return the result of a hook, if it fits in place of ``grads``; or ``grads``, for None.

        Raises DTypeError, ShapeError or BackendError that name the module: the kernels that
        receive the gradients do not check them.
        """
        if new is None:
            return grads
        new = new if isinstance(new, tuple) else (new,)
        hook = f"a backward hook of {type(self.module).__name__}({self.module.extra_repr()})"
        if len(new) != len(grads):
            raise DTypeError(f"{hook} must return {len(grads)} gradients or None, got {len(new)}")
        for i, (g, spec) in enumerate(zip(new, specs, strict=True)):
            if g is not None and not isinstance(g, Tensor):
                raise DTypeError(
                    f"{hook} must return Tensors or None, got {type(g).__name__} at {i}"
                )
            if g is not None and spec is not None:
                spec.expect(g, hook, i)
        return new


class Spec(NamedTuple):
    """The shape, dtype and backend that the gradient of a tensor must have."""

    shape: tuple[int, ...]
    dtype: DType
    backend: Backend

    @classmethod
    def of(cls, x: Any) -> "Spec | None":
        """The spec of a tensor that requires grad; None for anything else."""
        return None if edge_of(x) is None else cls(x.shape, x.dtype, x.backend)

    def expect(self, g: Tensor, hook: str, i: int) -> None:
        """Raise an error if gradient number i, which ``hook`` returned, does not fit."""
        got = Spec(g.shape, g.dtype, g.backend)
        kinds = ShapeError, DTypeError, BackendError
        for kind, ours, theirs in zip(kinds, got, self, strict=True):
            if ours != theirs:
                raise kind(
                    f"{hook} must return gradients like its tensors, at {i} {self.shape} "
                    f"{self.dtype!r} on {self.backend.name!r}, got {got.shape} {got.dtype!r} on "
                    f"{got.backend.name!r}"
                )


class _Gate:
    """The identity on several tensors, which passes all their gradients to a function at once."""

    name = "module_hook"

    def pull(self, node: Node, g: Any, recording: bool) -> Sequence[Any]:
        show, places = node.context
        shown = [
            None if part is None else part if recording else wrap(part, backend)
            for part, backend in zip(g, places, strict=True)
        ]
        new = show(tuple(None if part is None else at_border(part) for part in shown))
        new = [None if part is None else at_border(part) for part in new]
        return new if recording else [None if part is None else part.array for part in new]


def gate(values: Sequence[Any], show: Callable[[tuple[Any, ...]], tuple[Any, ...]]) -> list[Any]:
    """Return ``values``, with one node behind the tensors that require grad: it calls ``show`` with
    the gradients of all values (None where there is none), and continues with its result."""
    edges = [edge_of(x) for x in values]
    if all(edge is None for edge in edges):
        return list(values)
    places = [x.backend if isinstance(x, Tensor) else None for x in values]
    node, n = Node(_Gate(), edges, (show, places)), len(edges)
    return [
        x
        if edge is None
        else wrap(x.array, x.backend, Node(Projection(node.op.name, i, n), (node,), ()))
        for i, (x, edge) in enumerate(zip(values, edges, strict=True))
    ]
