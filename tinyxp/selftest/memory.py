"""Training steps with Python's garbage collector off: memory stays flat."""

import gc
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import tinyxp as tx
from tinyxp import nn
from tinyxp.nn import functional as F
from tinyxp.selftest.child import ChildError, last_line
from tinyxp.selftest.outcome import Outcome, Report, Unavailable

MOST = 5.0  # MB of growth
WARM = 500  # steps before the first look
PATIENCE = 600.0  # seconds


def check(tries: int, report: Report) -> Outcome:
    """Each try is a training step of a small transformer; what a cycle of references keeps alive
    would add up."""
    if not Path("/proc/self/statm").exists():
        raise Unavailable("this system does not tell how much memory a process holds")
    try:
        line = last_line("memory", tries, report, PATIENCE)
    except ChildError as error:
        return Outcome(tries, [str(error)], "")
    grown, cyclic = json.loads(line)
    failures = [f"grew by {grown:.1f} MB, at most {MOST:g} are fine"] if grown >= MOST else []
    if cyclic >= tries:
        failures.append(f"{cyclic} objects are left over, which refer to one another")
    return Outcome(tries, failures, f"{grown:.2f} MB more after {tries:,} steps")


def held() -> float:
    """The memory of this process, in MB."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def growth(steps: int, report: Callable[[int], object] = lambda done: None) -> tuple[float, int]:
    """By how many MB the process grows in that many steps, and how many objects are left over that
    only the garbage collector could free."""
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
        for step in range(WARM + steps):
            if step == WARM:
                gc.collect()
                before = held()
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), x[:, 0])
            loss.backward()
            tx.optim.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            loss.item()
            done = step + 1 - WARM
            if done > 0 and (done % 500 == 0 or done == steps):
                report(done)
        return held() - before, gc.collect()
    finally:
        gc.enable()


if __name__ == "__main__":
    print(json.dumps(growth(int(sys.argv[1]), lambda done: print(done, flush=True))))
