"""Errors of Python and of the backends' libraries as errors of tinyxp.

Operations call ``explain``; other public functions are decorated with ``typed``.
"""

import dis
import functools
import inspect
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn, ParamSpec, TypeVar

from tinyxp import backends
from tinyxp.backends import Backend
from tinyxp.core import hints
from tinyxp.core.binding import bind
from tinyxp.core.tensor import Tensor
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

PASSED_ON = (TinyError, MemoryError, BufferError, Warning)  # these reach the caller unchanged


def kind_of(error: Exception) -> type[TinyError]:
    """Our type for an error of Python or of a library."""
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
    """The first line of an error's message, or its type."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def brief(x: Any) -> str:
    """An argument in an error: a Tensor by its shape and dtype, anything else shortened."""
    if isinstance(x, Tensor):
        return f"{x.shape} {x.dtype!r}"
    text = repr(x)
    return text if len(text) <= 60 else f"{text[:40]} … {text[-15:]}"


def describe(x: Any, backend: Backend) -> str:
    """An operand in an error: an array by its shape and dtype, anything else as it is."""
    if not hasattr(x, "shape"):
        return repr(x)
    return f"{tuple(x.shape)} {backend.dtype_names.get(x.dtype, x.dtype)}"


class foreign_errors:
    """A block of a call ``name(*args)`` that raises the errors of a library as ours."""

    def __init__(self, name: str, *args: Any) -> None:
        self.name, self.args = name, args

    def __enter__(self) -> None:  # contextlib's manager would take as long as two small calls
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, Exception) and not isinstance(error, PASSED_ON):
            raise problem(self.name, error, map(repr, self.args), kind_of(error)) from error


def problem(name: str, error: Exception, shown: Iterable[str], kind: type[TinyError]) -> TinyError:
    """Our error for that of a library in a call with these arguments."""
    return kind(f"{name} cannot take {', '.join(shown) or 'nothing'}: {first_line(error)}")


def typed(f: Callable[P, R], name: str = "") -> Callable[P, R]:
    """Decorate a public function that is no Operation: it takes PyTorch's keywords and raises our
    errors.

    ``name`` is for errors, instead of the function's own. Not for a function that calls code of the
    user, whose errors are the user's.
    """
    of_class = f.__name__ == "__init__"
    method = "." in f.__qualname__ and "<locals>" not in f.__qualname__
    places, names, open_ended = _parameters(f, method)

    @functools.wraps(f)
    def call(*args: Any, **options: Any) -> R:
        try:
            return f(*args, **options)
        except PASSED_ON:
            raise
        except Exception as error:
            called = (
                type(args[0]).__name__ if of_class and args else name or f.__qualname__.strip("_")
            )
            given, trace, bound = args[method:], error.__traceback__, options
            if trace is not None and trace.tb_next is None and not open_ended:
                # Python refused the arguments, so f was not entered: look at the keywords now
                bind(called, places, given[: len(places)], options, names)
                bound = bind(called, (), (), options, names)
            if bound.keys() == options.keys():
                kind, values = kind_of(error), [*given, *options.values()]
                if kind is ShapeError and not any(hasattr(x, "shape") for x in values):
                    kind = ArgumentError
                shown = [*map(brief, given), *(f"{k}={brief(x)}" for k, x in options.items())]
                raise problem(called, error, shown, kind) from error
        return call(*args, **bound)

    return call


def _parameters(f: Callable[..., Any], method: bool) -> tuple[list[str], frozenset[str], bool]:
    """The parameters by position and by keyword, without ``self``, and whether any is taken."""
    parameters = [*inspect.signature(f).parameters.values()][method:]
    places = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    names = [p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return places, frozenset(names), any(p.kind is p.VAR_KEYWORD for p in parameters)


def typed_init(cls: type) -> None:
    """Decorate the constructor of a class of tinyxp with ``typed``."""
    if cls.__module__.startswith("tinyxp.") and "__init__" in vars(cls):
        cls.__init__ = typed(cls.__init__)  # type: ignore[misc]


# -- operations -----------------------------------------------------------------------------------


def users_own(fn: Any, error: Exception) -> bool:
    """Whether an error comes from code that the user wrote, in an operation or a hook of their own,
    and not from a library that this code called. Then the user sees it unchanged."""
    if isinstance(error, (NameError, AssertionError, ImportError)):
        return True
    if getattr(fn, "__module__", "").startswith("tinyxp."):
        return False
    last: Any = error.__traceback__
    while last.tb_next is not None:
        last = last.tb_next
    types = [kind for backend in backends.loaded() for kind in backend.array_types]
    libraries = {"tinyxp", "numpy", "array_api_compat"}
    libraries |= {t.__module__.split(".")[0] for t in types}
    if last.tb_frame.f_globals.get("__name__", "").split(".")[0] in libraries:
        return False
    if fn is None:  # a hook
        return True
    # an array of a library written in C raises in the Python line that called it
    raised = dis.opname[last.tb_frame.f_code.co_code[last.tb_lasti]] == "RAISE_VARARGS"
    return raised or isinstance(error, (AttributeError, KeyError))


def explain(
    op: Any, arrays: Sequence[Any], static: dict[str, Any], backend: Backend, error: Exception
) -> NoReturn:
    """Raise the error of a backend's library as one of ours, which names the operation and its
    operands. The library's error stays its cause unless our own words replace it."""
    if isinstance(error, PASSED_ON):
        error.__suppress_context__ = True  # the shortcut met the same error before
        raise error
    if users_own(op.fn, error):
        raise error
    kind = kind_of(error)
    if kind is IndexingError and {"axis", "axes", "source"} & op.parameters:
        kind = AxisError  # libraries raise an IndexError for an axis that does not exist
    operands = ", ".join(
        [describe(x, backend) for x in arrays]
        + [f"{k}={v!r}" for k, v in static.items() if v is not op.defaults.get(k)]
    )
    reason = what_would_fit(op, arrays, static) if issubclass(kind, ShapeError) else None
    devices = {backend.device_of(x) for x in arrays if backend.owns(x)}
    if len(devices) > 1:
        kind = BackendError
        reason = f"they lie on the devices {sorted(devices)}; move one: x.to({min(devices)!r})"
    if kind is ShapeError and reason is None and op.broadcasts and len(op.operands) > 1:
        kind = ArgumentError  # the shapes fit, so a value does not
    error.__suppress_context__ = True
    cause = error if reason is None else None
    reason = reason or first_line(error)
    raise kind(f"{op.name} cannot take {operands} (backend {backend.name}): {reason}") from cause


def what_would_fit(op: Any, arrays: Sequence[Any], static: dict[str, Any]) -> str | None:
    """What is wrong with the shapes of a call, where we can say it better than the library."""
    shapes = [tuple(x.shape) for x in arrays if hasattr(x, "shape")]
    if op.broadcasts and (problem := hints.broadcast(*shapes)):
        return problem
    if op.name == "matmul" and len(shapes) == 2:
        return hints.for_matmul(*shapes).removeprefix("; ") or None
    if op.name == "reshape" and shapes:
        return hints.for_reshape(math.prod(shapes[0]), static["shape"])
    if op.name == "concat" and shapes and static.get("axis", 0) is not None:
        return hints.for_concat(shapes, static.get("axis", 0))
    if op.name == "permute_dims" and shapes:
        return hints.for_axes(static["axes"], len(shapes[0]))
    return None
