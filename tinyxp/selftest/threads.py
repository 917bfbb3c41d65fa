"""Threads that train and evaluate at the same time: each must end with the bits of a run alone."""

import hashlib
import io
from concurrent.futures import ThreadPoolExecutor

import tinyxp as tx
from tinyxp import nn
from tinyxp.nn import functional as F
from tinyxp.selftest.child import Outcome, Report
from tinyxp.train import Trainer

THREADS = 4
LARGE = 256  # the side of matrices that BLAS multiplies on several threads


def check(tries: int, report: Report) -> Outcome:
    """Each try runs four threads with a seed each, in a plain loop and then with a Trainer."""
    failures: list[str] = []
    before = tx.get_num_threads()
    with ThreadPoolExecutor(1) as pool:  # a thread has its own random numbers
        alone = {work: list(pool.map(work, range(THREADS))) for work in (run_loop, run_trainer)}
    for i in range(tries):
        for work, expected in alone.items():
            with ThreadPoolExecutor(THREADS) as pool:
                together = list(pool.map(work, range(THREADS)))
            wrong = [seed for seed in range(THREADS) if together[seed] != expected[seed]]
            if wrong:
                failures.append(f"try {i}, {work.__name__}: other bits in threads {wrong}")
        report(i + 1)
    if tx.get_num_threads() != before:
        failures.append(f"BLAS had {before} threads, and now has {tx.get_num_threads()}")
    return Outcome(tries, failures, f"{THREADS} threads, bits as alone")


def run_loop(seed: int, steps: int = 12) -> str:
    """Train a model with dropout, evaluate it in between, and return a hash of all results."""
    tx.manual_seed(seed)
    model = nn.Sequential(nn.Linear(5, 12), nn.GELU(), nn.Dropout(0.3), nn.Linear(12, 3))
    optimizer = tx.optim.AdamW(model.parameters(), lr=0.05)
    outputs = []
    for step in range(steps):
        x, y = tx.randn(8, 5), tx.randint(0, 3, (8,))
        optimizer.zero_grad()
        with tx.backend("numpy"):
            F.cross_entropy(model(x), y).backward()
        optimizer.step()
        if step % 3 == seed % 3:  # a flag that leaked would stop another thread's recording
            model.eval()
            with tx.no_grad():
                outputs.append(model(x))
            model.train()
    return digest([*outputs, *model.parameters()])


def run_trainer(seed: int, steps: int = 4) -> str:
    """Train with a Trainer, on one thread, two, or as many as it chooses; a hash of the weights."""
    tx.manual_seed(seed)
    model = nn.Sequential(nn.Linear(64, LARGE), nn.GELU(), nn.Linear(LARGE, 64))
    batch = (tx.randn(LARGE, 64),)
    optimizer = tx.optim.AdamW(model.parameters())
    trainer = Trainer(
        model, optimizer, threads=("auto", 1, 2, "auto")[seed % 4], stream=io.StringIO()
    )
    trainer.fit([batch] * steps, lambda batch: F.mse_loss(model(batch[0]), batch[0]), steps)
    return digest([*model.parameters()])


def digest(tensors: list[tx.Tensor]) -> str:
    sha = hashlib.sha256()
    for tensor in tensors:
        sha.update(tensor.detach().numpy().tobytes())
    return sha.hexdigest()
