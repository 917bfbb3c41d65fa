"""Special functions that the Array API does not have, for libraries without them."""

from typing import Any

from array_api_compat import array_namespace

# Rational Chebyshev approximations of W. J. Cody, "Rational Chebyshev approximations for the error
# function", Math. Comp. 23 (1969), for |x| <= 0.47, |x| <= 4 and beyond; highest power first.
_SMALL = (
    (1.85777706184603153e-1, 3.16112374387056560e0, 1.13864154151050156e2, 3.77485237685302021e2,
     3.20937758913846947e3),
    (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3,
     2.84423683343917062e3),
)  # fmt: skip
_MIDDLE = (
    (2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594e0, 6.61191906371416295e1,
     2.98635138197400131e2, 8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3,
     1.23033935479799725e3),
    (1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2,
     1.62138957456669019e3, 3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3,
     1.23033935480374942e3),
)  # fmt: skip
_LARGE = (
    (1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1,
     1.25781726111229246e-1, 1.60837851487422766e-2, 6.58749161529837803e-4),
    (1.0, 2.56852019228982242e0, 1.87295284992346725e0, 5.27905102951428412e-1,
     6.05183413124413191e-2, 2.33520497626869185e-3),
)  # fmt: skip
_ONE_OVER_SQRT_PI = 5.6418958354775628695e-1


def _ratio(coefficients: tuple[tuple[float, ...], tuple[float, ...]], t: Any) -> Any:
    def horner(powers: tuple[float, ...]) -> Any:
        total = powers[0]
        for c in powers[1:]:
            total = total * t + c
        return total

    return horner(coefficients[0]) / horner(coefficients[1])


def _inner(a: Any) -> Any:
    """erf a for 0 <= a <= 0.46875."""
    return a * _ratio(_SMALL, a * a)


def _rest(xp: Any, a: Any) -> Any:
    """1 - erf a for a >= 0.46875, accurate also where it is small."""
    # clipped to the range of each branch, so that neither overflows
    middle = xp.clip(a, 0.46875, 4.0)
    large = xp.clip(a, 4.0, 28.0)  # beyond, the result underflows
    z = 1 / (large * large)
    tail = (_ONE_OVER_SQRT_PI - z * _ratio(_LARGE, z)) / large
    return xp.where(
        a <= 4, xp.exp(-middle * middle) * _ratio(_MIDDLE, middle), xp.exp(-large * large) * tail
    )


def erf(x: Any) -> Any:
    """The error function 2/√π ∫₀ˣ exp(-t²) dt, elementwise, to the last digits of float64.

    >>> import numpy as np
    >>> erf(np.asarray([0.0, 1.0])).round(6)
    array([0.      , 0.842701])
    """
    xp = array_namespace(x)
    a = xp.abs(x)
    y = xp.where(a <= 0.46875, _inner(xp.clip(a, 0.0, 0.46875)), 1 - _rest(xp, a))
    return xp.where(xp.isnan(x), x, xp.where(x < 0, -y, y))


def erfc(x: Any) -> Any:
    """1 - erf x, elementwise, accurate also where erf x is near 1.

    >>> import numpy as np
    >>> erfc(np.asarray([0.0, 10.0]))
    array([1.00000000e+00, 2.08848758e-45])
    """
    xp = array_namespace(x)
    a = xp.abs(x)
    y = xp.where(a <= 0.46875, 1 - _inner(xp.clip(a, 0.0, 0.46875)), _rest(xp, a))
    return xp.where(xp.isnan(x), x, xp.where(x < 0, 2 - y, y))


def log_length(xp: Any, real: Any, imag: Any) -> Any:
    """ln |1 + z| from the parts of z: ½ ln(1 + (2 x + x² + y²)) near 0, where the logarithm of the
    rounded length would lose the digits of x.

    >>> import numpy as np
    >>> log_length(np, np.asarray([1e-20, 1.0]), np.asarray([1e-21, 0.0]))
    array([1.00000000e-20, 6.93147181e-01])
    """
    near = (xp.abs(real) < 0.5) & (xp.abs(imag) < 0.5)
    x, y = xp.where(near, real, 0), xp.where(near, imag, 0)
    far = xp.log(xp.hypot(xp.where(near, 0, real) + 1, imag))
    return xp.where(near, xp.log1p(x * (2 + x) + y * y) / 2, far)
