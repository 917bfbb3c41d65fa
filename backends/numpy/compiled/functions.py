"""How numba compiles kernels, and the scalar functions that the kernels share."""

import functools
import hashlib
import math
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from tinyxp.backends import missing
from tinyxp.backends.numpy.replay.trace import plain, tracing
from tinyxp.errors import ShapeError

try:
    import numba
except ImportError as error:
    raise missing("numba", "fast") from error

# sums in any order, but with NaN and infinities as IEEE 754 has them
_options: dict[str, Any] = {"error_model": "numpy", "fastmath": {"reassoc", "nsz"}}
inlined: Any = numba.njit(inline="always", **_options)


def _remove_stale_code() -> None:
    """Remove the cached code if any file here changed: numba checks only the file of a function,
    not those of the functions that are compiled into it."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    now = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
    cache = Path(__file__).parent / "__pycache__"
    stamp = cache / "numba.sha256"
    with suppress(OSError):  # numba has its cache elsewhere if the folder is read-only
        if stamp.exists() and stamp.read_text("ascii") == now:
            return
        for path in [*cache.glob("*.nbi"), *cache.glob("*.nbc")]:
            path.unlink(missing_ok=True)
        cache.mkdir(exist_ok=True)
        stamp.write_text(now, "ascii")


_remove_stale_code()


def compiled(f: Callable[..., None]) -> Callable[..., None]:
    """Compile ``f``, which writes into arrays among its arguments; a recorded step has it as one
    call.

    Compiled code does not check bounds, so each ``f`` begins with an ``expect`` of all lengths that
    its loops rely on.
    """
    fast = numba.njit(nogil=True, cache=True, **_options)(f)

    @functools.wraps(f)
    def call(*args: Any) -> None:
        program = tracing()
        try:
            if program is None:
                fast(*args)
            else:
                fast(*plain(args))
                program.append(fast, plain(args), {})
        except ShapeError as error:
            shapes = [tuple(x.shape) for x in args if isinstance(x, np.ndarray)]
            raise ShapeError(f"{error}: {f.__name__.strip('_')} got {shapes}") from None

    return call


@inlined
def expect(fitting):  # type: ignore[no-untyped-def]
    """Guard a compiled kernel: its arrays must be as long as its loops."""
    if not fitting:
        raise ShapeError("a compiled kernel expects arrays that fit together")


def fits(*arrays: Any) -> bool:
    """Whether all arrays (None aside) are float32, C-contiguous, aligned and writeable: for another
    kind of array numba would compile again."""
    for x in arrays:
        if x is not None and not (
            isinstance(x, np.ndarray) and x.dtype.char == "f" and x.ndim and x.flags.carray
        ):
            return False
    return True


def readable(x: Any) -> Any:
    """x itself if it is C-contiguous, aligned and writeable, else a copy."""
    return x if x.flags.carray else x.copy()


f4, i4 = np.float32, np.int32
LOG2_E = f4(math.log2(math.e))
# ln 2 in two parts, so that n ln 2 keeps its digits
LN2_HIGH, LN2_LOW = f4(0.693359375), f4(-2.12194440e-4)
LOWEST = f4(-87.0)  # exp of less is a subnormal number
TANH_SCALE = f4(2 * math.sqrt(2 / math.pi))
CUBIC = f4(0.044715)
HALF_ROOT, DENSITY = f4(math.sqrt(0.5)), f4(1 / math.sqrt(2 * math.pi))


@inlined
def exp(x):  # type: ignore[no-untyped-def]
    """eˣ = 2ⁿ eʳ with |r| ≤ ln 2 / 2: eʳ by the polynomial of degree 7 of Moshier's Cephes (expf),
    2ⁿ from its bits."""
    z = LOWEST if x < LOWEST else x
    z = -LOWEST if z > -LOWEST else z
    n = np.floor(z * LOG2_E + f4(0.5))
    r = z - n * LN2_HIGH - n * LN2_LOW
    p = f4(1.9875691500e-4)
    p = p * r + f4(1.3981999507e-3)
    p = p * r + f4(8.3334519073e-3)
    p = p * r + f4(4.1665795894e-2)
    p = p * r + f4(1.6666665459e-1)
    p = p * r + f4(5.0000001201e-1)
    y = (p * r * r + r + f4(1)) * i4((i4(n) + i4(127)) << i4(23)).view(f4)
    return f4(0) if x < LOWEST else y


@inlined
def tanh_rest(x):  # type: ignore[no-untyped-def]
    """m = E / (1 + E), E = exp(-2 |u|), u = √(2/π) (x + 0.044715 x³): (1 + tanh u) / 2 is m for
    x < 0 and 1 - m for x > 0. m keeps the digits that 1 - |tanh u| loses."""
    e = exp(-TANH_SCALE * abs(x) * (f4(1) + CUBIC * x * x))
    return e / (f4(1) + e)


@inlined
def erfc(x):  # type: ignore[no-untyped-def]
    """1 - erf x = exp(-x²) t (c₁ + … + c₈ t⁷), t = 1 / (1 + 0.33 |x|), for x ≥ 0, and 2 - erfc(-x)
    for x < 0. The fit has a relative error of 1e-7 up to |x| = 10; beyond, erfc is 0."""
    a = abs(x)
    t = f4(1) / (f4(1) + f4(0.33) * a)
    p = f4(-0.135346407)
    p = p * t + f4(0.460240403)
    p = p * t + f4(-0.351155946)
    p = p * t + f4(0.408506345)
    p = p * t + f4(0.0472169064)
    p = p * t + f4(0.201225158)
    p = p * t + f4(0.182955712)
    p = p * t + f4(0.18635782)
    y = p * t * exp(-a * a)
    return y if x >= f4(0) else f4(2) - y
