"""Contests of steps, run in turn in separate processes (A B A B …), with medians and ratios.

The speed of a machine drifts, so only measurements taken side by side compare. Separate processes
keep the thread pools of libraries from disturbing each other.
"""

import importlib
import math
import multiprocessing
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

Step = Callable[[], Any]
PAUSE = 0.06  # seconds between two turns: idle pool threads spin for about 30 ms
LATE = "no time was left"  # the error of a contender that did not start
FEWEST = 2  # rounds, even if no time is left
TURN = 1.0  # seconds that a slow contender's turn may take; it does at least one step


@dataclass
class Result:
    """One contender's seconds per step in every round and for the first step, its peak memory, and
    its losses after one step and after the warm-up."""

    name: str
    seconds: list[float] = field(default_factory=list)
    first: float = 0.0
    peak_mb: float = 0.0
    losses: list[Any] = field(default_factory=list)
    error: str = ""  # why it has no results

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def ratios(self, base: "Result") -> list[float]:
        """The sorted ratios of its seconds to another's, round by round. Contenders that ran alone
        may have different numbers of rounds."""
        return sorted(a / b for a, b in zip(self.seconds, base.seconds, strict=False))

    def spread(self, base: "Result") -> tuple[float, float, float]:
        """The ratio to another: its median over rounds, and the 10% and 90% quantiles."""
        ratios = self.ratios(base)
        tenth = len(ratios) // 10
        return statistics.median(ratios), ratios[tenth], ratios[-1 - tenth]


def peer(module: str, **options: Any) -> Step:
    """The step of a peer; only the process that runs it imports the library."""
    step: Step = importlib.import_module(f"tinyxp.bench.peers.{module}").start(**options)
    return step


def _serve(
    connection: Connection, make: Callable[..., Step], args: tuple[Any, ...], options: Any
) -> None:
    try:
        step = make(*args, **options)
        while (steps := connection.recv()) is not None:
            start = time.perf_counter()
            for _ in range(steps):
                value = step()
            connection.send((time.perf_counter() - start, value))
        connection.send(getattr(step, "peak_mb", _peak_mb)())  # a peer on a GPU measures it
    except Exception as error:
        connection.send(f"{type(error).__name__}: {error}")


def _peak_mb() -> float:
    status = Path("/proc/self/status")  # getrusage includes the parent of a fork
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)  # bytes on macOS


class Failure(RuntimeError):
    """A contender could not take its step."""


class _Contender:
    """The process of one contender, seen from the process of the contest."""

    def __init__(self, name: str, make: Callable[..., Step], args: Any, options: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        given = (theirs, make, args, options)
        self.process = context.Process(target=_serve, args=given, daemon=True)
        self.process.start()
        theirs.close()  # so that the pipe breaks when the process dies
        self.result = Result(name)
        self.steps = 1  # of a turn

    def ask(self, steps: int | None, patience: float) -> Any:
        try:
            self.connection.send(steps)
            # None waits without a limit
            if not self.connection.poll(None if patience == math.inf else patience):
                self.stop()
                raise Failure(f"no answer within {patience:.0f} s")
            answer = self.connection.recv()
        except (EOFError, OSError):
            answer = "its process died"
        if isinstance(answer, str):
            raise Failure(answer)
        return answer

    def stop(self) -> None:
        self.process.terminate()
        self.process.join()


def contest(
    contenders: dict[str, tuple[Any, ...]],
    rounds: int = 20,
    steps: int = 5,
    warmup: int = 5,
    patience: float = math.inf,
    alone: bool = False,
    until: float = math.inf,
) -> list[Result]:
    """Run every contender in turn, for ``rounds`` rounds of ``steps`` steps, fewer for slow ones.

    A contender is (function that makes a step, its arguments[, its options]). The result of one
    that fails, or does not answer for ``patience`` seconds, has the error; the others continue.
    ``alone`` runs all rounds of one before the next, if memory holds only one. After ``until`` (of
    ``time.monotonic``) no contender starts, and there are only two rounds.
    """
    everyone: list[_Contender] = []
    results: list[Result] = []
    running: list[_Contender] = []
    try:
        for name, (make, args, *options) in contenders.items():
            if (left := until - time.monotonic()) < 0:
                results.append(Result(name, error=LATE))
                continue
            contender = _Contender(name, make, args, options[0] if options else {})
            everyone.append(contender)
            results.append(result := contender.result)
            try:
                result.first, first = contender.ask(1, min(patience, left))
                seconds, last = contender.ask(warmup, patience)
            except Failure as error:
                result.error = str(error)
                continue
            result.losses = [first, last]
            contender.steps = max(1, min(steps, int(TURN * warmup / seconds)))
            running.append(contender)
            if alone:
                _race(running, rounds, patience, until)
                contender.stop()
                running.clear()
        _race(running, rounds, patience, until)
    finally:
        for contender in everyone:
            contender.stop()
    return results


def _race(running: list[_Contender], rounds: int, patience: float, until: float) -> None:
    """Run the rounds of contenders that are ready; drop those that fail."""
    for done in range(rounds):
        if done >= FEWEST and time.monotonic() > until:
            break
        for contender in list(running):
            time.sleep(PAUSE)
            try:
                seconds, _ = contender.ask(contender.steps, patience)
            except Failure as error:
                contender.result.error = str(error)
                running.remove(contender)
                continue
            contender.result.seconds.append(seconds / contender.steps)
    for contender in running:
        try:
            contender.result.peak_mb = contender.ask(None, patience)
        except Failure:
            contender.result.peak_mb = math.nan


def rehearsal(
    contenders: dict[str, tuple[Any, ...]], rounds: int, steps: int, warmup: int
) -> list[Result]:
    """Run the contenders one after the other in this process, to test them; the times of such a
    contest do not compare."""
    results = []
    for name, (make, args, *options) in contenders.items():
        results.append(result := Result(name))
        try:
            step = make(*args, **(options[0] if options else {}))
            start = time.perf_counter()
            result.losses = [step()]
            result.first = time.perf_counter() - start
            result.losses.append([step() for _ in range(warmup)][-1])
            for _ in range(rounds):
                start = time.perf_counter()
                for _ in range(steps):
                    step()
                result.seconds.append((time.perf_counter() - start) / steps)
            result.peak_mb = getattr(step, "peak_mb", _peak_mb)()
        except Exception as error:
            result.error = f"{type(error).__name__}: {error}"
    return results


def table(results: list[Result], reference: str) -> str:
    """A Markdown table. Ratios are medians over rounds, against the reference in the same round."""
    base = next(r for r in results if r.name == reference)
    lines = [
        f"| contender | ms per step (median) | ratio to {reference} (median, 10-90%) "
        "| first step, ms | peak MB |",
        "|---|---|---|---|---|",
    ]
    for r in results:
        if r.error:
            lines.append(f"| {r.name} | failed: {r.error.splitlines()[0][:80]} | | | |")
            continue
        middle, low, high = r.spread(base)
        lines.append(
            f"| {r.name} | {1e3 * r.median:.{3 if r.median < 1e-2 else 1}f} | {middle:.2f} "
            f"({low:.2f}-{high:.2f}) | {1e3 * r.first:.0f} | {r.peak_mb:.0f} |"
        )
    return "\n".join(lines)
