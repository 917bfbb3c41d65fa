"""A small training run that uses all that a checkpoint stores; as a program, it trains."""

import io
import os
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np

import tinyxp as tx
from tinyxp import nn
from tinyxp.data import DataLoader, Epochs, TensorDataset
from tinyxp.nn import functional as F
from tinyxp.random import Generator
from tinyxp.train import Run, Trainer
from tinyxp.train.checkpoints import Checkpoints

STEPS = 40
Pair = tuple[tx.Tensor, tx.Tensor]


def train(run: Run, *, seed: int = 0, steps: int = STEPS, save_every: int = 1) -> nn.Module:
    """Train or continue: shuffled epochs of 9 batches, two for each step."""
    tx.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)
    net = nn.Sequential(
        nn.Linear(6, 16),
        nn.BatchNorm1d(16),
        nn.GELU(),
        nn.Dropout(0.2, generator=Generator(5)),
        nn.Linear(16, 16),
        nn.LayerNorm(16),
        nn.Dropout(0.2),
        nn.Linear(16, 3),
    )
    draw = Generator(seed)
    x = draw.normal((70, 6))
    data = TensorDataset(x, (x[:, 0] > x[:, 1]).astype(tx.int64) + (x[:, 2] > 0).astype(tx.int64))
    optimizer = tx.optim.AdamW(net.parameters(), lr=0.01)
    trainer = Trainer(
        net,
        optimizer,
        scheduler=tx.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps),
        grad_clip=1.0,
        run=run,
        evaluate=lambda: F.cross_entropy(net(data.tensors[0]), data.tensors[1]).item(),
        eval_every=5,
        accumulate=2,
        ema=0.9,
        save_every=save_every,
        stream=io.StringIO(),  # no output
    )

    def loss_of(batch: Pair) -> tx.Tensor:
        noise = 1 + 0.1 * random.random() + 0.1 * np.random.random()  # like data augmentation
        loss: tx.Tensor = F.cross_entropy(net(batch[0] * noise), batch[1])
        return loss

    batches = Epochs(DataLoader(data, 8, shuffle=True, generator=Generator(seed + 1)))
    trainer.fit(batches, loss_of, steps)
    run.save_model(net)
    return net


class PrintingCheckpoints(Checkpoints):
    """Checkpoints that write "(" to the standard output before each save and ")" after it."""

    def save(self, step: int, state: Any, score: float | None = None) -> None:
        os.write(1, b"(")
        super().save(step, state, score)
        os.write(1, b")")


class PrintingRun(Run):
    def checkpoints(self, label: str = "", keep: int = 3) -> PrintingCheckpoints:
        return PrintingCheckpoints(super().checkpoints(label, keep).folder, keep)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    exists = folder.exists()
    os.write(1, b".")  # everything is imported
    config = {"model": "selftest"}
    train(PrintingRun.create(PrintingRun(folder, resumed=True) if exists else folder, config))
