"""Threads that train and evaluate at once: each ends with the bits of running alone."""

import hashlib
import io
from concurrent.futures import ThreadPoolExecutor

import tinyxp as tx
from tinyxp import nn
from tinyxp.nn import functional as F
from tinyxp.selftest.outcome import Outcome, Report
from tinyxp.train import Trainer

THREADS = 4
LARGE = 256  # the side of matrices that BLAS multiplies on several threads


def check(tries: int, report: Report) -> Outcome:
    """Each try is four threads with seeds of their own, side by side, in loops of their own and
    then with a Trainer each."""
    failures: list[str] = []
    before = tx.get_num_threads()
    with ThreadPoolExecutor(1) as pool:  # whose random numbers are its own
        alone = {live: list(pool.map(live, range(THREADS))) for live in (life, trained)}
    for i in range(tries):
        for live, expected in alone.items():
            with ThreadPoolExecutor(THREADS) as pool:
                together = list(pool.map(live, range(THREADS)))
            wrong = [seed for seed in range(THREADS) if together[seed] != expected[seed]]
            failures += (
                [f"try {i}, {live.__name__}: other bits in threads {wrong}"] if wrong else []
            )
        report(i + 1, tries)
    if tx.get_num_threads() != before:
        failures.append(f"BLAS has {tx.get_num_threads()} threads, and had {before}")
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


def trained(seed: int, steps: int = 4) -> str:
    """The weights after a Trainer's steps, as a hash: on one thread, in two parts, or as it
    chooses."""
    tx.manual_seed(seed)
    model = nn.Sequential(nn.Linear(64, LARGE), nn.GELU(), nn.Linear(LARGE, 64))
    batch = (tx.randn(LARGE, 64),)
    optimizer = tx.optim.AdamW(model.parameters())
    trainer = Trainer(
        model, optimizer, threads=("auto", 1, 2, "auto")[seed % 4], stream=io.StringIO()
    )
    trainer.fit([batch] * steps, lambda batch: F.mse_loss(model(batch[0]), batch[0]), steps)
    sha = hashlib.sha256()
    for p in model.parameters():
        sha.update(p.detach().numpy().tobytes())
    return sha.hexdigest()
