"""Assumptions about CuPy and cuBLAS that only a GPU can confirm, each tested in one line.

Each answer begins with "yes", "no" (the assumption is wrong), a number, or "failed".
"""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np

import tinyxp as tx
from tinyxp.bench.tinyxp_models import build
from tinyxp.bench.workloads import GPT, Workload
from tinyxp.nn import functional as F
from tinyxp.random import Generator

SMALL = Workload("gpt", "", GPT(2, 2, 64, 32, batch=4, vocabulary=65), 1, weight_decay=0.1)


def probe() -> list[str]:
    """Test all assumptions; return a line for each, with the error if the test failed."""
    found = []
    with tx.backend("cupy"):
        for name, ask in QUESTIONS.items():
            try:
                answer = ask()
            except Exception as error:
                first = (str(error).splitlines() or [""])[0]
                answer = f"failed: {type(error).__name__}: {first}"
            found.append(f"{name}: {answer}")
            print(found[-1], flush=True)
    return found


def said(holds: bool, reason: str = "") -> str:
    return "yes" if holds else f"no{reason and ': ' + reason}"


# -- CUDA graphs ----------------------------------------------------------------------------------


def captured(f: Callable[[], Any]) -> Any:
    """The CUDA graph of the launches of ``f``, which runs once without it first."""
    import cupy

    cupy.cuda.runtime.deviceSynchronize()  # the inputs of f are ready
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        f()
        stream.synchronize()
        stream.begin_capture()
        try:
            f()
        except Exception:
            with suppress(Exception):  # it would raise the same error again
                stream.end_capture()
            raise
        graph = stream.end_capture()
    graph.launch(stream)
    stream.synchronize()
    return graph


def cupy_refuses() -> str:
    import cupy

    a = cupy.ones((8, 8), dtype="float32")
    try:
        captured(lambda: cupy.dot(a, a))
    except NotImplementedError as error:
        return f"yes: {error}"
    return "no: it could be captured"


def cublas_is_captured() -> str:
    from tinyxp.backends.cupy.matmul import matmul

    a = Generator(0).uniform((256, 256)).array
    into = []
    captured(lambda: into.append(matmul(a, a)))
    return said(bool((into[0] == into[1]).all()), "it was captured, but its bits differ")


def sorting_is_captured() -> str:
    import cupy

    a, into = cupy.asarray(np.arange(4096)[::-1].copy()), []
    captured(lambda: into.append(cupy.argsort(a, kind="stable")))
    return said(bool((into[0] == into[1]).all()), "it was captured, but sorts differently")


def a_linear_is_captured() -> str:
    layer = tx.nn.Linear(256, 512)
    graph = tx.capture(lambda x: layer(x))
    graph(Generator(0).uniform((64, 256)))
    x = Generator(1).uniform((64, 256))
    same = np.array_equal(graph(x).numpy(), layer(x).detach().numpy())
    return said(same, "the replay gives other bits than the layer")


def a_bias_is_added_in_the_product() -> str:
    from tinyxp.backends.cupy import cublas

    kinds = {}
    for dtype in (tx.float32, tx.bfloat16):
        x, weight = (Generator(i).uniform((256, 512)).astype(dtype) for i in (0, 1))
        F.linear(x, weight, weight[:, 0])
        kinds[dtype.name] = [plan is not None for plan in cublas.handle().plans.values()]
    return said(all(map(all, kinds.values())), f"cuBLASLt has no such product of {kinds}")


def a_step_is_captured() -> str:
    ends = []
    for graph in (False, True):
        model = build(SMALL.model)
        model.load_state_dict(SMALL.weights(), strict=False)
        optimizer, drawn = tx.optim.AdamW(model.parameters(), lr=1e-3), Generator(5)
        x, y = (tx.asarray(part) for part in SMALL.data())

        def step(x: Any, y: Any, model: Any = model, rest: Any = (optimizer, drawn)) -> Any:
            rest[0].zero_grad()
            logits = F.dropout(model(x), 0.1, generator=rest[1])
            loss = F.cross_entropy(logits.flatten(0, -2), y.flatten())
            loss.backward()
            tx.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            rest[0].step()
            return loss.detach()

        take = tx.capture(step) if graph else step
        with tx.cuda.checks_later():
            losses = [take(x, y).item() for _ in range(5)]
        ends.append((losses, [p.detach().numpy() for p in model.parameters()]))
    same = ends[0][0] == ends[1][0] and all(map(np.array_equal, ends[0][1], ends[1][1]))
    return said(same, f"losses {ends[0][0]} without a graph, {ends[1][0]} with one")


# -- products --------------------------------------------------------------------------------------


def cupy_copies() -> str:
    """The extra memory of a product with a stack of transposed matrices."""
    import cupy

    def extra(product: Any) -> float:
        a = cupy.ones((16, 1024, 256), dtype="float32")
        product(a, a.swapaxes(-1, -2))
        pool = cupy.get_default_memory_pool()
        pool.free_all_blocks()
        before = pool.total_bytes()
        y = product(a, a.swapaxes(-1, -2))
        return float((pool.total_bytes() - before - y.nbytes) / a.nbytes)

    from tinyxp.backends.cupy.matmul import matmul

    theirs, ours = extra(cupy.matmul), extra(matmul)
    return f"{said(theirs > 0.5)}, {theirs:.1f} operands' worth; tinyxp's product {ours:.1f}"


# -- launches --------------------------------------------------------------------------------------


def host_time(f: Callable[[], Any], count: int = 300) -> str:
    """The host's microseconds for one call while the device is almost idle."""
    import cupy

    for _ in range(10):
        f()
    cupy.cuda.runtime.deviceSynchronize()
    start = time.perf_counter()
    for _ in range(count):
        f()
    seconds = time.perf_counter() - start
    cupy.cuda.runtime.deviceSynchronize()
    return f"{1e6 * seconds / count:.1f} µs"


def _ones(*shape: int) -> Any:
    import cupy

    return cupy.ones(shape, dtype="float32")


def an_elementwise_operation() -> str:
    a = _ones(64)
    return f"{host_time(lambda: a + a)} of host time (about 12 expected)"


def a_reduction() -> str:
    a = _ones(64, 64)
    return f"{host_time(lambda: a.sum(axis=0))} of host time (about 28 expected)"


def a_kernel() -> str:
    x = tx.asarray(np.ones(64, "float32"))
    return f"{host_time(lambda: F.relu(x))} of host time, with tinyxp's own"


def a_product() -> str:
    from tinyxp.backends.cupy.matmul import matmul

    a = _ones(64, 64)
    return f"{host_time(lambda: matmul(a, a))} of host time through ctypes, its planning included"


def a_replay() -> str:
    graph = tx.capture(lambda x: F.relu(F.relu(F.relu(F.relu(x)))))
    x = tx.asarray(np.ones(64, "float32"))
    graph(x)
    return f"{host_time(lambda: graph(x))} of host time for a graph of four kernels"


QUESTIONS: dict[str, Callable[[], str]] = {
    "tinyxp's cuBLAS call can be captured": cublas_is_captured,
    "one Linear layer can be captured, with the same bits": a_linear_is_captured,
    "cuBLASLt adds a bias where it writes a product": a_bias_is_added_in_the_product,
    "a whole training step can be captured, with the same bits": a_step_is_captured,
    "CuPy's sort (for an embedding's gradient) can be captured": sorting_is_captured,
    "CuPy refuses cuBLAS under capture": cupy_refuses,
    "CuPy's matmul copies the transposed operand of a stack": cupy_copies,
    "a launch of an elementwise operation": an_elementwise_operation,
    "a launch of a reduction": a_reduction,
    "a launch of a kernel": a_kernel,
    "a product": a_product,
    "a replay": a_replay,
}
