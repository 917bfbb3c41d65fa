"""Training steps without Python's garbage collector: the process must not grow."""

import gc
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import tinyxp as tx
from tinyxp import nn
from tinyxp.nn import functional as F
from tinyxp.selftest.child import Outcome, Report, result

STATM = Path("/proc/self/statm")
LIMIT = 5.0  # MB of growth
WARM_UP = 500  # steps before the first measurement
PATIENCE = 3600.0  # seconds


class Resources(NamedTuple):
    """The resources of a process."""

    memory: float  # MB
    cyclic: int  # objects in reference cycles, which only the garbage collector frees
    files: int
    processes: int
    segments: int  # of shared memory

    @classmethod
    def now(cls) -> "Resources":
        memory = int(STATM.read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
        cyclic, children, shared = gc.collect(), 0, Path("/dev/shm")
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                parent = path.read_text().rpartition(")")[2].split()[1]
            except OSError:  # the process has ended in the meantime
                continue
            children += parent == str(os.getpid())
        segments = len(list(shared.iterdir())) if shared.is_dir() else 0
        return cls(memory, cyclic, len(os.listdir("/proc/self/fd")), children, segments)


def check(tries: int, report: Report) -> Outcome:
    """Each try is a training step of a small transformer; reference cycles would add up."""
    return check_growth("memory", tries, report, LIMIT)


def check_growth(module: str, tries: int, report: Report, limit: float) -> Outcome:
    """Compare the resources before and after the steps of a child process."""
    if not STATM.exists():
        return Outcome(0, [], "not available: this system has no /proc for its processes")
    found = result(module, tries, seconds=PATIENCE, report=report)
    before, after = Resources(*found[0]), Resources(*found[1])
    allowed = Resources(limit, tries - 1, 0, 0, 0)
    failures = [
        f"{name}: {then:g} before the steps, {now:g} after them"
        for name, then, now, most in zip(Resources._fields, before, after, allowed, strict=True)
        if now > then + most
    ]
    growth = f"{after.memory - before.memory:+.2f} MB, {after.files - before.files:+d} open files"
    return Outcome(tries, failures, f"{growth}, {after.processes - before.processes:+d} processes")


def measure(step: Callable[[int], object], warm_up: int, steps: int) -> tuple[Resources, Resources]:
    """The resources after ``warm_up`` steps, and after ``steps`` more. Prints the progress."""
    for k in range(warm_up):
        step(k)
    gc.collect()
    before = Resources.now()
    for k in range(1, steps + 1):
        step(k)
        if k % 100 == 0 or k == steps:
            print(k, flush=True)
    if gc.isenabled():  # cycles may stay until the collector runs
        gc.collect()
    return before, Resources.now()


def train(steps: int) -> tuple[Resources, Resources]:
    """The resources before and after that many steps without the garbage collector."""
    tx.manual_seed(0)
    model = nn.Sequential(
        nn.Embedding(8, 8),
        nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True),
        nn.Flatten(),
        nn.Linear(32, 8),
    )
    optimizer = tx.optim.AdamW(model.parameters())
    x = tx.randint(0, 8, (4, 4))

    def step(k: int) -> None:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), x[:, 0])
        loss.backward()
        tx.optim.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        loss.item()

    gc.disable()
    try:
        return measure(step, WARM_UP, steps)
    finally:
        gc.enable()


if __name__ == "__main__":
    print(json.dumps(train(int(sys.argv[1]))))
