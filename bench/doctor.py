"""What it costs to watch a training step: a plain one, one under watch, one that is examined too.

    python -m bench.doctor [--rounds 30]

The three take turns; the table gives medians and the ratios to the plain step, round by round.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import tinyxp as tx
from tinyxp import nn
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
    """nanoGPT's configuration for a CPU, batch 12."""
    model = transformer.GPT(transformer.Config(), 65)
    ids = tx.randint(0, 65, (12, 65))
    return model, lambda: model.loss((ids[:, :-1], ids[:, 1:]))


def contenders(model: nn.Module, loss_of: Callable[[], tx.Tensor]) -> dict[str, Callable[[], None]]:
    optimizer = tx.optim.AdamW(model.parameters(), lr=1e-4)

    def step(watched: bool = False, examined: bool = False) -> None:
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

    return {
        "plain": step,
        "watched": lambda: step(True),
        "watched and examined": lambda: step(True, True),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    rounds = parser.parse_args().rounds
    print("| model | step | median ms | ratio to plain (median, 10-90%) |")
    print("|---|---|---|---|")
    for make in (mlp, gpt):
        steps = contenders(*make())
        times: dict[str, list[float]] = {name: [] for name in steps}
        for i in range(rounds + 3):
            for name, run in steps.items():
                start = time.perf_counter()
                run()
                if i >= 3:  # after warming up
                    times[name].append(1e3 * (time.perf_counter() - start))
        for name, some in times.items():
            ratios = sorted(a / b for a, b in zip(some, times["plain"], strict=True))
            low, high = ratios[len(ratios) // 10], ratios[-1 - len(ratios) // 10]
            print(
                f"| {make.__name__} | {name} | {statistics.median(some):.2f} | "
                f"{statistics.median(ratios):.2f} ({low:.2f}-{high:.2f}) |"
            )


if __name__ == "__main__":
    main()
