"""Threads that train and evaluate at once: each ends with the bits of running alone."""

import hashlib
from concurrent.futures import ThreadPoolExecutor

import tinyxp as tx
from tinyxp import nn
from tinyxp.nn import functional as F
from tinyxp.selftest.outcome import Outcome, Report

THREADS = 4


def check(tries: int, report: Report) -> Outcome:
    """Each try is four threads with seeds of their own, side by side."""
    failures: list[str] = []
    alone = [life(seed) for seed in range(THREADS)]
    for i in range(tries):
        with ThreadPoolExecutor(THREADS) as pool:
            together = list(pool.map(life, range(THREADS)))
        wrong = [seed for seed in range(THREADS) if together[seed] != alone[seed]]
        failures += [f"try {i}: other bits in threads {wrong}"] if wrong else []
        report(i + 1, tries)
    return Outcome(tries, failures, f"{THREADS} threads, bits as alone")


def life(seed: int, steps: int = 12) -> str:
    """Train a model with dropout, evaluate it in between; a hash of all that came out."""
    tx.manual_seed(seed)
    model = nn.Sequential(nn.Linear(5, 12), nn.GELU(), nn.Dropout(0.3), nn.Linear(12, 3))
    optimizer = tx.optim.AdamW(model.parameters(), lr=0.05)
    sha = hashlib.sha256()
    for step in range(steps):
        x, y = tx.randn(8, 5), tx.randint(0, 3, (8,))
        optimizer.zero_grad()
        with tx.backend("numpy"):
            F.cross_entropy(model(x), y).backward()
        optimizer.step()
        if step % 3 == seed % 3:  # a flag that leaked would end another thread's graph
            model.eval()
            with tx.no_grad():
                sha.update(model(x).numpy().tobytes())
            model.train()
    for p in model.parameters():
        sha.update(p.detach().numpy().tobytes())
    return sha.hexdigest()
