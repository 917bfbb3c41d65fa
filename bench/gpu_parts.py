"""The measurements on a GPU, in parts that each run in a separate process."""

import importlib.util
import math
import statistics
import time
from collections.abc import Callable
from typing import Any

import tinyxp as tx
from tinyxp.bench import machine
from tinyxp.bench.contest import LATE, Result, contest, peer, rehearsal
from tinyxp.bench.gpu_probe import probe
from tinyxp.bench.report import REFERENCE
from tinyxp.bench.workloads import GPT, Workload
from tinyxp.random import Generator

OURS = {"cuda": "cupy", "cpu": "numpy"}
COMPILED = "torch.compile"
LADDER = (1, 4, 16, 64, 256)
LARGER = 32  # the second batch size of GPT-2, where memory holds one model at a time
PATIENCE = 120.0  # seconds a contender may take to answer: its first step compiles
Found = dict[str, Any]

GPT2 = Workload(
    "GPT-2",
    "GPT-2 of 124 million parameters, batch 8 x 1024",
    GPT(n_layer=12, n_head=12, n_embd=768, block_size=1024, batch=8, vocabulary=50257),
    steps=4,
    weight_decay=0.1,
)
CHARACTERS = Workload(
    "characters",
    "nanoGPT's character model, GPU configuration: batch 64 x 256",
    GPT(n_layer=6, n_head=6, n_embd=384, block_size=256, batch=64),
    steps=10,
    weight_decay=0.1,
)
DROPPED = CHARACTERS.sized("characters with dropout", dropout=0.2)
STEPPED = Workload(  # at batch 1 a CPU is faster
    "ladder",
    "GPT of 4 layers, 128 wide, context 64",
    GPT(n_layer=4, n_head=4, n_embd=128, block_size=64, batch=1),
    steps=5,
    weight_decay=0.1,
)


def tiny(workload: Workload) -> Workload:
    """The same workload at sizes that any machine runs at once."""
    sizes = {"n_layer": 1, "n_head": 2, "n_embd": 8, "block_size": 4, "vocabulary": 11}
    batch = min(workload.model.batch, 2)
    return workload.sized(workload.name, **sizes, batch=batch)


class Parts:
    """The parts by name, the most important first. ``small``: a rehearsal in one process, at sizes
    too small to measure speed. ``until``: the end, in terms of ``time.monotonic``."""

    def __init__(self, device: str, small: bool, rounds: int, until: float = math.inf) -> None:
        self.device, self.small, self.rounds, self.until = device, small, rounds, until
        size = tiny if small else lambda workload: workload
        self.named: dict[str, Callable[[], Found]] = {"probe": self.probed, "limits": self.limits}
        larger = GPT2.sized(f"GPT-2 batch {LARGER}", batch=LARGER)
        some = [
            *((GPT2, "bfloat16"), (GPT2, "high"), (CHARACTERS, "high"), (STEPPED, "highest")),
            *((DROPPED, "high"), (GPT2, "highest"), (CHARACTERS, "bfloat16")),
            *((CHARACTERS, "highest"), (larger, "bfloat16"), (larger, "high")),
            *((DROPPED, "bfloat16"), (GPT2, COMPILED), (CHARACTERS, COMPILED)),
        ]
        for workload, precision in some:
            if workload is STEPPED:
                self.named["ladder"] = lambda: self.ladder(size(STEPPED))
            elif not small or (workload in (GPT2, CHARACTERS) and precision != COMPILED):
                name = f"{workload.name}, {precision}"
                self.named[name] = self.timed(name, size(workload), precision)

    def probed(self) -> Found:
        return {"probe": probe() if self.device == "cuda" else ["probe: that needs a GPU"]}

    def limits(self) -> Found:
        return {"limits": limits(self.device, 64 if self.small else 8192)}

    def timed(self, part: str, workload: Workload, precision: str) -> Callable[[], Found]:
        def measure() -> Found:
            compiled = precision == COMPILED  # it takes a minute or two before its first step
            kind = "high" if compiled else precision
            some = (compilers if compiled else contenders)(self.device, kind)
            results = self.run(workload, some, self.rounds)
            name = workload.name + " with torch.compile" * compiled
            about = {"name": name, "about": workload.about, "precision": kind}
            numbers = {"flops": workload.model.flops(), "results": [vars(r) for r in results]}
            late = [r.name for r in results if r.error == LATE]
            failed = {part: f"no time was left for {', '.join(late)}"} if late else {}
            return {"workloads": [about | numbers], "failed": failed}

        return measure

    def run(self, workload: Workload, some: dict[str, dict[str, Any]], rounds: int) -> list[Result]:
        """Run a contest of ``some`` contenders on a workload."""
        made: dict[str, Any] = {
            name: (peer, (), options | {"workload": workload}) for name, options in some.items()
        }
        if self.small:
            for _, _, options in made.values():
                options["threads"] = 1  # more would disturb each other
            return rehearsal(made, rounds, steps=1, warmup=1)
        alone = workload.model.batch == LARGER
        return contest(made, rounds, workload.steps, 3, PATIENCE, alone, self.until)

    def ladder(self, base: Workload) -> Found:
        """Seconds per step by batch size: tinyxp on the CPU and on the device, and PyTorch."""
        some = contenders(self.device, "highest")
        some["tinyxp numpy"] = contenders("cpu", "highest")["tinyxp numpy"]
        rows, failed = [], {}
        rounds = max(2, self.rounds // 3)
        for batch in LADDER[:2] if self.small else LADDER:
            if time.monotonic() > self.until:
                failed = {"ladder": f"no time was left for batch {batch}"}
                break
            results = self.run(base.sized(f"batch {batch}", batch=batch), some, rounds)
            seconds = {r.name: r.median for r in results if not r.error}
            rows.append({"batch": batch, "seconds": seconds})
        ours = f"tinyxp {OURS[self.device]}"
        where = crossover(rows, ours, "tinyxp numpy")
        return {"ladder": rows, "crossover": where, "failed": failed}


def contenders(device: str, precision: str) -> dict[str, dict[str, Any]]:
    """tinyxp, eager and captured, and PyTorch if it is installed, on one device."""
    shared = {"threads": machine.threads(), "precision": precision}
    found: dict[str, dict[str, Any]] = {}
    if importlib.util.find_spec("torch"):
        found[REFERENCE] = {"module": "torch_peer", "device": device} | shared
    name = OURS[device]
    found[f"tinyxp {name}"] = {"module": "tinyxp_peer", "backend": name} | shared
    found["tinyxp captured"] = found[f"tinyxp {name}"] | {"capture": True}
    return found


def compilers(device: str, precision: str) -> dict[str, dict[str, Any]]:
    """PyTorch, eager and compiled, and tinyxp captured."""
    found = contenders(device, precision)
    del found[f"tinyxp {OURS[device]}"]
    if REFERENCE in found:
        found[COMPILED] = found[REFERENCE] | {"compiled": True}
    return found


def limits(device: str, n: int, rounds: int = 5) -> dict[str, float]:
    """The rates of products of two (n, n) matrices in GFLOP/s in each precision, of bfloat16 by
    PyTorch if it is installed; and of copying in GB/s, read and written."""
    wait = tx.cuda.synchronize if device == "cuda" else lambda: None
    found = {}

    def seconds(f: Any, wait: Any) -> float:
        f(), wait()
        times = []
        for _ in range(rounds):
            start = time.perf_counter()
            f(), wait()
            times.append(time.perf_counter() - start)
        return statistics.median(times)

    with tx.backend(OURS[device]), tx.no_grad():
        a = Generator(0).uniform((n, n))
        try:
            for precision in ("highest", "high"):
                tx.set_float32_matmul_precision(precision)
                found[precision] = 2e-9 * n**3 / seconds(lambda: a @ a, wait)
        finally:
            tx.set_float32_matmul_precision("highest")
        found["gb_per_s"] = 8e-9 * n**2 / seconds(lambda: tx.clone(a), wait)
    if importlib.util.find_spec("torch"):
        from tinyxp.bench.torch_models import bfloat16_product

        product, wait = bfloat16_product(device, n)
        found["bfloat16"] = 2e-9 * n**3 / seconds(product, wait)
    return found


def crossover(rows: list[dict[str, Any]], gpu: str, cpu: str) -> int | None:
    """The batch size from which ``gpu`` takes less time than ``cpu``; None if it never does.

    >>> rows = [{"batch": n, "seconds": {"a": 2, "b": n}} for n in (1, 4)]
    >>> crossover(rows, "a", "b"), crossover(rows, "b", "a")
    (4, None)
    """
    found = None
    for row in rows:
        seconds = row["seconds"]
        if gpu not in seconds or cpu not in seconds:
            continue
        if seconds[gpu] >= seconds[cpu]:
            found = None
        elif found is None:
            found = row["batch"]
    return found
