"""Contenders in processes of their own, stepped in turn: A B A B …; medians and ratios.

A machine's speed drifts, so only figures taken side by side compare. Each contender has a process
to itself, so that the thread pool of one library never spins against that of another.
"""

import multiprocessing
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

Step = Callable[[], Any]


@dataclass
class Result:
    """Seconds per step of one contender: every round's, the first step's, and its peak memory."""

    name: str
    seconds: list[float]
    first: float
    peak_mb: float

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def _serve(connection: Connection, make: Callable[..., Step], args: tuple[Any, ...]) -> None:
    step = make(*args)
    while (steps := connection.recv()) is not None:
        start = time.perf_counter()
        for _ in range(steps):
            step()
        connection.send(time.perf_counter() - start)
    connection.send(_peak_mb())


def _peak_mb() -> float:
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def contest(
    contenders: dict[str, tuple[Callable[..., Step], tuple[Any, ...]]],
    rounds: int = 20,
    steps: int = 5,
    warmup: int = 5,
) -> list[Result]:
    """Run every contender for ``rounds`` rounds of ``steps`` steps, in turn."""
    context = multiprocessing.get_context("spawn")
    workers, results = {}, {}
    for name, (make, args) in contenders.items():
        ours, theirs = context.Pipe()
        worker = context.Process(target=_serve, args=(theirs, make, args), daemon=True)
        worker.start()
        ours.send(1)
        results[name] = Result(name, [], ours.recv(), 0.0)
        ours.send(warmup)
        ours.recv()
        workers[name] = (worker, ours)
    for _ in range(rounds):
        for name, (_, ours) in workers.items():
            ours.send(steps)
            results[name].seconds.append(ours.recv() / steps)
    for name, (worker, ours) in workers.items():
        ours.send(None)
        results[name].peak_mb = ours.recv()
        worker.join()
    return list(results.values())


def table(results: list[Result], reference: str) -> str:
    """A Markdown table; ratios are medians over rounds, each against the reference then."""
    base = next(r for r in results if r.name == reference)
    lines = [
        f"| contender | ms per step (median) | ratio to {reference} (median, 10-90%) "
        "| first step, ms | peak MB |",
        "|---|---|---|---|---|",
    ]
    for r in results:
        ratios = sorted(a / b for a, b in zip(r.seconds, base.seconds, strict=True))
        low, high = ratios[len(ratios) // 10], ratios[-1 - len(ratios) // 10]
        lines.append(
            f"| {r.name} | {1e3 * r.median:.1f} | {statistics.median(ratios):.2f} "
            f"({low:.2f}-{high:.2f}) | {1e3 * r.first:.0f} | {r.peak_mb:.0f} |"
        )
    return "\n".join(lines)
