"""Training steps without Python's garbage collector: the memory of the process must stay flat."""

import gc
import json
import os
import sys
from pathlib import Path
from typing import Any

import tinyxp as tx
from tinyxp import nn
from tinyxp.nn import functional as F
from tinyxp.selftest.child import result
from tinyxp.selftest.outcome import Outcome, Report, Unavailable

LIMIT = 5.0  # MB of growth
WARM_UP = 500  # steps before the first measurement
PATIENCE = 600.0  # seconds
STATM = Path("/proc/self/statm")


def check(tries: int, report: Report) -> Outcome:
    """Each try is a training step of a small transformer. Memory that a reference cycle keeps
    would add up over the steps."""
    grown, cyclic = measure("memory", tries, report, PATIENCE)
    failures = [f"grew by {grown:.1f} MB, allowed are {LIMIT:g}"] if grown >= LIMIT else []
    if cyclic >= tries:
        failures.append(f"{cyclic} objects are left in reference cycles")
    return Outcome(tries, failures, f"{grown:+.2f} MB after {tries:,} steps")


def measure(check: str, tries: int, report: Report, seconds: float) -> Any:
    """The result of a check's child process, which reads its resources from /proc."""
    if not STATM.exists():
        raise Unavailable("this system has no /proc with the resources of a process")
    return result(check, tries, seconds=seconds, report=report)


def memory_in_use() -> float:
    """The memory of this process, in MB."""
    return int(STATM.read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def growth(steps: int, report: Report = lambda done: None) -> tuple[float, int]:
    """By how many MB the process grows in that many steps, and how many objects are left that only
    the garbage collector frees."""
    tx.manual_seed(0)
    model = nn.Sequential(
        nn.Embedding(8, 8),
        nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True),
        nn.Flatten(),
        nn.Linear(32, 8),
    )
    optimizer = tx.optim.AdamW(model.parameters())
    x = tx.randint(0, 8, (4, 4))
    gc.disable()
    try:
        for step in range(WARM_UP + steps):
            if step == WARM_UP:
                gc.collect()
                before = memory_in_use()
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), x[:, 0])
            loss.backward()
            tx.optim.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            loss.item()
            done = step + 1 - WARM_UP
            if done > 0 and (done % 500 == 0 or done == steps):
                report(done)
        return memory_in_use() - before, gc.collect()
    finally:
        gc.enable()


if __name__ == "__main__":
    print(json.dumps(growth(int(sys.argv[1]), lambda done: print(done, flush=True))))
