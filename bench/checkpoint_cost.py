"""What checkpoints cost: 100 steps of the transformer with one at the end, beside 100 without.

``python -m bench.checkpoint_cost --json FILE``
"""

import argparse
import io
import json
import tempfile
import time
from pathlib import Path

import numpy as np

import tinyxp as tx
from tinyxp.bench import machine
from tinyxp.bench.contest import Step, contest, table
from tinyxp.data import RandomWindows
from tinyxp.models.transformer import GPT, Config
from tinyxp.random import Generator
from tinyxp.runs import Run
from tinyxp.train import Trainer

EVERY = 100  # steps
SYMBOLS = 65


def start(folder: str | None) -> Step:
    """Train a hundred steps more; then save in ``folder``, if there is one."""
    config = Config()
    tx.manual_seed(0)
    model = GPT(config, SYMBOLS, Generator(0))
    ids = np.random.default_rng(0).integers(0, SYMBOLS, 100_000)
    batches = RandomWindows(ids, config.block_size, config.batch_size, Generator(0))
    trainer = Trainer(
        model,
        tx.optim.AdamW(model.parameters()),
        run=Run.create(Path(folder) / "run", {}) if folder else None,
        save_every=EVERY,
        log_every=EVERY,
        stream=io.StringIO(),
    )
    return lambda: trainer.fit(batches, model.loss, trainer.done + EVERY)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        contenders = {"without": (start, (None,)), "with checkpoints": (start, (folder,))}
        results = contest(contenders, args.rounds, steps=1, warmup=1)
    print(table(results, "without"))
    if args.json:
        found = {
            "date": time.strftime("%Y-%m-%d"),
            "machine": machine.describe(machine.threads()),
            "results": [vars(result) for result in results],
        }
        args.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
