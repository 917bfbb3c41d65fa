"""Steps plain and captured, errors in their middle, loaders left early: nothing is left behind.

Each try is a step of a training loop as people write them. From time to time the step is captured
anew, a batch has targets that there are not, views and snapshots of parameters are kept for a
while, and a loop over a DataLoader with worker processes ends after its first batch. Memory, open
files, processes and shared memory have to be at the end what they were after a quarter of it all.
"""

import gc
import json
import os
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import tinyxp as tx
from tinyxp import nn
from tinyxp.data import DataLoader
from tinyxp.errors import IndexingError
from tinyxp.nn import functional as F
from tinyxp.selftest.child import ChildError, last_line
from tinyxp.selftest.memory import held
from tinyxp.selftest.outcome import Outcome, Report, Unavailable

MOST = 8.0  # MB of growth
PATIENCE = 3600.0  # seconds
ANEW, WRONG, LOADER = 100, 7, 50  # every so many steps: a capture, an error, a loader


class Held(NamedTuple):
    """What a process holds."""

    memory: float  # MB
    files: int
    processes: int
    segments: int  # of shared memory

    @classmethod
    def now(cls) -> "Held":
        gc.collect()
        own = str(os.getpid())
        stats = [path.read_text() for path in Path("/proc").glob("[0-9]*/stat") if _there(path)]
        children = [text for text in stats if text.rpartition(")")[2].split()[1] == own]
        shared = Path("/dev/shm")
        segments = len(list(shared.iterdir())) if shared.is_dir() else 0
        return cls(held(), len(os.listdir("/proc/self/fd")), len(children), segments)


def _there(path: Path) -> bool:
    try:
        path.read_text()
    except OSError:  # it has ended in the meantime
        return False
    return True


def check(tries: int, report: Report) -> Outcome:
    """Each try is a step."""
    if not Path("/proc/self/statm").exists():
        raise Unavailable("this system does not tell what a process holds")
    try:
        line = last_line("mixed", tries, report, PATIENCE)
    except ChildError as error:
        return Outcome(tries, [str(error)], "")
    before, after = (Held(*each) for each in json.loads(line))
    failures = [
        f"{name}: {then:g} after a quarter of the steps, {now:g} at the end"
        for name, then, now in zip(Held._fields, before, after, strict=True)
        if now > then + (MOST if name == "memory" else 0)
    ]
    seen = f"{after.memory - before.memory:+.1f} MB, {after.files - before.files:+d} open files, "
    seen += f"{after.processes - before.processes:+d} processes"
    return Outcome(tries, failures, seen)


class Rows:
    """A dataset for worker processes."""

    def __len__(self) -> int:
        return 64

    def __getitem__(self, i: int) -> Any:
        rng = np.random.default_rng(i)
        return rng.normal(size=6).astype("float32"), i % 3


def mixed(steps: int, report: Callable[[int], object] = lambda done: None) -> tuple[Held, Held]:
    """What the process holds after a quarter of the steps, and at their end."""
    tx.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.GELU(), nn.Linear(16, 3))
    optimizer = tx.optim.AdamW(model.parameters(), lr=0.01)
    batch = tx.asarray(np.random.default_rng(0).normal(size=(8, 6)).astype("float32"))
    targets = tx.arange(8) % 3

    def step(x: tx.Tensor, y: tx.Tensor) -> tx.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    fast, kept = tx.capture(step), deque[Any](maxlen=20)
    first, before = max(1, steps // 4), None
    for k in range(steps):
        if k % ANEW == 0:
            fast = tx.capture(step)
        wrong = 7 if k % WRONG == 0 else 0
        try:
            kept.append((step if k % 3 == 0 else fast)(batch * (1 + k % 5), targets + wrong))
        except IndexingError:
            kept.append([p.detach()[0] for p in model.parameters()])
        if k % LOADER == 0:
            for x, y in DataLoader(Rows(), 8, num_workers=1):
                step(x, y)
                break
        if k + 1 == first:
            before = Held.now()
        if (k + 1) % 100 == 0:
            report(k + 1)
    assert before is not None
    return before, Held.now()


if __name__ == "__main__":
    print(json.dumps(mixed(int(sys.argv[1]), lambda done: print(done, flush=True))))
