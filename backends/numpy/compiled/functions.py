"""How numba compiles our kernels, and the scalar functions that they share."""

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

# sums in any order; but NaN and infinity stay what they are
_options: dict[str, Any] = {"error_model": "numpy", "fastmath": {"reassoc", "nsz"}}
inlined: Any = numba.njit(inline="always", **_options)


def _forget_others() -> None:
    """Remove compiled code from before a change of any of its files: numba looks at the file of a
    function alone, and not at those of what is compiled into it."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    now = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
    cache = Path(__file__).parent / "__pycache__"
    stamp = cache / "numba.sha256"
    with suppress(
        OSError
    ):  # a folder that is not ours to write; numba then has its cache elsewhere
        if stamp.exists() and stamp.read_text("ascii") == now:
            return
        for path in [*cache.glob("*.nbi"), *cache.glob("*.nbc")]:
            path.unlink(missing_ok=True)
        cache.mkdir(exist_ok=True)
        stamp.write_text(now, "ascii")


_forget_others()


def compiled(f: Callable[..., None]) -> Callable[..., None]:
    """Compile ``f``, which writes into arrays that it is given; a call of it is one call of a step
    that is recorded.

    Compiled code reads and writes beyond the end of an array that is shorter than it believes, so
    each ``f`` begins with an ``expect`` of what it believes.
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
    """The guard of a compiled kernel: arrays are as long as its loops go."""
    if not fitting:
        raise ShapeError("a compiled kernel expects arrays that fit together")


def fits(*arrays: Any) -> bool:
    """Whether all arrays (None aside) are float32 that compiled code can take as they lie: without
    gaps, aligned and writeable, as it is compiled anew for each kind."""
    for x in arrays:
        if x is not None and not (
            isinstance(x, np.ndarray) and x.dtype.char == "f" and x.ndim and x.flags.carray
        ):
            return False
    return True


def readable(x: Any) -> Any:
    """x itself if compiled code can take it as it lies, else a copy."""
    return x if x.flags.carray else x.copy()


f4, i4 = np.float32, np.int32
LOG2_E = f4(math.log2(math.e))
LN2_HIGH, LN2_LOW = (
    f4(0.693359375),
    f4(-2.12194440e-4),
)  # ln 2 in two parts: n ln 2 keeps its digits
LOWEST = f4(-87.0)  # exp of less is no normal number
TANH_SCALE = f4(2 * math.sqrt(2 / math.pi))
CUBIC = f4(0.044715)
HALF_ROOT, DENSITY = f4(math.sqrt(0.5)), f4(1 / math.sqrt(2 * math.pi))


@inlined
def exp(x):  # type: ignore[no-untyped-def]
    """eˣ = 2ⁿ eʳ with |r| ≤ ln 2 / 2, for which a polynomial of degree 7 is exact enough (that of
    Moshier's Cephes, expf); 2ⁿ is put together from its bits."""
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
    """m = E / (1 + E), E = exp(-2 |u|), u = √(2/π) (x + 0.044715 x³): (1 + tanh u) / 2 is m below 0
    and 1 - m above, where m keeps the digits that 1 - |tanh u| loses."""
    e = exp(-TANH_SCALE * abs(x) * (f4(1) + CUBIC * x * x))
    return e / (f4(1) + e)


@inlined
def erfc(x):  # type: ignore[no-untyped-def]
    """1 - erf x: exp(-x²) t (c₁ + … + c₈ t⁷) with t = 1 / (1 + 0.33 |x|), fitted to a relative
    error of 1e-7 up to |x| = 10, beyond which it is 0; and 2 - that below 0."""
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
