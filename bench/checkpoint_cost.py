"""The cost of checkpoints: the seconds of a save relative to those of the 100 steps before it.

Both are measured in one process, because two whole runs differ by more than a save.
``python -m bench.checkpoint_cost --json FILE``
"""

import argparse
import io
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

import tinyxp as tx
from tinyxp.bench import machine
from tinyxp.data import RandomWindows
from tinyxp.models.transformer import GPT, Config
from tinyxp.random import Generator
from tinyxp.train import Run, Trainer

EVERY = 100  # steps
SYMBOLS = 65


def measure(folder: Path, rounds: int, every: int = EVERY) -> list[tuple[float, float]]:
    """The seconds of training, and of saving after its last step: the state is gathered, the file
    written and synced, an old one removed. A round warms up first."""
    config = Config()
    tx.manual_seed(0)
    model = GPT(config, SYMBOLS, Generator(0))
    ids = np.random.default_rng(0).integers(0, SYMBOLS, 100_000)
    batches = RandomWindows(ids, config.block_size, config.batch_size, Generator(0))
    trained: list[float] = []
    trainer = Trainer(
        model,
        tx.optim.AdamW(model.parameters()),
        grad_clip=1.0,
        run=Run.create(folder / "run", {}),
        threads="auto",
        save_every=every,
        log_every=every,
        stream=io.StringIO(),
        callbacks=[lambda metrics: trained.append(time.perf_counter())],  # the step is over
    )
    found = []
    for _ in range(1 + rounds):
        start = time.perf_counter()
        trainer.fit(batches, model.loss, trainer.done + every)
        end = time.perf_counter()
        found.append((trained[-1] - start, end - trained[-1]))
    return found[1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=".") as folder:  # /tmp may be memory
        seconds = measure(Path(folder), args.rounds)
    shares = sorted(saving / training for training, saving in seconds)
    training, saving = (1e3 * statistics.median(column) for column in zip(*seconds, strict=True))
    print(
        f"a checkpoint every {EVERY} steps adds {statistics.median(shares):.2%} "
        f"({shares[0]:.2%} to {shares[-1]:.2%} in {len(shares)} rounds): {saving:.0f} ms after "
        f"{training:,.0f} ms"
    )
    if args.json:
        found = {
            "date": time.strftime("%Y-%m-%d"),
            "machine": machine.describe(machine.threads()),
            "steps": EVERY,
            "seconds": seconds,
            "median share": statistics.median(shares),
        }
        args.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
