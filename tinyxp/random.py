"""Random numbers: a Generator whose state is a seed and a counter.

The bits come from Philox (see ``backends.common.philox``) in integer arithmetic on the backend in
use, and become numbers by operations that are exact or that NumPy does. So a seed gives the same
numbers on every backend, and a checkpoint saves two integers.
"""

import math
import os
from collections.abc import Iterator
from contextvars import ContextVar
from functools import partial
from typing import Any, Self

import numpy as np

from tinyxp import backends
from tinyxp.backends import Array, Backend
from tinyxp.backends.common.capture import capturing
from tinyxp.backends.common.context import Block, block, bound
from tinyxp.backends.common.philox import blocks_for, random_bits
from tinyxp.core import dtypes
from tinyxp.core.foreign_errors import typed
from tinyxp.core.tensor import Tensor, raw, wrap
from tinyxp.errors import ArgumentError, DTypeError

Shape = int | tuple[int, ...]


class Generator:
    """A source of random numbers. ``seed`` is an integer; None takes one from the system.

    >>> g = tx.random.Generator(0)
    >>> state = g.state_dict()
    >>> a = g.uniform((2, 3))
    >>> g.load_state_dict(state)
    >>> bool((g.uniform((2, 3)) == a).all())
    True
    """

    def __init__(self, seed: int | None = None) -> None:
        self.manual_seed(int.from_bytes(os.urandom(8)) if seed is None else seed)

    def __repr__(self) -> str:
        return f"Generator(seed={self.seed}, counter={self.counter})"

    def manual_seed(self, seed: int) -> Self:
        """Restart from ``seed``, of which the low 64 bits are used. Raises DTypeError."""
        if not isinstance(seed, (int, np.integer)):
            raise DTypeError(f"a seed must be an integer, got {type(seed).__name__}")
        self.seed = int(seed)
        self.counter = 0
        return self

    def state_dict(self) -> dict[str, int]:
        """The state to save: ``{"seed": …, "counter": …}``."""
        return {"seed": self.seed, "counter": self.counter}

    @typed
    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue from a state. Raises ArgumentError if ``state`` is not one."""
        if set(state) != {"seed", "counter"}:
            raise ArgumentError(
                f"a generator's state has 'seed' and 'counter', got {sorted(state)}; "
                "pass what state_dict() returned"
            )
        self.seed, self.counter = int(state["seed"]), int(state["counter"])

    # -- numbers on the backend in use ----------------------------------------------------------

    @typed
    def uniform(
        self,
        shape: Shape,
        low: float = 0.0,
        high: float = 1.0,
        *,
        dtype: Any = None,
        device: str | None = None,
    ) -> Tensor:
        """Uniform numbers in [low, high), of 24 random bits for float32 and 53 for float64.

        Numbers of 16 bits are rounded from float32. A number that rounds to ``high`` becomes
        ``low``. Raises ArgumentError unless low <= high and both are finite.

        >>> tx.random.Generator(0).uniform(2)
        tensor([0.39904642, 0.88052016])
        """
        backend, dtype, shape = backends.current(), _expect_floating(dtype), _expect_sizes(shape)
        if not 0 <= high - low < math.inf:
            raise ArgumentError(f"uniform expects finite low <= high, got {low} and {high}")
        if dtype.itemsize == 2:
            x = _round(self.uniform(shape, low, high, device=device), dtype).array
            return wrap(_below(backend.xp, x, low, high), backend)
        if dtype is dtypes.float32:
            bits = self._words(backend, math.prod(shape), _device(backend, device)) >> 8
            unit = 2.0**-24
        else:
            first, second = self._pairs(backend, math.prod(shape), _device(backend, device))
            bits = (first >> 5) * 2**26 + (second >> 6)
            unit = 2.0**-53
        x = backend.xp.astype(bits, raw(dtype, backend)) * unit  # both steps are exact
        if (low, high) != (0.0, 1.0):
            x = _below(backend.xp, x * float(high - low) + float(low), low, high)
        return wrap(backend.xp.reshape(x, shape), backend)

    @typed
    def normal(
        self,
        shape: Shape,
        mean: float = 0.0,
        std: float = 1.0,
        *,
        dtype: Any = None,
        device: str | None = None,
    ) -> Tensor:
        """Normally distributed numbers: r cos φ and r sin φ with r = √(-2 ln u).

        Source: Box and Muller 1958. NumPy computes them in float64 before they are cast, so that
        every backend gets the same bits; numbers of 16 bits are rounded from float32. u has 32
        bits, so no number is beyond 6.7 standard deviations. Raises ArgumentError unless mean and
        std are finite and std >= 0.

        >>> tx.random.Generator(0).normal((2, 3)).shape
        (2, 3)
        """
        backend, dtype, shape = backends.current(), _expect_floating(dtype), _expect_sizes(shape)
        if not (math.isfinite(mean) and 0 <= std < math.inf):
            raise ArgumentError(f"normal expects a finite mean and std >= 0, got {mean} and {std}")
        if dtype.itemsize == 2:
            return _round(self.normal(shape, mean, std, device=device), dtype)
        n = math.prod(shape)
        words = self._words(backends.get("numpy"), n + n % 2) * 2.0**-32
        r = np.sqrt(-2 * np.log1p(-words[::2]))  # 1 - u is never 0
        angle = 2 * math.pi * words[1::2]
        x = np.stack([r * np.cos(angle), r * np.sin(angle)], axis=-1).reshape(-1)[:n]
        x = (x * std + mean).astype(dtype.name).reshape(shape)
        return wrap(backend.from_numpy(x, device), backend)

    @typed
    def integers(self, low: int, high: int, shape: Shape, *, device: str | None = None) -> Tensor:
        """Integers in [low, high) as int64: low + (63 random bits mod (high - low)).

        No number is more likely than another by more than a factor of 1 + (high - low) / 2**63.
        Raises DTypeError, and ArgumentError unless low < high.

        >>> tx.random.Generator(0).integers(0, 10, 5)
        tensor([4, 4, 1, 5, 7])
        """
        if not all(isinstance(n, (int, np.integer)) for n in (low, high)):
            raise DTypeError(f"expected integers low and high, got {low!r} and {high!r}")
        if not -(2**63) <= low < high <= 2**63 or high - low >= 2**63:
            raise ArgumentError(
                f"expected low < high, less than 2**63 apart, within int64; got {low} and {high}"
            )
        backend, shape = backends.current(), _expect_sizes(shape)
        bits = self._words_63(backend, math.prod(shape), _device(backend, device))
        return wrap(backend.xp.reshape(bits % (high - low) + low, shape), backend)

    @typed
    def bernoulli(self, x: Tensor, p: float) -> Tensor:
        """Booleans with the shape and device of x, True with probability p.

        p is rounded to a multiple of 2**-32. Raises ArgumentError if it is not in [0, 1].

        >>> tx.random.Generator(0).bernoulli(tx.zeros(4), 0.5)
        tensor([ True, False, False, False])
        """
        if not 0 <= p <= 1:
            raise ArgumentError(f"a probability lies in [0, 1], got {p}")
        return _bernoulli(x, *self._take(x.size), p)

    # -- numbers on the host --------------------------------------------------------------------

    @typed
    def permutation(self, n: int) -> Any:
        """The numbers 0 … n - 1 in random order, a NumPy array of int64: the order of random keys.

        >>> sorted(tx.random.Generator(0).permutation(4).tolist())
        [0, 1, 2, 3]
        """
        if not isinstance(n, (int, np.integer)) or not 0 <= n < 2**40:
            raise ArgumentError(f"permutation expects an integer from 0 to 2**40, got {n!r}")
        return np.argsort(self._words_63(backends.get("numpy"), int(n)), kind="stable")

    # -- bits -----------------------------------------------------------------------------------

    def _take(self, n: int) -> tuple[int, Any]:
        """The seed and the counter of the next n words of 32 bits, which may be drawn later or
        twice; the counter advances by whole blocks. While a step is captured it is a ``Counter`` of
        ``backends.common.capture`` and no int."""
        seen = _watching.get()
        if seen is not None and self not in seen:
            seen[self] = self.state_dict()
        start = self.counter
        self.counter += blocks_for(n)
        if (capture := capturing()) is not None:
            capture.keep(self, lambda: partial(setattr, self, "counter", start))
            if capture.recording:
                return self.seed, capture.counter(self, start)
        return self.seed, start

    def _words(self, backend: Backend, n: int, device: Any = None) -> Array:
        """The next n words of 32 bits, as int64."""
        return _draw_words(backend, *self._take(n), n, device)

    def _words_63(self, backend: Backend, n: int, device: Any = None) -> Array:
        """The next n words of 63 bits, which are not negative in int64."""
        first, second = self._pairs(backend, n, device)
        return (first << 31) | (second >> 1)

    def _pairs(self, backend: Backend, n: int, device: Any) -> tuple[Array, Array]:
        """n pairs of words of 32 bits, as their first and their second words."""
        words = backend.xp.reshape(self._words(backend, 2 * n, device), (n, 2))
        return words[:, 0], words[:, 1]


def _draw_words(backend: Backend, seed: int, counter: Any, n: int, device: Any = None) -> Array:
    """n words of 32 bits, as int64."""
    kernel: Any = backend.functions.get("random_bits")
    draw = partial(random_bits, backend.xp) if kernel is None else kernel
    return draw(seed, counter, n, device)


def _bernoulli(x: Tensor, seed: int, counter: Any, p: float) -> Tensor:
    """The numbers of ``Generator.bernoulli``, from a seed and a counter."""
    words = _draw_words(x.backend, seed, counter, x.size, x.array.device)
    return wrap(x.backend.xp.reshape(words < round(p * 2**32), x.shape), x.backend)


def _expect_sizes(shape: Shape) -> tuple[int, ...]:
    sizes = shape if isinstance(shape, (tuple, list)) else (shape,)
    if any(not isinstance(n, (int, np.integer)) or n < 0 for n in sizes):
        raise ArgumentError(f"a shape consists of integers from 0 up, got {shape}")
    return tuple(sizes)


def _expect_floating(dtype: Any) -> dtypes.DType:
    found = dtypes.DEFAULT_FLOAT if dtype is None else dtypes.as_dtype(dtype)
    if found.kind != "real floating":
        raise DTypeError(
            f"random numbers are floating-point, got {found!r}; for integers use randint"
        )
    return found


def _round(x: Tensor, dtype: dtypes.DType) -> Tensor:
    return wrap(x.backend.xp.astype(x.array, raw(dtype, x.backend)), x.backend)


def _below(xp: Any, x: Array, low: float, high: float) -> Array:
    """x with ``low`` where rounding reached ``high``."""
    return xp.where(x < float(high), x, xp.full_like(x, float(low)))


def _device(backend: Backend, device: str | None) -> Any:
    """The library's own device of that name."""
    return None if device is None else backend.to_device(backend.xp.empty(0), device).device


# -- the default generator, and PyTorch's functions ----------------------------------------------

_default: ContextVar[Generator | None] = ContextVar("tinyxp_generator", default=None)


def default_generator() -> Generator:
    """The generator used where none is passed: one for each thread or task, randomly seeded."""
    generator = _default.get()
    if generator is None:
        _default.set(generator := Generator())
    return generator


def source(generator: Generator | None) -> Generator:
    """``generator``, or the default one for None. Raises DTypeError for anything else."""
    if generator is None:
        return default_generator()
    if not isinstance(generator, Generator):
        raise DTypeError(
            f"a generator is a tx.random.Generator or None, got {type(generator).__name__}"
        )
    return generator


def use_generator(generator: Generator) -> Block:
    """A ``with`` block in which ``generator`` is the default one."""
    return bound(_default, generator)


States = dict[Generator, dict[str, int]]
_watching: ContextVar[States | None] = ContextVar("tinyxp_watching", default=None)


@block
def watch_generators() -> Iterator[States]:
    """A ``with`` block that collects the generators drawn from in it, at their states before it."""
    seen: States = {}
    outer = _watching.get()
    try:
        with bound(_watching, seen):
            yield seen
    finally:
        if outer is not None:
            outer.update({**seen, **outer})


@block
def rewind_generators(states: States, default: Generator) -> Iterator[None]:
    """A ``with`` block in which generators are at earlier states; they are restored after it."""
    now = {generator: generator.state_dict() for generator in states}
    try:
        for generator, state in states.items():
            generator.load_state_dict(state)
        with use_generator(default):
            yield
    finally:
        for generator, state in now.items():
            generator.load_state_dict(state)


def manual_seed(seed: int) -> Generator:
    """Restart the default generator of this thread or task from ``seed``, and return it.

    >>> tx.manual_seed(0)
    Generator(seed=0, counter=0)
    """
    _default.set(generator := Generator(seed))
    return generator


@typed
def rand(
    *size: Any,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uniform numbers in [0, 1), of the shape ``size``.

    >>> tx.rand(2, 3).shape
    (2, 3)
    """
    g = source(generator)
    return g.uniform(_as_shape(size), dtype=dtype, device=device).requires_grad_(requires_grad)


@typed
def randn(
    *size: Any,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Standard normal numbers, of the shape ``size``.

    >>> tx.randn((2, 3)).shape
    (2, 3)
    """
    g = source(generator)
    return g.normal(_as_shape(size), dtype=dtype, device=device).requires_grad_(requires_grad)


@typed
def randint(
    low: int, high: int, size: Shape, *, generator: Generator | None = None, device: Any = None
) -> Tensor:
    """Integers in [low, high), of the shape ``size``.

    >>> tx.randint(0, 10, (2, 3)).shape
    (2, 3)
    """
    return source(generator).integers(low, high, size, device=device)


@typed
def randperm(n: int, *, generator: Generator | None = None, device: Any = None) -> Tensor:
    """The numbers 0 … n - 1 in random order.

    >>> tx.randperm(3).shape
    (3,)
    """
    backend = backends.current()
    order = source(generator).permutation(n)
    return wrap(backend.from_numpy(order, device), backend)


def _as_shape(size: tuple[Any, ...]) -> tuple[int, ...]:
    """The shape of ``rand(2, 3)`` or ``rand((2, 3))``."""
    return size[0] if len(size) == 1 and isinstance(size[0], tuple) else size
