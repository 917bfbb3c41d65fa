"""The cost of tx.doctor: a plain training step, a watched one, and one that is examined too.

python -m bench.doctor [--rounds 30]
"""

import argparse
from collections.abc import Callable

import tinyxp as tx
from tinyxp import nn
from tinyxp.bench.contest import Step, contest, table
from tinyxp.models import transformer
from tinyxp.nn import functional as F


def mlp() -> tuple[nn.Module, Callable[[], tx.Tensor]]:
    """64-128-128-10, batch 64."""
    model = nn.Sequential(
        nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10)
    )
    x, y = tx.randn(64, 64), tx.randint(0, 10, (64,))
    return model, lambda: F.cross_entropy(model(x), y)


def gpt() -> tuple[nn.Module, Callable[[], tx.Tensor]]:
    """nanoGPT's CPU configuration, batch 12."""
    model = transformer.GPT(transformer.Config(), 65)
    ids = tx.randint(0, 65, (12, 65))
    return model, lambda: model.loss((ids[:, :-1], ids[:, 1:]))


def training(
    make: Callable[[], tuple[nn.Module, Callable[[], tx.Tensor]]], watched: bool, examined: bool
) -> Step:
    model, loss_of = make()
    optimizer = tx.optim.AdamW(model.parameters(), lr=1e-4)

    def step() -> None:
        optimizer.zero_grad()
        if watched:
            with tx.doctor.watch():
                loss = loss_of()
        else:
            loss = loss_of()
        loss.backward()
        if examined:
            tx.doctor(loss, model, optimizer)
        optimizer.step()

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    rounds = parser.parse_args().rounds
    for make in (mlp, gpt):
        contenders = {
            f"{make.__name__}, {name}": (training, (make, watched, examined))
            for name, watched, examined in (
                ("plain", False, False),
                ("watched", True, False),
                ("watched and examined", True, True),
            )
        }
        print(table(contest(contenders, rounds), f"{make.__name__}, plain"), end="\n\n")


if __name__ == "__main__":
    main()
