"""Operations: what primitives and composites share, their registry, and their errors."""

import dis
import functools
import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any, Generic, ParamSpec, TypeVar

import numpy as np

from tinyxp import backends
from tinyxp.backends import Backend
from tinyxp.core import dtypes
from tinyxp.core import hints as advice
from tinyxp.core.tensor import Tensor, namespace
from tinyxp.errors import (
    ArgumentError,
    AxisError,
    BackendError,
    DTypeError,
    IndexingError,
    ShapeError,
    TinyError,
)

P = ParamSpec("P")
R = TypeVar("R")

PYTORCH_NAMES = {  # and ours, where an operation has that and not the other
    "dim": "axis",
    "dims": "axis",
    "keepdim": "keepdims",
    "shifts": "shift",
    "diagonal": "k",
}

OPS: dict[str, "Operation[Any]"] = {}  # the registry: tests and docs read it
PASSED_ON = (TinyError, MemoryError, BufferError, Warning)  # as they are; the rest is explained


class Operation(Generic[P]):
    """What primitives and composites share: a name, operands, static parameters, examples.

    Operands are the positional-only parameters of ``fn``; what follows them is static.
    """

    broadcasts = False  # whether the operands' shapes are broadcast together
    real = False  # whether complex operands are refused
    autocast: str | None = None  # the precision that it chooses: "lower", "float32"

    def __init__(self, fn: Callable[..., Any], skip: int) -> None:
        self.name = fn.__name__.strip("_")
        self.fn = fn
        parameters = list(inspect.signature(fn).parameters.values())[skip:]
        self.variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        self.operands = tuple(p.name for p in parameters if p.kind is p.POSITIONAL_ONLY)
        self.statics = tuple(p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD)
        self.parameters = frozenset(p.name for p in parameters)
        self.bare = len(self.operands) == len(parameters)  # nothing but operands
        self.defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
        self.examples: list[Callable[[np.random.Generator], tuple[Any, ...]]] = []
        if self.name in OPS:
            raise ArgumentError(f"an operation named {self.name!r} is registered already")
        OPS[self.name] = self

    def refuse_complex(self, dtype: Any) -> DTypeError:
        """The error of an operation for real numbers that was given others."""
        return DTypeError(
            f"{self.name} is for real numbers, got {dtype!r}; take tx.real, tx.imag or tx.abs of it"
        )

    def public(self, skip: int) -> Any:
        """The function that users call, with the declaration's signature and docstring."""

        def call(*args: Any, **static: Any) -> Any:
            return self.call(args, static)

        functools.update_wrapper(call, self.fn)
        signature = inspect.signature(self.fn)
        call.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=list(signature.parameters.values())[skip:]
        )
        call.op = self  # type: ignore[attr-defined]
        call.example = self.example  # type: ignore[attr-defined]
        return call

    def call(self, args: tuple[Any, ...], static: dict[str, Any]) -> Any:
        raise NotImplementedError

    def spelled(self, static: dict[str, Any]) -> dict[str, Any]:
        """Static parameters under the operation's own names, where they came under PyTorch's.

        Raises DTypeError for one that it does not have, or that came under both names.
        """
        if static.keys() <= self.parameters:
            return static
        found: dict[str, Any] = {}
        for name, value in static.items():
            own = name if name in self.parameters else PYTORCH_NAMES.get(name)
            if own not in self.parameters:
                known = ", ".join(name for name in self.defaults) or "operands alone"
                raise DTypeError(f"{self.name} has no parameter {name!r}; it takes {known}")
            if own in found:
                raise given_twice(self.name, own)
            found[own] = value
        return found

    def example(self, make: Callable[[Any], tuple[Any, ...]]) -> Callable[[Any], tuple[Any, ...]]:
        """Declare inputs for the gradient tests: ``make(rng)`` returns the operands.

        A dict at the end holds static parameters. Floating operands are differentiated.
        """
        self.examples.append(make)
        return make

    def split(
        self, args: tuple[Any, ...], static: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Operands, and static parameters by name."""
        if self.variadic or len(args) <= len(self.operands):
            return args, static
        n = len(self.operands)
        if len(args) > n + len(self.statics):
            places = [*self.operands, *self.statics]
            raise DTypeError(
                f"{self.name} takes {len(places)} positional arguments ({', '.join(places)}), "
                f"got {len(args)}; pass the others by name"
            )
        placed = dict(zip(self.statics, args[n:], strict=False))
        for name in placed:
            if name in static:
                raise given_twice(self.name, name)
        if not isinstance(placed.get("keepdims", False), bool):
            raise DTypeError(
                f"{self.name} expects True or False for keepdims, got {placed['keepdims']!r}; give "
                "several axes as a tuple: axis=(0, 1)"
            )
        return args[:n], placed | static


def given_twice(name: str, parameter: str) -> DTypeError:
    """The error of an argument that came twice, by place and by name or under two names."""
    return DTypeError(f"{name} got {parameter} twice; give it once")


def in_float32(call: Callable[..., Any], args: Sequence[Any], static: dict[str, Any]) -> Any:
    """``call(args, static)`` with operands of 16 bits as float32, its result rounded once.

    The casts are recorded, so that what ``call`` saves, and its gradient, are in float32 too. A
    result stays as it is if it has a ``dtype`` of its own, or another operand is wider.
    """
    tx = namespace()
    floats = [x.dtype for x in args if isinstance(x, Tensor) and x.dtype.kind.endswith("floating")]
    target = functools.reduce(dtypes.promote, floats)
    y = call(widened(args), static)
    if target.itemsize > 2 or static.get("dtype") is not None:
        return y

    def rounded(part: Tensor) -> Tensor:
        return tx.astype(part, target) if part.dtype is dtypes.float32 else part

    return tuple([rounded(part) for part in y]) if isinstance(y, (tuple, list)) else rounded(y)


def widened(args: Sequence[Any]) -> tuple[Any, ...]:
    """Operands, those of 16 bits as float32."""
    return tuple([cast(x, dtypes.float32) if half(x) else x for x in args])


def floats(*args: Any) -> list[Any]:
    """Operands, those of integers or truth values as floating numbers of the others' dtype, or of
    the default one: in 8 bits 100 - 200 would wrap before a division could make it a fraction."""
    exact = [isinstance(x, Tensor) and dtypes.RANK[x.dtype.kind] < 2 for x in args]
    if not any(exact):
        return list(args)
    others = [x.dtype for x in args if isinstance(x, Tensor) and dtypes.RANK[x.dtype.kind] >= 2]
    target = functools.reduce(dtypes.promote, others) if others else dtypes.DEFAULT_FLOAT
    return [cast(x, target) if whole else x for x, whole in zip(args, exact, strict=True)]


def half(x: Any) -> bool:
    """Whether x is a Tensor of 16-bit floating numbers."""
    return isinstance(x, Tensor) and x.array.dtype in x.backend.halves


def cast(x: Tensor, dtype: dtypes.DType) -> Tensor:
    y: Tensor = namespace().astype(x, dtype)
    return y


def mixed(name: str, a: Backend, b: Backend) -> BackendError:
    """The error for operands of two backends."""
    return BackendError(
        f"{name}: operands on the backends {a.name!r} and {b.name!r}; "
        f"move one: x.to({a.name!r}) or x.to({b.name!r})"
    )


def users_own(fn: Any, error: Exception) -> bool:
    """Whether an error is one of what the user wrote, in an operation of their own, and not one of
    the library that it called: then it goes to the user as it is."""
    if isinstance(error, (NameError, AssertionError, ImportError)):
        return True
    if getattr(fn, "__module__", "").startswith("tinyxp."):
        return False
    last: Any = error.__traceback__
    while last.tb_next is not None:
        last = last.tb_next
    types = [kind for backend in backends.loaded() for kind in backend.array_types]
    libraries = {
        "tinyxp",
        "numpy",
        "array_api_compat",
        *(t.__module__.split(".")[0] for t in types),
    }
    if last.tb_frame.f_globals.get("__name__", "").split(".")[0] in libraries:
        return False
    if fn is None:  # a hook
        return True
    # an array of a library written in C raises in the line of Python that asked it
    raised = dis.opname[last.tb_frame.f_code.co_code[last.tb_lasti]] == "RAISE_VARARGS"
    return raised or isinstance(error, (AttributeError, KeyError))


def explain(
    op: Operation[Any],
    arrays: Sequence[Any],
    static: dict[str, Any],
    backend: Backend,
    error: Exception,
) -> tuple[TinyError, Exception | None]:
    """The error of a backend's library as one of ours, naming the operation and its operands; and
    the library's, where our words are not enough to do without it."""
    kind = kind_of(error)
    if kind is IndexingError and {"axis", "axes", "source"} & op.parameters:
        kind = AxisError  # libraries raise an IndexError for an axis that does not exist
    operands = ", ".join(
        [described(x, backend) for x in arrays]
        + [f"{k}={v!r}" for k, v in static.items() if v is not op.defaults.get(k)]
    )
    reason = what_would_fit(op, arrays, static) if issubclass(kind, ShapeError) else None
    devices = {backend.device_of(x) for x in arrays if backend.owns(x)}
    if len(devices) > 1:
        kind = BackendError
        reason = f"they lie on the devices {sorted(devices)}; move one: x.to({min(devices)!r})"
    if kind is ShapeError and reason is None and op.broadcasts and len(op.operands) > 1:
        kind = ArgumentError  # the shapes fit: it is a number that does not
    error.__suppress_context__ = True  # on the fast lane it was met before
    cause = error if reason is None else None
    reason = reason or first_line(error)
    return kind(f"{op.name} cannot take {operands} (backend {backend.name}): {reason}"), cause


def described(x: Any, backend: Backend) -> str:
    """An operand in an error: an array by its shape and dtype, anything else as it is."""
    if not hasattr(x, "shape"):
        return repr(x)
    return f"{tuple(x.shape)} {backend.dtype_names.get(x.dtype, x.dtype)}"


def kind_of(error: Exception) -> type[TinyError]:
    """Our type for an error of a backend's library."""
    known: tuple[tuple[type[Exception], type[TinyError]], ...] = (
        (TypeError, DTypeError),
        (AttributeError, DTypeError),  # a Tensor was expected
        (IndexError, IndexingError),
        (ArithmeticError, ArgumentError),
        (NotImplementedError, DTypeError),  # for operands of this dtype
    )
    if "ZeroDivisionError" in str(error):  # PyTorch's RuntimeError
        return ArgumentError
    return next((ours for theirs, ours in known if isinstance(error, theirs)), ShapeError)


def first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


class explained:
    """Raise the errors of a library inside as ours, for a function that is no Operation."""

    def __init__(self, name: str, *given: Any) -> None:
        self.name, self.given = name, given

    def __enter__(self) -> None:  # by hand: contextlib's manager takes as long as two small calls
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, Exception) and not isinstance(error, PASSED_ON):
            shown = ", ".join(map(repr, self.given))
            problem = f"{self.name} cannot take {shown}: {first_line(error)}"
            raise kind_of(error)(problem) from error


def respelled(f: Callable[..., R]) -> Callable[..., R]:
    """``f``, a function that is no Operation, with keywords under PyTorch's names, too, or ours."""
    names = frozenset(inspect.signature(f).parameters)
    others = PYTORCH_NAMES | {"axis": "dim", "keepdims": "keepdim"}

    @functools.wraps(f)
    def call(*args: Any, **options: Any) -> R:
        if options and not options.keys() <= names:
            found: dict[str, Any] = {}
            for name, value in options.items():
                own = name if name in names else others.get(name, name)
                if own in found:
                    raise given_twice(f.__name__, own)
                found[own] = value
            options = found
        return f(*args, **options)

    return call


def typed(f: Callable[P, R]) -> Callable[P, R]:
    """``f``, whose foreign errors become ours: for a public function that is no Operation.

    Not for one that calls what users wrote, whose errors are theirs.
    """
    made = f.__name__ == "__init__"
    method = "." in f.__qualname__ and "<locals>" not in f.__qualname__

    @functools.wraps(f)
    def call(*args: P.args, **options: P.kwargs) -> R:
        try:
            return f(*args, **options)
        except PASSED_ON:
            raise
        except Exception as error:
            kind = kind_of(error)
            name = type(args[0]).__name__ if made and args else f.__qualname__
            given = [*args[method:], *options.values()]
            if kind is ShapeError and not any(hasattr(x, "shape") for x in given):
                kind = ArgumentError
            shown = [*map(brief, args[method:]), *(f"{k}={brief(x)}" for k, x in options.items())]
            problem = f"{name} cannot take {', '.join(shown) or 'nothing'}: {first_line(error)}"
            raise kind(problem) from error

    return call


def typed_init(cls: type) -> None:
    """Make the constructor of a class typed, if the class is ours."""
    if cls.__module__.startswith("tinyxp.") and "__init__" in vars(cls):
        cls.__init__ = typed(cls.__init__)  # type: ignore[misc]


def brief(x: Any) -> str:
    """An argument in an error: a Tensor by its shape and dtype, anything else in a few letters."""
    if isinstance(x, Tensor):
        return f"{x.shape} {x.dtype!r}"
    text = repr(x)
    return text if len(text) <= 60 else f"{text[:40]} … {text[-15:]}"


def expect_callable(name: str, f: Any) -> None:
    """Raise DTypeError unless ``f`` can be called."""
    if not callable(f):
        raise DTypeError(f"{name} expects a function, got {type(f).__name__}")


def expect_tensors(name: str, *args: Any) -> None:
    """Raise DTypeError unless all ``args`` are Tensors."""
    for x in args:
        if not isinstance(x, Tensor):
            raise DTypeError(f"{name} expects Tensors, got {type(x).__name__}; use tx.asarray")


def what_would_fit(op: Operation[Any], arrays: Sequence[Any], static: dict[str, Any]) -> str | None:
    """What is wrong with the shapes of a call, in our words, where we have any."""
    shapes = [tuple(x.shape) for x in arrays if hasattr(x, "shape")]
    if op.broadcasts and (problem := advice.broadcast(*shapes)):
        return problem
    if op.name == "matmul" and len(shapes) == 2:
        return advice.for_matmul(*shapes).removeprefix("; ") or None
    if op.name == "reshape" and shapes:
        return advice.for_reshape(math.prod(shapes[0]), static["shape"])
    if op.name == "concat" and shapes and static.get("axis", 0) is not None:
        return advice.for_concat(shapes, static.get("axis", 0))
    if op.name == "permute_dims" and shapes:
        return advice.for_axes(static["axes"], len(shapes[0]))
    return None
