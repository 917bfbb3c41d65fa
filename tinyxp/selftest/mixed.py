"""A training loop with captured steps, errors and abandoned loaders: it must leave nothing behind.

Each try is a step of such a loop. Now and then the loop captures its step again, passes targets
that do not exist, keeps views of parameters, and leaves a DataLoader with worker processes after
the first batch. At the end the process must hold as much memory and as many open files, child
processes and shared memory segments as after a quarter of the steps.
"""

import gc
import json
import os
import sys
from collections import deque
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import tinyxp as tx
from tinyxp import nn
from tinyxp.data import DataLoader
from tinyxp.errors import IndexingError
from tinyxp.nn import functional as F
from tinyxp.selftest.memory import measure, memory_in_use
from tinyxp.selftest.outcome import Outcome, Report

LIMIT = 8.0  # MB of growth
PATIENCE = 3600.0  # seconds
CAPTURE_EVERY, ERROR_EVERY, LOADER_EVERY = 100, 7, 50  # steps


class Resources(NamedTuple):
    """The resources of a process."""

    memory: float  # MB
    files: int
    processes: int
    segments: int  # of shared memory

    @classmethod
    def now(cls) -> "Resources":
        gc.collect()
        children = 0
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                parent = path.read_text().rpartition(")")[2].split()[1]
            except OSError:  # the process has ended in the meantime
                continue
            children += parent == str(os.getpid())
        shared = Path("/dev/shm")
        segments = len(list(shared.iterdir())) if shared.is_dir() else 0
        return cls(memory_in_use(), len(os.listdir("/proc/self/fd")), children, segments)


def check(tries: int, report: Report) -> Outcome:
    """Each try is a step."""
    before, after = (Resources(*r) for r in measure("mixed", tries, report, PATIENCE))
    failures = [
        f"{name}: {then:g} after a quarter of the steps, {now:g} at the end"
        for name, then, now in zip(Resources._fields, before, after, strict=True)
        if now > then + (LIMIT if name == "memory" else 0)
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


def train(steps: int, report: Report = lambda done: None) -> tuple[Resources, Resources]:
    """The resources of the process after a quarter of the steps, and at the end."""
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

    captured, kept = tx.capture(step), deque[Any](maxlen=20)
    quarter, before = max(1, steps // 4), None
    for k in range(steps):
        if k % CAPTURE_EVERY == 0:
            captured = tx.capture(step)
        wrong = 7 if k % ERROR_EVERY == 0 else 0
        try:
            kept.append((step if k % 3 == 0 else captured)(batch * (1 + k % 5), targets + wrong))
        except IndexingError:
            kept.append([p.detach()[0] for p in model.parameters()])
        if k % LOADER_EVERY == 0:
            for x, y in DataLoader(Rows(), 8, num_workers=1):
                step(x, y)
                break
        if k + 1 == quarter:
            before = Resources.now()
        if (k + 1) % 100 == 0:
            report(k + 1)
    assert before is not None
    return before, Resources.now()


if __name__ == "__main__":
    print(json.dumps(train(int(sys.argv[1]), lambda done: print(done, flush=True))))
