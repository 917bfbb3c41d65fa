"""Operations: the base of primitives and composites, and their registry."""

import functools
import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any, Generic, ParamSpec

import numpy as np

from tinyxp.backends import Backend
from tinyxp.core import dtypes
from tinyxp.core.binding import bind
from tinyxp.core.tensor import Tensor, namespace
from tinyxp.errors import ArgumentError, BackendError, DTypeError

P = ParamSpec("P")

OPS: dict[str, "Operation[Any]"] = {}  # the registry: tests and docs read it


class Operation(Generic[P]):
    """The base of primitives and composites: a name, operands, static parameters and examples.

    Operands are the positional-only parameters of ``fn``; all others are static.
    """

    broadcasts = False  # whether the shapes of the operands are broadcast together
    real = False  # whether complex operands are refused
    autocast: str | None = None  # the precision that the operation chooses: "lower", "float32"

    def __init__(self, fn: Callable[..., Any], skip: int) -> None:
        self.name = fn.__name__.strip("_")
        self.fn = fn
        parameters = list(inspect.signature(fn).parameters.values())[skip:]
        self.variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        self.operands = tuple(p.name for p in parameters if p.kind is p.POSITIONAL_ONLY)
        self.most = math.inf if self.variadic else len(self.operands)  # operands in a call
        self.statics = tuple(p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD)
        self.parameters = frozenset(p.name for p in parameters)
        by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        self.keywords = tuple(p.name for p in parameters if p.kind in by_name)
        self.known = frozenset(self.keywords)
        self.bare = len(self.operands) == len(parameters)  # there are no static parameters
        self.defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
        self.examples: list[Callable[[np.random.Generator], tuple[Any, ...]]] = []
        if self.name in OPS:
            raise ArgumentError(f"an operation named {self.name!r} is registered already")
        OPS[self.name] = self

    def refuse_complex(self, dtype: Any) -> DTypeError:
        """The error of an operation on real numbers that got complex ones."""
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

    def example(self, make: Callable[[Any], tuple[Any, ...]]) -> Callable[[Any], tuple[Any, ...]]:
        """Declare inputs for the gradient tests: ``make(rng)`` returns the operands.

        A dict at the end holds static parameters. Floating operands are differentiated.
        """
        self.examples.append(make)
        return make

    def bind(
        self, args: tuple[Any, ...], static: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The operands, and the static parameters by their own names.

        Raises DTypeError for a parameter that is unknown or given twice.
        """
        n = len(args) if self.variadic else len(self.operands)
        rest = args[n:]
        bound = bind(
            self.name, self.statics, rest, static, self.keywords, self.operands[: len(args)]
        )
        if "keepdims" in self.statics[: len(rest)] and not isinstance(bound["keepdims"], bool):
            raise DTypeError(
                f"{self.name} expects True or False for keepdims, got {bound['keepdims']!r}; give "
                "several axes as a tuple: axis=(0, 1)"
            )
        return args[:n], bound


# -- dtypes of operands ---------------------------------------------------------------------------


def in_float32(call: Callable[..., Any], args: Sequence[Any], static: dict[str, Any]) -> Any:
    """``call(args, static)`` with 16-bit operands as float32 and its result rounded once.

    The casts are recorded, so the saved arrays and the gradient are float32 too. The result is not
    rounded if the call names a ``dtype`` or another operand is wider.
    """
    tx = namespace()
    floats = [x.dtype for x in args if isinstance(x, Tensor) and x.dtype.kind.endswith("floating")]
    target = functools.reduce(dtypes.promote, floats)
    y = call(to_float32(args), static)
    if target.itemsize > 2 or static.get("dtype") is not None:
        return y

    def rounded(part: Tensor) -> Tensor:
        return tx.astype(part, target) if part.dtype is dtypes.float32 else part

    return tuple([rounded(part) for part in y]) if isinstance(y, (tuple, list)) else rounded(y)


def to_float32(args: Sequence[Any]) -> tuple[Any, ...]:
    """Operands, those of 16 bits as float32."""
    return tuple([cast(x, dtypes.float32) if is_half(x) else x for x in args])


def floats(*args: Any) -> list[Any]:
    """Operands, integers and booleans among them as floats of the others' dtype or the default one:
    in 8 bits 100 - 200 would wrap before a division could make it a fraction."""
    exact = [isinstance(x, Tensor) and dtypes.RANK[x.dtype.kind] < 2 for x in args]
    if not any(exact):
        return list(args)
    others = [x.dtype for x in args if isinstance(x, Tensor) and dtypes.RANK[x.dtype.kind] >= 2]
    target = functools.reduce(dtypes.promote, others) if others else dtypes.DEFAULT_FLOAT
    return [cast(x, target) if whole else x for x, whole in zip(args, exact, strict=True)]


def is_half(x: Any) -> bool:
    """Whether x is a Tensor of 16-bit floats."""
    return isinstance(x, Tensor) and x.array.dtype in x.backend.halves


def cast(x: Tensor, dtype: dtypes.DType) -> Tensor:
    y: Tensor = namespace().astype(x, dtype)
    return y


# -- checks of operands ---------------------------------------------------------------------------


def mixed(name: str, a: Backend, b: Backend) -> BackendError:
    """The error for operands of two backends."""
    return BackendError(
        f"{name}: operands on the backends {a.name!r} and {b.name!r}; "
        f"move one: x.to({a.name!r}) or x.to({b.name!r})"
    )


def expect_callable(name: str, f: Any) -> None:
    """Raise DTypeError unless ``f`` can be called."""
    if not callable(f):
        raise DTypeError(f"{name} expects a function, got {type(f).__name__}")


def expect_tensors(name: str, *args: Any) -> None:
    """Raise DTypeError unless all ``args`` are Tensors."""
    for x in args:
        if not isinstance(x, Tensor):
            raise DTypeError(f"{name} expects Tensors, got {type(x).__name__}; use tx.asarray")
