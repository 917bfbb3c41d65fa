"""The Tensor: an immutable value on a backend, with a link to the graph that made it.

An apparent change (``x += y``, ``x[i] = v``) computes a new value and rebinds the object and its
views to it (see ``views``). So the arrays that a graph has saved never change.
"""

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from tinyxp import backends
from tinyxp.backends import Array, Backend
from tinyxp.backends.common.capture import capturing, refuse_recording
from tinyxp.core import dtypes
from tinyxp.core.exchange import from_numbers, import_array, scipy_hint
from tinyxp.core.value import Value
from tinyxp.errors import ArgumentError, BackendError, DTypeError, GradientError, ShapeError

SCALARS = frozenset((bool, int, float, complex))


def namespace() -> Any:
    """The package tinyxp: the namespace ``xp`` of a vjp that runs on Tensors."""
    return sys.modules["tinyxp"]


class Tensor(Value):
    """An array on a backend that can be differentiated.

    ``Tensor(data, dtype=None, device=None, requires_grad=False)`` copies ``data``: numbers, nested
    lists, or an array of NumPy (moved to the backend in use) or of another backend's library.

    >>> x = tx.Tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4.])
    """

    __slots__ = (
        *("__weakref__", "_cut", "_home", "_leaf", "_node", "_view"),
        *("array", "backend", "grad"),
    )
    __hash__ = object.__hash__

    grad: "Tensor | None"
    _grad: Any  # its slot, which is not checked
    _node: Any  # the tape.Node that made this tensor, if a gradient flows through it
    _leaf: bool  # a leaf that collects its gradient
    _cut: str | None  # why no gradient flows, if an op stopped it
    _view: Any  # the views.View that says which elements of another tensor this one shows, if any
    _home: Any  # the recorded step in whose memory ``array`` and ``grad`` may lie (replay.py)

    def __init__(
        self, data: Any, dtype: Any = None, device: str | None = None, requires_grad: bool = False
    ) -> None:
        self.array, self.backend = to_array(data, dtype, device)
        self._grad = self._node = self._cut = self._view = None
        self._leaf = False
        self.requires_grad_(requires_grad)

    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow to this tensor; set it on leaves, or call ``requires_grad_``."""
        return self._node is not None or self._leaf

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    @property
    def is_leaf(self) -> bool:
        """Whether no recorded operation made this tensor."""
        return self._node is None

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Make this leaf collect its gradient in ``grad``, or stop.

        Raises GradientError on a tensor that an operation made, DTypeError on integers.

        For a complex leaf z = a + ib and a real loss L, ``grad`` is ∂L/∂a + i ∂L/∂b, as in PyTorch:
        the direction of steepest ascent.
        """
        if not isinstance(requires_grad, (bool, np.bool_)):
            raise DTypeError(f"requires_grad is True or False, got {requires_grad!r}")
        if self._node is not None and not requires_grad:
            raise GradientError(
                f"requires_grad_(False) expects a leaf, got the result of {self._node.op.name}; "
                "use x.detach()"
            )
        if requires_grad and not self.dtype.kind.endswith("floating"):
            raise DTypeError(
                f"only floating tensors have gradients, got {self.dtype!r}; "
                "cast it first: tx.astype(x, tx.float32)"
            )
        self._leaf = bool(requires_grad) and self._node is None
        return self

    @property
    def data(self) -> "Tensor":
        """A tensor of the same values without the graph, like ``detach()``.

        Assigning a tensor replaces the values, but neither ``requires_grad`` nor ``grad``.

        >>> w = tx.asarray([1.0, 2.0], requires_grad=True)
        >>> w.data = w.data * 0.5
        >>> w
        tensor([0.5, 1. ], requires_grad=True)
        """
        return self.detach()

    @data.setter
    def data(self, value: "Tensor") -> None:
        if not isinstance(value, Tensor):
            raise DTypeError(
                f"x.data expects a Tensor, got {type(value).__name__}; write x.data = tx.asarray(…)"
            )
        self.array, self.backend = value.array, value.backend

    # -- leaving tinyxp -----------------------------------------------------------------------

    def _leave(self, way: str) -> Array:
        if self.requires_grad:
            raise GradientError(
                f"{way} on a tensor that requires grad would cut the graph; "
                f"call x.detach() first, or stay within tinyxp's functions{scipy_hint()}"
            )
        return self.array

    def numpy(self) -> Any:
        """A NumPy array with a copy of the data. Refuses a tensor that requires grad.

        >>> tx.asarray([1, 2]).numpy()
        array([1, 2])
        """
        return self.backend.to_numpy(self._leave("numpy()")).copy()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        self._leave("converting to a NumPy array")
        refuse_recording("np.asarray")
        if copy is False:
            raise ArgumentError(
                "a tensor becomes a NumPy array by a copy; np.from_dlpack shares it"
            )
        return self.numpy() if dtype is None else self.numpy().astype(dtype)

    def __iter__(self) -> Iterator["Tensor"]:
        return (self[i] for i in range(len(self)))

    def __contains__(self, value: Any) -> bool:
        if not isinstance(value, (Tensor, np.generic, *SCALARS)):
            raise DTypeError(f"a tensor contains numbers; asked for {type(value).__name__}")
        return bool(namespace().any(self == value))

    def __repr__(self) -> str:
        """The values and all unusual properties; for the result of an operation, all properties."""
        shown = self.float() if self.dtype is dtypes.bfloat16 else self  # NumPy cannot print it
        array = self.backend.to_numpy(shown.array)
        values = np.array2string(array, separator=", ", prefix="tensor(")
        if self._node is not None:
            facts = f"dtype={self.dtype.name}, backend={self.backend.name}"
            return f"tensor({values}, shape={self.shape}, {facts}, op={self._node.op.name})"
        notes = [values]
        if self.size > np.get_printoptions()["threshold"] or self.size == 0:
            notes.append(f"shape={self.shape}")
        if self.dtype not in (dtypes.DEFAULT_FLOAT, dtypes.DEFAULT_INT, dtypes.bool):
            notes.append(f"dtype={self.dtype.name}")
        if self.backend.name != "numpy":
            notes.append(f"backend={self.backend.name}")
        if self._leaf:
            notes.append("requires_grad=True")
        return f"tensor({', '.join(notes)})"

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        if self._node is not None:
            raise GradientError("only leaves can be deep-copied; use x.detach() or tx.clone(x)")
        new = object.__new__(self.__class__)
        new.array, new.backend = self.array, self.backend  # values are immutable: no copy needed
        new._node, new._leaf, new._cut, new._view = None, self._leaf, self._cut, None
        g = self.grad
        new._grad = None if g is None else wrap(g.array, g.backend)
        memo[id(self)] = new
        return new

    def __reduce__(self) -> Any:
        return Tensor, (self.detach().numpy(), self.dtype.name, None, self._leaf)

    # defined elsewhere: tape.py, views.py, ops/methods.py, interop/arrays.py
    if TYPE_CHECKING:
        __array_ufunc__: Any
        __array_function__: Any

        def __getattr__(self, name: str) -> Callable[..., "Tensor"]: ...
        def __getitem__(self, key: Any) -> "Tensor": ...
        def __setitem__(self, key: Any, value: Any) -> None: ...
        def _unary(self) -> "Tensor": ...
        def _binary(self, other: Any) -> "Tensor": ...

        __neg__ = __abs__ = __invert__ = _unary
        __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _binary
        __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = _binary
        __pow__ = __rpow__ = __matmul__ = __rmatmul__ = __and__ = __rand__ = _binary
        __or__ = __ror__ = __xor__ = __rxor__ = _binary
        __lshift__ = __rlshift__ = __rshift__ = __rrshift__ = _binary
        __lt__ = __le__ = __gt__ = __ge__ = _binary
        __eq__ = __ne__ = _binary  # type: ignore[assignment]

        def backward(
            self,
            gradient: "Tensor | None" = None,
            retain_graph: bool | None = None,
            create_graph: bool = False,
        ) -> None: ...

        def detach(self) -> "Tensor": ...

        T: "Tensor"
        mT: "Tensor"


def to_array(
    obj: Any, dtype: Any = None, device: str | None = None, copy: bool | None = None
) -> tuple[Array, Backend]:
    """An array on a backend from numbers, nested lists or another library's array.

    The backend is the array's own, or the one in use for numbers, lists and NumPy arrays. An array
    of the user is copied unless ``copy`` is False, so that nobody can change a tensor from outside.
    """
    if isinstance(obj, Tensor):
        raise DTypeError("expected numbers or an array, got a Tensor; tx.asarray takes it")
    wanted = None if dtype is None else dtypes.as_dtype(dtype)
    backend = backends.of(obj)
    if backend is None and hasattr(obj, "__dlpack__"):
        obj, backend = import_array(obj, np.from_dlpack), backends.get("numpy")
    if backend is not None and not isinstance(obj, (np.ndarray, np.generic)):
        raw_dtype = obj.dtype if wanted is None else raw(wanted, backend)
        if obj.dtype not in backend.dtype_names and backend.dtype(str(obj.dtype)) is None:
            raise DTypeError(
                f"unknown dtype {obj.dtype}; choose one of {', '.join(dtypes.BY_NAME)}"
            )
        obj = backend.xp.asarray(obj, dtype=raw_dtype, copy=True if copy is None else copy or None)
        return (obj if device is None else backend.to_device(obj, device)), backend
    if isinstance(obj, (list, tuple)) and holds_tensors(obj):
        raise DTypeError("a list of Tensors is not an array; join them with tx.stack or tx.concat")
    array = from_numbers(obj, wanted) if backend is None else np.asarray(obj)
    if backend is not None and (capture := capturing()) is not None:
        array = capture.source(array)
    wanted = wanted or dtypes.BY_NAME.get(array.dtype.name) or dtypes.as_dtype(array.dtype)
    if backend is None or isinstance(obj, np.generic):
        dtypes.expect_held(array, wanted)
    # an array made from numbers needs no copy
    numpy = raw(wanted, backends.get("numpy"))
    array = array.astype(numpy, copy=copy is not False and backend is not None)
    backend = backends.current()
    raw(wanted, backend)  # raises if the backend has no such dtype
    return backend.from_numpy(array, device), backend


def holds_tensors(obj: Any) -> bool:
    """Whether nested lists contain a Tensor."""
    if SCALARS.issuperset(map(type, obj)):
        return False
    return any(
        isinstance(x, Tensor) or (isinstance(x, (list, tuple)) and holds_tensors(x)) for x in obj
    )


def expect_like(what: str, value: Any, x: Tensor) -> None:
    """Raise unless ``value`` is a Tensor on the backend of x, with its shape and its dtype."""
    if not isinstance(value, Tensor):
        raise DTypeError(f"{what} must be a Tensor, got {type(value).__name__}")
    if value.backend is not x.backend:
        raise BackendError(
            f"{what} lies on {value.backend.name!r}, its tensor on {x.backend.name!r}; "
            f"move it: g.to({x.backend.name!r})"
        )
    if value.array.shape != x.array.shape:
        raise ShapeError(f"{what} must have its tensor's shape {x.shape}, got {value.shape}")
    if value.array.dtype != x.array.dtype:
        raise DTypeError(f"{what} must have its tensor's dtype {x.dtype!r}, got {value.dtype!r}")


def _assign(self: Tensor, grad: Tensor | None) -> None:
    """``x.grad = g``: None, or a tensor like x."""
    if grad is self:
        raise GradientError("a tensor cannot be its own gradient; clone it")
    if grad is not None:
        expect_like("a gradient", grad, self)
    self._grad = grad


Tensor._grad = slot = vars(Tensor)["grad"]
Tensor.grad = property(  # type: ignore[assignment]
    slot.__get__, _assign, slot.__delete__, "The gradient, once one was computed."
)


def raw(dtype: Any, backend: Backend) -> Any:
    """The backend's dtype for one of ours, or for any argument of ``as_dtype``.

    Raises DTypeError if the backend has none.
    """
    if type(dtype) is not dtypes.DType:
        dtype = dtypes.as_dtype(dtype)
    try:
        return backend.dtypes[dtype.name]
    except KeyError:
        found = backend.dtype(dtype.name)
    if found is None:
        half = dtype.name in backends.HALVES
        hint = "; take tx.float32, or the backend 'numpy', 'torch' or 'cupy'" if half else ""
        raise DTypeError(f"the backend {backend.name!r} has no dtype {dtype!r}{hint}")
    return found


def is_complex(x: Any) -> bool:
    """Whether x, a Tensor or a backend's array, is complex."""
    if isinstance(x, Tensor):
        return x.array.dtype in x.backend.complex_floating
    backend = backends.of(x)
    return backend is not None and x.dtype in backend.complex_floating


_new = object.__new__


def wrap(array: Array, backend: Backend, node: Any = None) -> Tensor:
    """The Tensor of a backend's array, without copying or checking."""
    tensor = _new(Tensor)
    tensor.array = array
    tensor.backend = backend
    tensor._node = node
    tensor._leaf = False
    tensor._grad = tensor._cut = tensor._view = None
    return tensor
