"""The cost of a namespace call on small arrays, relative to the same call of NumPy.

    python -m bench.namespace [--json FILE] [--rounds N]

Each function is called on arrays of 8 x 8 float32 without gradients, in turn with NumPy's own; the
ratio is the median over the rounds. Functions that take a microsecond in NumPy show the cost of the
call itself.
"""

import argparse
import functools
import json
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import tinyxp as tx
from tinyxp.core.operation import OPS

SETS = ("unique_all", "unique_counts", "unique_inverse", "unique_values")
LINALG = (
    *("cholesky", "det", "diagonal", "eigh", "eigvalsh", "inv", "matrix_norm", "pinv", "qr"),
    *("slogdet", "svd", "svdvals", "trace", "vector_norm"),
)
REDUCTIONS = [
    *("all", "any", "argmax", "argmin", "count_nonzero", "cumulative_prod", "cumulative_sum"),
    *("max", "mean", "min", "prod", "std", "sum", "var"),
]


def cases() -> dict[str, tuple[tuple[Any, ...], dict[str, Any]]]:
    """Arguments for every function that NumPy has under the same name."""
    rng = np.random.default_rng(0)
    x, z = rng.uniform(0.1, 0.9, size=(2, 8, 8)).astype("float32")
    i, mask = rng.integers(0, 3, size=(8, 8)), x > 0.5
    found: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {}
    for name, op in OPS.items():
        if op.bare and not op.variadic and hasattr(np, name):
            operand = i if name.startswith("bitwise") else mask if name.startswith("logical") else x
            found[name] = ((operand,) * len(op.operands), {})
    found |= {"acosh": ((x + 1,), {}), "outer": ((x[0], z[0]), {}), "where": ((mask, x, z), {})}
    found |= {name: ((x,), {"axis": 1}) for name in REDUCTIONS}
    found |= {name: (((8, 8),), {"dtype": np.float32}) for name in ("empty", "ones", "zeros")}
    found |= {name: ((x,), {}) for name in ("empty_like", "ones_like", "zeros_like")}
    found |= {name: ((i,), {}) for name in SETS}
    found |= {f"fft.{name}": ((x,), {}) for name in ("fft", "fftn", "fftshift", "ifft", "rfft")}
    found |= {f"linalg.{name}": ((x + 8 * np.eye(8, dtype=x.dtype),), {}) for name in LINALG}
    found |= {
        "arange": ((8,), {}),
        "argsort": ((x,), {}),
        "astype": ((x, np.float64), {}),
        "broadcast_arrays": ((x, z), {}),
        "broadcast_to": ((x, (4, 8, 8)), {}),
        "clip": ((x, 0.2, 0.8), {}),
        "concat": (([x, z],), {}),
        "diff": ((x,), {}),
        "eye": ((8,), {"dtype": np.float32}),
        "expand_dims": ((x,), {"axis": 0}),
        "full": (((8, 8), 2.0), {"dtype": np.float32}),
        "full_like": ((x, 2.0), {}),
        "flip": ((x,), {"axis": 0}),
        "isin": ((i, i[0]), {}),
        "linalg.solve": ((x + 8 * np.eye(8, dtype=x.dtype), z), {}),
        "linspace": ((0.0, 1.0, 8), {"dtype": np.float32}),
        "meshgrid": ((x[0], z[0]), {"indexing": "xy"}),
        "moveaxis": ((x, 0, 1), {}),
        "permute_dims": ((x, (1, 0)), {}),
        "repeat": ((x, 2), {"axis": 0}),
        "reshape": ((x, (4, 16)), {}),
        "roll": ((x, 1), {"axis": 0}),
        "searchsorted": ((np.sort(x[0]), z[0]), {}),
        "sort": ((x,), {}),
        "squeeze": ((x[None],), {"axis": 0}),
        "stack": (([x, z],), {}),
        "take": ((x, i[0]), {"axis": 0}),
        "take_along_axis": ((x, i), {"axis": 1}),
        "tensordot": ((x, z), {"axes": 1}),
        "tile": ((x, (2, 2)), {}),
        "tril": ((x,), {}),
        "unstack": ((x,), {}),
    }
    return found


def tensors(value: Any) -> Any:
    """Convert arrays, alone or in a list, and dtypes to tinyxp's."""
    if isinstance(value, list):
        return [tensors(item) for item in value]
    if value is np.float32 or value is np.float64:
        return tx.float32 if value is np.float32 else tx.float64
    return tx.asarray(value) if isinstance(value, np.ndarray) else value


def contest(theirs: Callable[[], Any], ours: Callable[[], Any], rounds: int) -> tuple[float, float]:
    """Microseconds of NumPy's call, and the ratio of ours to it: medians over the rounds."""
    calls, seconds = 200, []
    for _ in range(rounds):
        pair = []
        for call in (theirs, ours):
            start = time.perf_counter()
            for _ in range(calls):
                call()
            pair.append((time.perf_counter() - start) / calls)
        seconds.append(pair)
    return (
        1e6 * statistics.median(a for a, _ in seconds),
        statistics.median(b / a for a, b in seconds),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--json", help="write the figures to this file, too")
    options = parser.parse_args()
    figures = {}
    for name, (args, static) in sorted(cases().items()):
        f, g = (functools.reduce(getattr, name.split("."), library) for library in (np, tx))
        own, ours = [tensors(value) for value in args], {k: tensors(v) for k, v in static.items()}
        figures[name] = contest(
            lambda f=f, args=args, static=static: f(*args, **static),
            lambda g=g, own=own, ours=ours: g(*own, **ours),
            options.rounds,
        )
    print("| function | NumPy, µs | tinyxp / NumPy |\n|---|---|---|")
    for name, (micros, ratio) in sorted(figures.items(), key=lambda item: -item[1][1]):
        print(f"| {name} | {micros:.2f} | {ratio:.2f} |")
    ratios = [ratio for _, ratio in figures.values()]
    within = sum(ratio <= 3 for ratio in ratios)
    print(f"\nmedian {statistics.median(ratios):.2f}, at most 3 for {within} of {len(ratios)}")
    if options.json:
        report = {
            "numpy": np.__version__,
            "python": platform.python_version(),
            "figures": {name: {"numpy_us": a, "ratio": b} for name, (a, b) in figures.items()},
        }
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(report, file, indent=1)


if __name__ == "__main__":
    main()
