"""New tensors from numbers, arrays and shapes; copies in another dtype or on another device."""

import numpy as np

from tinyxp import backends
from tinyxp.core import dtypes
from tinyxp.core.dtypes import expect_held, not_held
from tinyxp.core.exchange import import_array
from tinyxp.core.foreign_errors import foreign_errors
from tinyxp.core.operation import expect_tensors
from tinyxp.core.primitive import primitive
from tinyxp.core.tape import Node, edge_of, is_grad_enabled
from tinyxp.core.tensor import SCALARS, Tensor, holds_tensors, raw, to_array, wrap
from tinyxp.errors import ArgumentError, DTypeError
from tinyxp.ops.examples import normal
from tinyxp.ops.shaping import stack

__all__ = [
    "asarray", "astype", "clone", "empty", "empty_like", "from_dlpack", "full",
    "full_like", "ones", "ones_like", "tensor", "zeros", "zeros_like",
]  # fmt: skip


def asarray(obj, /, *, dtype=None, device=None, copy=None, requires_grad=False):
    """A Tensor from numbers, nested lists, arrays, buffers, or a Tensor (returned if it fits).

    Python floats become float32 and ints int64 by default. Arrays are copied unless ``copy`` is
    False. A list may hold tensors without axes, and gradients flow back to them. Raises DTypeError
    or ShapeError if ``obj`` is no array, ArgumentError for a number that the dtype does not hold.

    >>> tx.asarray([[1, 2], [3, 4]], dtype=tx.float64)
    tensor([[1., 2.],
            [3., 4.]], dtype=float64)
    """
    if isinstance(obj, (list, tuple)) and holds_tensors(obj):
        obj = _stack_numbers(obj)
    if isinstance(obj, Tensor):
        x = obj if dtype is None else astype(obj, dtype, copy=False)
        x = x if device is None or device == x.device else x.to(device)
        x = clone(x) if copy and x is obj else x
        shared = x is obj
    else:
        obj = _from_buffer(obj)
        x = wrap(*to_array(obj, dtype, device, copy))
        shared = copy is not False or _shares_memory(obj, x)
    if copy is False and not shared:
        raise ArgumentError(
            f"asarray(copy=False) would have to copy from {getattr(obj, 'dtype', type(obj))} to "
            f"{x.dtype!r} on {x.device!r}; leave copy out"
        )
    return x.requires_grad_() if requires_grad and not x.requires_grad else x


def _stack_numbers(obj):
    """Nested lists of numbers and 0-d tensors as one differentiable Tensor of a common dtype."""

    def numbers(obj):
        if not isinstance(obj, (list, tuple)):
            return [obj]
        return [number for part in obj for number in numbers(part)]

    def join(obj):
        if isinstance(obj, (list, tuple)):
            return stack([join(part) for part in obj])
        return astype(obj, dtype, copy=False) if isinstance(obj, Tensor) else full((), obj, **place)

    leaves = [x.item() if isinstance(x, np.generic) else x for x in numbers(obj)]
    tensors = [x for x in leaves if isinstance(x, Tensor)]
    if any(x.ndim for x in tensors) or not all(isinstance(x, (Tensor, *SCALARS)) for x in leaves):
        raise DTypeError(
            "a list with Tensors is an array where they have no axes, like numbers; join others "
            "with tx.stack or tx.concat"
        )
    dtype = dtypes.result_type(*(x.dtype if isinstance(x, Tensor) else x for x in leaves))
    place = {"dtype": dtype, "device": tensors[0].device}
    with backends.using(tensors[0].backend):
        return join(obj)


def _from_buffer(obj):
    """An object with Python's buffer protocol as a NumPy array; any other object unchanged."""
    numbers = (list, tuple, int, float, complex, np.generic)
    if isinstance(obj, numbers) or hasattr(obj, "__dlpack__"):
        return obj
    try:
        return np.asarray(memoryview(obj))
    except TypeError:
        return obj


def _shares_memory(obj, x):
    """Whether x is a view of ``obj``; True if ``obj`` is no array and has no memory to share."""
    owner = backends.of(obj)
    if owner is x.backend and not isinstance(obj, (np.ndarray, np.generic)):
        return owner.dtype_names[obj.dtype] == x.dtype.name and owner.device_of(obj) == x.device
    if isinstance(obj, np.generic) or (owner is None and not hasattr(obj, "__dlpack__")):
        return True
    try:
        array = np.from_dlpack(obj) if owner is None else owner.to_numpy(obj)
    except BufferError:  # a view that had to be computed first, such as a conjugate
        return False
    return array.size == 0 or np.may_share_memory(array, x.backend.to_numpy(x.array))


def tensor(data, *, dtype=None, device=None, requires_grad=False):
    """PyTorch's ``asarray``: always a copy, and a new leaf.

    Raises GradientError for a list with a tensor that requires grad, whose graph would be lost.

    >>> tx.tensor([1.0, 2.0], requires_grad=True)
    tensor([1., 2.], requires_grad=True)
    """
    if isinstance(data, Tensor):
        data = clone(data.detach())
    if isinstance(data, (list, tuple)) and holds_tensors(data):
        data = _stack_numbers(data)
        data._leave("tensor() of a list, a new leaf,")
    return asarray(data, dtype=dtype, device=device, requires_grad=requires_grad)


@primitive(promote=None)
def _astype(xp, x, /, dtype):
    return xp.astype(x, dtype)


_astype.vjp(lambda xp, g: g)  # the engine brings a gradient to its operand's dtype
_astype.example(normal((3, 4), dtype=dtypes.float64))


def astype(x, dtype, /, *, copy=True, device=None):
    """x in another dtype, and on another device if one is given.

    Gradients flow to floating results only. With ``copy=False`` x itself is returned if it has the
    dtype already. Raises DTypeError from complex to real: use ``tx.real``.

    >>> tx.astype(tx.asarray([1.9, -1.9]), tx.int64)
    tensor([ 1, -1])
    """
    expect_tensors("astype", x)
    target = dtypes.as_dtype(dtype)
    if device is not None and device != x.device:
        x, copy = move(x, x.backend, device), False
    if target is x.dtype:
        return clone(x) if copy else x
    if x.dtype.kind == "complex floating" and target.kind not in ("complex floating", "bool"):
        raise DTypeError(f"astype to {target!r} would lose the imaginary part; use tx.real first")
    if target.kind.endswith("floating"):
        return _astype(x, dtype=target)
    if target is dtypes.bool:  # a library may refuse to cast complex numbers
        y = wrap(x.array != 0, x.backend)
    else:
        y = _astype(x.detach(), dtype=target)
    if x.requires_grad:
        y._cut = f"astype to {target!r} is not differentiable: its result is not a real number"
    return y


@primitive(promote=None)
def clone(xp, x, /):
    """A copy of x, through which the gradient flows.

    >>> tx.clone(tx.asarray([1.0]))
    tensor([1.])
    """
    return xp.asarray(x, copy=True)


clone.vjp(lambda xp, g: g)
clone.example(normal((3, 4)))


class _Move:
    """The operation that moves a tensor to another backend or device; its gradient moves back."""

    name = "to"

    def pull(self, node, g, recording):
        backend, device = node.context
        if recording:
            return (move(g, backend, device),)
        return (_move_array(g, backends.of(g), backend, device),)


_MOVE = _Move()


def _move_array(array, source, target, device):
    if source is target:
        return array if device is None else target.to_device(array, device)
    return target.from_numpy(source.to_numpy(array), device)


def move(x, backend, device=None):
    """x on ``backend``'s ``device``, differentiably; see ``Tensor.to``."""
    if x.backend is backend and (device is None or (type(device) is str and device == x.device)):
        return x
    node = None
    if is_grad_enabled() and x.requires_grad:
        node = Node(_MOVE, (edge_of(x),), (x.backend, x.device))
    return wrap(_move_array(x.array, x.backend, backend, device), backend, node)


def to(x, backend_or_device=None, /, *, dtype=None):
    """x on another backend ('torch') or device ('cuda:0'), or in another dtype.

    >>> tx.asarray([1.0]).to("numpy", dtype=tx.float64)
    tensor([1.], dtype=float64)
    """
    if isinstance(backend_or_device, dtypes.DType):
        if dtype is not None:
            raise DTypeError("to got dtype twice; give it once")
        backend_or_device, dtype = None, backend_or_device
    if isinstance(backend_or_device, str) and backend_or_device in backends.names():
        x = move(x, backends.get(backend_or_device))
    elif backend_or_device is not None:
        x = move(x, x.backend, backend_or_device)
    return x if dtype is None else astype(x, dtype, copy=False)


def _new(name, args, dtype, device, **options):
    """A tensor from the creation function ``name`` of the backend in use."""
    backend = backends.current()
    dtype = dtypes.as_dtype(dtypes.DEFAULT_FLOAT if dtype is None else dtype)
    if dtype.itemsize == 2 and dtype.kind == "real floating":  # rounded once
        return _astype(_new(name, args, dtypes.float32, device, **options), dtype=dtype)
    dtype = raw(dtype, backend)
    try:
        array = getattr(backend.xp, name)(*args, dtype=dtype, **options)
    except Exception:
        with foreign_errors(name, *args):
            raise
    return wrap(array if device is None else backend.to_device(array, device), backend)


def _like(name, x, *value, dtype, device):
    """A tensor like x from the creation function ``name`` of its backend."""
    expect_tensors(name, x)
    dtype = x.array.dtype if dtype is None else raw(dtype, x.backend)
    try:
        array = getattr(x.backend.xp, name)(x.array, *value, dtype=dtype)
    except Exception:
        with foreign_errors(name, x.shape, *value):
            raise
    return wrap(array if device is None else x.backend.to_device(array, device), x.backend)


def _default_for(*numbers):
    """The dtype of a tensor made of Python numbers."""
    if any(isinstance(n, complex) for n in numbers):
        return dtypes.DEFAULT_COMPLEX
    real = any(isinstance(n, float) for n in numbers)
    return dtypes.DEFAULT_FLOAT if real else dtypes.DEFAULT_INT


def _expect_number(number, dtype):
    """Raise ArgumentError unless ``dtype`` holds the number."""
    if isinstance(number, int) and dtype in dtypes.SPANS:
        low, high = dtypes.SPANS[dtype]
        if not low <= number <= high:
            raise not_held(number, dtype)
    elif isinstance(number, (float, complex, np.number)):
        expect_held(number, dtype)


def _number_and_dtype(number):
    """A Python number, or the number in a tensor without axes, and the dtype of a tensor of it."""
    if isinstance(number, Tensor) and number.ndim == 0:
        number._leave("a tensor filled with this number")
        return number.item(), number.dtype
    if isinstance(number, bool):
        return number, dtypes.bool
    return number, _default_for(number)


def zeros(shape, *, dtype=None, device=None):
    """A tensor of zeros.

    >>> tx.zeros(2)
    tensor([0., 0.])
    """
    return _new("zeros", (shape,), dtype, device)


def ones(shape, *, dtype=None, device=None):
    """A tensor of ones.

    >>> tx.ones(2)
    tensor([1., 1.])
    """
    return _new("ones", (shape,), dtype, device)


def empty(shape, *, dtype=None, device=None):
    """A tensor with arbitrary content.

    >>> tx.empty((2, 3)).shape
    (2, 3)
    """
    return _new("empty", (shape,), dtype, device)


def full(shape, fill_value, *, dtype=None, device=None):
    """A tensor whose elements are all ``fill_value``.

    >>> tx.full(2, 7)
    tensor([7, 7])
    """
    fill_value, default = _number_and_dtype(fill_value)
    dtype = dtypes.as_dtype(default if dtype is None else dtype)
    _expect_number(fill_value, dtype)
    return _new("full", (shape, fill_value), dtype, device)


def zeros_like(x, /, *, dtype=None, device=None):
    """Zeros with the shape, dtype and device of x.

    >>> tx.zeros_like(tx.asarray([1, 2]))
    tensor([0, 0])
    """
    return _like("zeros_like", x, dtype=dtype, device=device)


def ones_like(x, /, *, dtype=None, device=None):
    """Ones with the shape, dtype and device of x.

    >>> tx.ones_like(tx.asarray([1, 2]))
    tensor([1, 1])
    """
    return _like("ones_like", x, dtype=dtype, device=device)


def empty_like(x, /, *, dtype=None, device=None):
    """Like ``zeros_like``, with arbitrary content.

    >>> tx.empty_like(tx.asarray([1, 2])).shape
    (2,)
    """
    return _like("empty_like", x, dtype=dtype, device=device)


def full_like(x, /, fill_value, *, dtype=None, device=None):
    """``fill_value`` throughout, with the shape, dtype and device of x.

    >>> tx.full_like(tx.asarray([1, 2]), 7)
    tensor([7, 7])
    """
    expect_tensors("full_like", x)
    fill_value, _ = _number_and_dtype(fill_value)
    _expect_number(fill_value, x.dtype if dtype is None else dtypes.as_dtype(dtype))
    return _like("full_like", x, fill_value, dtype=dtype, device=device)


def from_dlpack(x, /, *, device=None, copy=None):
    """A Tensor that shares the memory of another library's array, through DLPack.

    By default the array is copied only if it must be. With ``copy=True`` it is always copied; with
    ``copy=False`` a necessary copy raises ArgumentError.

    >>> import numpy as np
    >>> tx.from_dlpack(np.asarray([1.0, 2.0]))
    tensor([1., 2.], dtype=float64)
    """
    if isinstance(x, Tensor):
        x = x._leave("from_dlpack")
    elif backends.of(x) is None:
        if not hasattr(x, "__dlpack__"):
            raise DTypeError(
                f"from_dlpack cannot take a {type(x).__name__}, which has no __dlpack__"
            )
        x = import_array(x, backends.current().xp.from_dlpack)
    y = wrap(*to_array(x, None, device, copy is True))
    if copy is False and not _shares_memory(x, y):
        raise ArgumentError(f"from_dlpack(copy=False) would have to copy to {y.device!r}")
    return y
