"""Contenders in processes of their own, stepped in turn: A B A B …; medians and ratios.

A machine's speed drifts, so only figures taken side by side compare. Each contender has a process
to itself, so that the thread pool of one library never spins against that of another.
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
PAUSE = 0.06  # seconds between two turns: threads of a pool wait busily for work for some 30 ms
LATE = "no time was left"  # why a contender did not begin
FEWEST = 2  # rounds, however little time is left
TURN = 1.0  # seconds, after which a slow contender's turn ends, with one step at least


@dataclass
class Result:
    """One contender: seconds per step in every round and of the first step, its peak memory, and
    what its steps returned (losses) after one step and after the warm-up."""

    name: str
    seconds: list[float] = field(default_factory=list)
    first: float = 0.0
    peak_mb: float = 0.0
    losses: list[Any] = field(default_factory=list)
    error: str = ""  # why it took no part

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def ratios(self, base: "Result") -> list[float]:
        """Its seconds over those of another, round by round, in order of size; of contenders that
        raced alone one may have had time for fewer rounds."""
        return sorted(a / b for a, b in zip(self.seconds, base.seconds, strict=False))

    def spread(self, base: "Result") -> tuple[float, float, float]:
        """The ratio to another: the median over rounds, and what a tenth lies below and above."""
        ratios = self.ratios(base)
        tenth = len(ratios) // 10
        return statistics.median(ratios), ratios[tenth], ratios[-1 - tenth]


def peer(module: str, **options: Any) -> Step:
    """The step of a peer, which only the process that runs it imports."""
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
        connection.send(getattr(step, "peak_mb", _peak_mb)())  # of a GPU, where the peer knows it
    except Exception as error:
        connection.send(f"{type(error).__name__}: {error}")


def _peak_mb() -> float:
    status = Path("/proc/self/status")  # getrusage would count what this process was forked from
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
    """The process of one contender, as the one that runs the contest sees it."""

    def __init__(self, name: str, make: Callable[..., Step], args: Any, options: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        given = (theirs, make, args, options)
        self.process = context.Process(target=_serve, args=given, daemon=True)
        self.process.start()
        theirs.close()  # else its end would stay open when the process dies
        self.result = Result(name)
        self.steps = 1  # of a turn

    def ask(self, steps: int | None, patience: float) -> Any:
        try:
            self.connection.send(steps)
            # None waits for as long as it takes
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
    """Run every contender for ``rounds`` rounds of ``steps`` steps, slow ones of fewer, in turn.

    A contender is (function that makes a step, its arguments[, its options]). One that fails says
    why in its result, and the others go on; so does one that keeps silent for ``patience``
    seconds. ``alone``: all rounds of one, then all of the next, where memory holds one only. After
    ``until`` (of ``time.monotonic``) nobody begins any more, and there are no rounds but two.
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
    """The rounds of contenders that are ready; one that fails takes part no longer."""
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
    """A contest in this process, one contender after the other: it tries them out, and its times
    are not to be compared."""
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
    """A Markdown table; ratios are medians over rounds, each against the reference then."""
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
