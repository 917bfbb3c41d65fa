"""A training loop with captured steps, errors and abandoned loaders: it must leave nothing behind.

Now and then the loop captures its step again, passes targets that do not exist, keeps views of
parameters, and leaves a DataLoader with worker processes after the first batch.
"""

import json
import sys
from collections import deque
from typing import Any

import tinyxp as tx
from tinyxp import nn
from tinyxp.data import DataLoader, TensorDataset
from tinyxp.errors import IndexingError
from tinyxp.nn import functional as F
from tinyxp.selftest.child import Outcome, Report
from tinyxp.selftest.memory import Resources, check_growth, measure

LIMIT = 8.0  # MB of growth
CAPTURE_EVERY, ERROR_EVERY, LOADER_EVERY = 100, 7, 50  # steps


def check(tries: int, report: Report) -> Outcome:
    """Each try is a step."""
    return check_growth("mixed", tries, report, LIMIT)


def train(steps: int) -> tuple[Resources, Resources]:
    """The resources after a quarter as many steps, and after ``steps`` more."""
    tx.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.GELU(), nn.Linear(16, 3))
    optimizer = tx.optim.AdamW(model.parameters(), lr=0.01)
    inputs, labels = tx.randn(64, 6), tx.arange(64) % 3
    batch, targets = inputs[:8], labels[:8]

    def step(x: tx.Tensor, y: tx.Tensor) -> tx.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    captured, kept = tx.capture(step), deque[Any](maxlen=20)

    def mixed_step(k: int) -> None:
        nonlocal captured
        if k % CAPTURE_EVERY == 0:
            captured = tx.capture(step)
        wrong = 7 if k % ERROR_EVERY == 0 else 0
        try:
            kept.append((step if k % 3 == 0 else captured)(batch * (1 + k % 5), targets + wrong))
        except IndexingError:
            kept.append([p.detach()[0] for p in model.parameters()])
        if k % LOADER_EVERY == 0:
            for x, y in DataLoader(TensorDataset(inputs, labels), 8, num_workers=1):
                step(x, y)
                break

    return measure(mixed_step, max(1, steps // 4), steps)


if __name__ == "__main__":
    print(json.dumps(train(int(sys.argv[1]))))
