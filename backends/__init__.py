"""Backends: the array libraries that tinyxp runs on. Floor 0: nothing here knows of Tensors.

A backend is a library that follows the Python Array API, with the few things that the standard
leaves out (moving to and from NumPy, scatter-add) and, where they pay, fused kernels. Everything
above this floor is written once, against ``Backend.xp``.
"""

import functools
import importlib
import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

if __name__ != "tinyxp.backends":
    raise ImportError(
        f"this package is tinyxp.backends, not {__name__!r}: install tinyxp (pip install -e .) "
        "and write `import tinyxp`"
    )

from tinyxp.backends.common.capture import Recording
from tinyxp.backends.common.context import Block, bound
from tinyxp.backends.common.extras import advice
from tinyxp.backends.common.memory import Memory
from tinyxp.errors import BackendError, TinyError

Array = Any  # an array of whichever library runs underneath
Needs = tuple[bool, ...]  # which operands of a kernel need their gradients
Gradients = tuple[Array | None, ...]  # of the operands of a kernel


class Namespace(SimpleNamespace):
    """The public names of an Array API library, with what tinyxp adds or mends laid over them."""

    def __init__(self, library: Any, **overlay: Any) -> None:
        names = {name: getattr(library, name) for name in dir(library) if not name.startswith("_")}
        super().__init__(**(names | overlay))


def _typed(to_device: Callable[[Array, Any], Array]) -> Callable[[Array, Any], Array]:
    """``to_device``, which raises BackendError for what is no name of a device."""

    @functools.wraps(to_device)
    def call(array: Array, device: Any) -> Array:
        try:
            return to_device(array, device)
        except (TypeError, ValueError) as error:
            if isinstance(error, TinyError):
                raise
            raise BackendError(f"a device is chosen by its name, got {device!r}") from error

    return call


@dataclass(frozen=True, eq=False)
class Backend:
    """One array library, as the floors above see it.

    The fields without a default are what the Array API leaves open:

    - ``xp`` holds the Array API functions, with ``erf(x)``, ``erfc(x)`` and ``index_add(x, indices,
      values)`` (a new array: rows of ``values`` added to rows of ``x``, indices may repeat).
    - ``array_types`` are the classes of the library's arrays: a tensor's backend is known by them.
    - ``to_numpy(array)`` and ``from_numpy(array, device)``; device None is the usual one.
    - ``device_of(array)``, ``to_device(array, device)`` and ``devices()`` name devices by strings.

    Faster computations:

    - ``kernels["name"]`` is a :class:`Kernel` that computes the composite ``name``.
    - ``functions`` are plain functions; each may return NotImplemented. They are ``adamw``
      (``common/adamw.py``), ``random_bits(seed, counter, n, device=None)``, ``total_norm(arrays)``,
      ``clip_by_norm(arrays, norm, max_norm)``, ``add_gradients(a, b)`` and ``flat_view(arrays)``,
      one flat array of the memory in which arrays lie one after another, or None.
    - ``elements_per_update``: how many elements one call of ``adamw`` should change; None: all.
    - ``recorder()`` makes the :class:`Recording` of a captured step; None: ``tx.capture`` raises.
    - ``run_parts(pool, functions)`` returns the results of functions that run on the threads of a
      pool, each for a part of a batch; a captured step replays them so, too. None: a Trainer splits
      batches only if it is told to.
    - ``get_threads()`` and ``set_threads(n)``: of the CPU; None and False if they are unknown.

    Dtypes:

    - ``fallback(fn, arrays, static)`` is asked when the primitive ``fn`` failed on the library: it
      may compute it in another way, for dtypes that the library has no functions for.
    - ``late``: dtypes that another library brings, which is imported when one is first used.
    - ``widened``: names of 16-bit dtypes; most operations on them are computed in float32.

    The device:

    - ``about()`` continues the line of a backend in ``tinyxp info``, and ``advice()`` returns lines
      about faults of its set-up. A backend that cannot be loaded adds such lines as notes to its
      BackendError.
    - ``memory()`` is the :class:`Memory` of the device in use, None if unknown; ``empty_cache()``
      frees memory that is kept for later arrays. ``device_name(number)`` is the name of a device.
    - ``synchronize()`` waits until the device has done everything.
    - ``check_later(indices, low, high, ignored, complaint)`` returns whether the device will find
      indices outside [low, high) by itself, and report them with the next value that is read.
    - ``fork_safe``: whether a process may fork after the backend is loaded.
    """

    name: str
    xp: Namespace
    array_types: tuple[type, ...]
    to_numpy: Callable[[Array], Any]
    from_numpy: Callable[[Any, str | None], Array]
    device_of: Callable[[Array], str]
    to_device: Callable[[Array, str], Array]
    devices: Callable[[], list[str]]
    kernels: Mapping[str, "Kernel"] = field(default_factory=dict)
    functions: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    fallback: Callable[..., Any] = lambda fn, arrays, static: NotImplemented
    get_threads: Callable[[], int | None] = lambda: None
    set_threads: Callable[[int], bool] = lambda n: False
    empty_cache: Callable[[], None] = lambda: None
    about: Callable[[], str] = lambda: ""
    advice: Callable[[], list[str]] = list
    memory: Callable[[], Memory | None] = lambda: None
    device_name: Callable[[int], str] = str
    synchronize: Callable[[], None] = lambda: None
    fork_safe: bool = True
    check_later: Callable[..., bool] = lambda *args: False
    elements_per_update: int | None = 1 << 20
    recorder: Callable[[], Recording] | None = None
    run_parts: Callable[[Executor, Iterable[Callable[[], Any]]], list[Any]] | None = None
    late: Mapping[str, Callable[[], Any]] = field(default_factory=dict)
    widened: tuple[str, ...] = ()
    dtypes: dict[str, Any] = field(init=False)  # dtype name -> the library's dtype
    dtype_names: dict[Any, str] = field(init=False)  # and back
    floating: frozenset[Any] = field(init=False)  # the library's real floating dtypes
    halves: frozenset[Any] = field(init=False)  # those of 16 bits
    native: frozenset[Any] = field(init=False)  # those that are not widened
    complex_floating: frozenset[Any] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "to_device", _typed(self.to_device))
        # asked of an array, because NumPy's np.float32 is a class and not the dtype of any array
        known = [name for name in (*DTYPE_NAMES, *HALVES) if hasattr(self.xp, name)]
        self._know({name: self.xp.empty(0, dtype=getattr(self.xp, name)).dtype for name in known})

    def _know(self, dtypes: dict[str, Any]) -> None:
        def those(names: tuple[str, ...]) -> frozenset[Any]:
            return frozenset(dtypes[name] for name in names if name in dtypes)

        floating = (*HALVES, "float32", "float64")
        found = {
            "dtypes": dtypes,
            "dtype_names": {dtype: name for name, dtype in dtypes.items()},
            "floating": those(floating),
            "halves": those(HALVES),
            "native": those(tuple(name for name in floating if name not in self.widened)),
            "complex_floating": those(("complex64", "complex128")),
        }
        for name, value in found.items():
            object.__setattr__(self, name, value)

    def dtype(self, name: str) -> Any:
        """The library's own dtype of that name, or None if it has none.

        Raises BackendError if another library would bring it, and is not installed.
        """
        if name not in self.dtypes and name in self.late:
            self._know({**self.dtypes, name: self.late[name]()})
        return self.dtypes.get(name)

    def __repr__(self) -> str:
        return f"<backend {self.name}>"

    def owns(self, array: object) -> bool:
        """Whether ``array`` is an array of this library."""
        return isinstance(array, self.array_types)


@dataclass(frozen=True)
class Kernel:
    """A fused implementation of a composite function and of its vector-Jacobian product.

    ``forward(*arrays, **static)`` returns ``(y, residuals)``, or NotImplemented for a call that it
    passes on, to the kernel ``next`` if there is one and else to the formula. ``vjp(g, residuals,
    needs)``, of the kernel that accepted the call, returns one gradient for each array operand, or
    None where ``needs`` is False, as for operands that the call left out. Arrays may have any
    memory layout and are never written to; results share no memory with them, and residuals hold no
    array that changes later. g has the shape and dtype of y. ``single`` is ``forward`` for 16-bit
    operands with a float32 result, for autocast, which would otherwise cast the operands first.
    """

    forward: Callable[..., Any]
    vjp: Callable[..., tuple[Array | None, ...]]
    single: Callable[..., Any] | None = None
    next: "Kernel | None" = None

    def accept(self, arrays: Iterable[Array | None], static: Mapping[str, Any]) -> Any:
        """``(y, residuals, kernel)`` of the first kernel that accepts, or NotImplemented."""
        kernel: Kernel | None = self
        while kernel is not None:
            result = kernel.forward(*arrays, **static)
            if result is not NotImplemented:
                return *result, kernel
            kernel = kernel.next
        return NotImplemented


def chain(*tables: Mapping[str, Kernel]) -> dict[str, Kernel]:
    """One table of several: the kernels of one name are asked in the order of the tables."""
    chained: dict[str, Kernel] = {}
    for table in reversed(tables):
        chained |= {name: replace(k, next=chained.get(name)) for name, k in table.items()}
    return chained


def first_of(*functions: Callable[..., Any]) -> Callable[..., Any]:
    """A function that returns the first result that is not NotImplemented."""

    @functools.wraps(functions[-1])
    def call(*args: Any, **options: Any) -> Any:
        for function in functions:
            if (result := function(*args, **options)) is not NotImplemented:
                return result
        return NotImplemented

    return call


DTYPE_NAMES = (  # of the standard
    "bool",
    *(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)),
    *("float32", "float64", "complex64", "complex128"),
)
HALVES = ("float16", "bfloat16")  # and those of 16 bits

# The registries: where a backend's module lies, the ones loaded, and whose arrays a type is.
_modules: dict[str, str] = {
    name: f"{__name__}.{name}.backend" for name in ("cupy", "numpy", "strict", "torch")
}
_loaded: dict[str, Backend] = {}
_by_type: dict[type, Backend | None] = {}
_current: ContextVar[Backend | None] = ContextVar("tinyxp_backend", default=None)


@functools.cache  # reading what is installed takes milliseconds, and so does the import
def _plugins() -> dict[str, Any]:
    from importlib.metadata import entry_points

    return {plugin.name: plugin for plugin in entry_points(group="tinyxp.backends")}


def names() -> list[str]:
    """The names of all backends: those in the tree and those of the group ``tinyxp.backends``."""
    return sorted({*_modules, *_plugins()})


def get(name: str) -> Backend:
    """Load the backend called ``name``.

    Raises BackendError if the name is unknown, its library is missing, or its device is.

    >>> get("numpy")
    <backend numpy>
    """
    if not isinstance(name, str):
        raise BackendError(f"a backend is chosen by its name, got {name!r}")
    if name in _loaded:
        return _loaded[name]
    if name in _modules:
        backend = importlib.import_module(_modules[name]).load()
    elif name in _plugins():
        backend = _plugins()[name].load()()
    else:
        choices = ", ".join(map(repr, names()))
        raise BackendError(f"unknown backend {name!r}; choose one of {choices}")
    backend = _loaded.setdefault(name, backend)  # of two threads that load it, one wins
    _by_type.clear()  # a type that nobody owned may have an owner now
    return backend


def loaded() -> list[Backend]:
    """The backends that were asked for so far."""
    return [*_loaded.values()]


def of(array: object) -> Backend | None:
    """The loaded backend that owns ``array``, or None; one dictionary look-up by type."""
    kind = type(array)
    try:
        return _by_type[kind]
    except KeyError:
        owners = (backend for backend in tuple(_loaded.values()) if backend.owns(array))
        return _by_type.setdefault(kind, next(owners, None))


def current() -> Backend:
    """The backend in use here: the last ``use_backend``, else ``TINY_BACKEND``, else numpy."""
    return _current.get() or default()


@functools.cache  # reading the environment takes as long as adding two small arrays
def default() -> Backend:
    """The backend that ``TINY_BACKEND`` names when a tensor is first made."""
    return get(os.environ.get("TINY_BACKEND", "numpy"))


def use_backend(name: str) -> None:
    """Create new tensors on the backend ``name`` from now on (in this thread or task).

    >>> use_backend("numpy")
    """
    _current.set(get(name))


def using(chosen: Backend) -> Block:
    """Create new tensors on the backend ``chosen`` inside a ``with`` block."""
    return bound(_current, chosen)


def backend(name: str) -> Block:
    """Create new tensors on the backend ``name`` inside a ``with`` block or a decorated function.

    >>> with backend("numpy") as b:
    ...     b.name
    'numpy'
    """
    return using(get(name))


def missing(library: str, *extras: str) -> BackendError:
    """The error for a library that is not installed, with the command that installs it."""
    return BackendError(f"the library {library} is not installed; {advice(*extras)}")
