"""Single operations, forward and backward, in GFLOP/s or GB/s relative to the machine's limits.

One line serves both libraries, because their functions have the same names.
"""

import importlib
import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from tinyxp.bench.contest import Result, Step, contest


@dataclass(frozen=True)
class Op:
    """An operation on arrays of these shapes: its work forward, in operations or bytes."""

    name: str
    shapes: tuple[tuple[int, ...], ...]
    call: Callable[..., Any]  # (functional, *tensors)
    unit: str  # GFLOP/s or GB/s; Mop/s has no limit to compare with
    work: float
    back: float  # the work of forward and backward, as a multiple


def _matmul(m: int, k: int, n: int) -> Op:
    name = f"matmul {m} x {k} x {n}"
    return Op(name, ((m, k), (k, n)), lambda F, a, b: a @ b, "GFLOP/s", 2.0 * m * k * n, 3)


def _elementwise(
    name: str, shape: tuple[int, ...], call: Callable[..., Any], extra: Any = ()
) -> Op:
    # forward reads and writes an array; backward reads two and writes one
    return Op(f"{name} {shape}", (shape, *extra), call, "GB/s", 8.0 * np.prod(shape), 2.5)


def _attention(b: int, h: int, t: int, d: int) -> Op:
    shapes = ((b, h, t, d),) * 3

    def call(F: Any, q: Any, k: Any, v: Any) -> Any:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)

    return Op(f"causal attention {shapes[0]}", shapes, call, "GFLOP/s", 4.0 * b * h * t * t * d, 3)


def _conv(n: int, c: int, o: int, size: int) -> Op:
    shapes = ((n, c, size, size), (o, c, 3, 3), (o,))
    work = 18.0 * n * c * o * size * size
    name = f"conv2d 3 x 3, {c} -> {o}, {n} x {size} x {size}"
    return Op(name, shapes, lambda F, x, w, b: F.conv2d(x, w, b, padding=1), "GFLOP/s", work, 3)


def _chain(F: Any, x: Any, y: Any) -> Any:
    for _ in range(100):
        x = x + y
    return x


_all = (
    # the overhead of the library, in millions of operations per second
    Op("100 additions, 8 x 8", ((8, 8), (8, 8)), _chain, "Mop/s", 1e5, 1),
    _matmul(64, 128, 128),
    _matmul(768, 128, 512),
    _matmul(1024, 384, 1536),
    _elementwise("softmax", (1536, 256), lambda F, x: F.softmax(x, dim=-1)),
    _elementwise(
        "layer_norm",
        (1024, 384),
        lambda F, x, w, b: F.layer_norm(x, (384,), w, b),
        ((384,), (384,)),
    ),
    _elementwise("gelu", (1024, 1536), lambda F, x: F.gelu(x)),
    _elementwise("relu", (1024, 1536), lambda F, x: F.relu(x)),
    _elementwise("dropout", (1024, 1536), lambda F, x: F.dropout(x, 0.1)),
    _elementwise("max_pool2d", (32, 32, 32, 32), lambda F, x: F.max_pool2d(x, 2)),
    _attention(12, 4, 64, 32),
    _attention(4, 6, 256, 64),
    _conv(64, 16, 32, 4),
    _conv(32, 32, 64, 16),
)
OPS = {op.name: op for op in _all}
CHAIN, CAPTURED = _all[0].name, "tinyxp numpy, captured"


def start(
    library: str,
    name: str,
    backward: bool,
    threads: int,
    fast: bool = True,
    captured: bool = False,
) -> Step:
    """The step of one operation on tinyxp (numpy), also by ``tx.capture``, or torch."""
    os.environ["TINY_FAST"] = str(int(fast))
    module: Any = importlib.import_module(library)
    functional: Any = importlib.import_module(f"{library}.nn.functional")
    module.set_num_threads(threads)
    op, rng = OPS[name], np.random.default_rng(0)
    arrays = [rng.standard_normal(shape).astype("float32") for shape in op.shapes]
    xs = [module.asarray(x).requires_grad_(backward) for x in arrays]
    g = module.ones_like(op.call(functional, *xs).detach())

    def step(*given: Any) -> None:  # returns nothing, so that nothing is sent between processes
        for x in xs:
            x.grad = None
        y = op.call(functional, *(given or xs))
        if backward:
            y.backward(g)

    if not captured:
        return step
    # a tensor without gradient must be an input, or the captured step would treat it as constant
    return partial(module.capture(step), *([] if backward else xs))


def measure(threads: int, rounds: int, fast: bool) -> list[dict[str, Any]]:
    """Measure every operation, forward and with its backward pass, in each installed library."""
    contenders: dict[str, dict[str, Any]] = {"tinyxp numpy": {"library": "tinyxp", "fast": False}}
    contenders[CAPTURED] = contenders["tinyxp numpy"] | {"captured": True}
    if fast:
        contenders["tinyxp numpy + fast"] = {"library": "tinyxp"}
    if importlib.util.find_spec("torch"):
        contenders["PyTorch eager"] = {"library": "torch"}
    rows = []
    for op in OPS.values():
        for backward in (False, True):
            shared = {"name": op.name, "backward": backward, "threads": threads}
            made = {
                name: (start, (), options | shared)
                for name, options in contenders.items()
                if name != CAPTURED
                or op.name == CHAIN  # one operation alone has no overhead to save
            }
            results = contest(made, rounds, steps=20, warmup=5)
            work = op.work * (op.back if backward else 1)
            rows.append(
                {
                    "op": op.name,
                    "pass": "forward and backward" if backward else "forward",
                    "unit": op.unit,
                    "results": {r.name: _rate(r, work) for r in results if not r.error},
                }
            )
            print(f"  {op.name}, {rows[-1]['pass']}", flush=True)
    return rows


def _rate(result: Result, work: float) -> dict[str, float]:
    return {"us": 1e6 * result.median, "rate": 1e-9 * work / result.median}


def table(rows: list[dict[str, Any]], limits: dict[str, float]) -> str:
    """Markdown: microseconds, and the rate as a share of the machine's limit."""
    names = list(dict.fromkeys(name for row in rows for name in row["results"]))
    lines = [f"| operation | pass | {' | '.join(names)} |", "|---" * (2 + len(names)) + "|"]
    for row in rows:
        most = {"GFLOP/s": limits["gflops"], "GB/s": limits["gb_per_s"]}.get(row["unit"])
        cells = []
        for name in names:
            found = row["results"].get(name)
            if found is None:
                cells.append("-")
                continue
            share = "" if most is None else f" ({found['rate'] / most:.0%})"
            cells.append(f"{found['us']:.0f} us, {found['rate']:.1f} {row['unit']}{share}")
        lines.append(f"| {row['op']} | {row['pass']} | {' | '.join(cells)} |")
    return "\n".join(lines)
