"""One training step of nanoGPT's CPU configuration: tinyxp's backends beside PyTorch eager.

    python -m bench.gpt_step [--backends numpy,torch] [--device cpu] [--rounds 20] [--json FILE]

Forward, loss, backward, gradient clipping and AdamW, on the same random ids.
"""

import argparse
import json
import os
import platform
from typing import Any

import numpy as np

from bench.contest import Step, contest, table

VOCABULARY = 65


def batch(config: Any) -> Any:
    rng = np.random.default_rng(0)
    return rng.integers(0, VOCABULARY, (2, config.batch_size, config.block_size))


def tinyxp_step(backend: str) -> Step:
    import tinyxp as tx
    from tinyxp.models.transformer import GPT, Config
    from tinyxp.optim import AdamW
    from tinyxp.train import Trainer

    tx.use_backend(backend)
    config = Config()
    model = GPT(config, VOCABULARY)
    optimizer = AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=0.1)
    trainer = Trainer(model, optimizer, grad_clip=1.0)
    ids, targets = map(tx.asarray, batch(config))

    def step() -> None:
        loss = model.loss((ids, targets))
        trainer.step(loss)
        loss.item()  # waits for a GPU to finish

    return step


def torch_step(threads: int, device: str) -> Step:
    import torch

    from bench.torch_gpt import GPT
    from tinyxp.models.transformer import Config

    torch.set_num_threads(threads)
    config = Config()
    model = GPT(config, VOCABULARY).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=0.1)
    ids, targets = torch.from_numpy(batch(config)).to(device)

    def step() -> None:
        optimizer.zero_grad()
        logits = model(ids)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        loss.item()

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--backends", default="numpy")
    parser.add_argument("--device", default="cpu", help="of PyTorch eager: cpu or cuda")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--json", help="also write every figure to this file")
    args = parser.parse_args()
    contenders: dict[str, Any] = {"PyTorch eager": (torch_step, (args.threads, args.device))}
    contenders |= {f"tinyxp {name}": (tinyxp_step, (name,)) for name in args.backends.split(",")}
    results = contest(contenders, rounds=args.rounds)
    print(f"{platform.machine()}, {args.threads} threads, Python {platform.python_version()}")
    print(table(results, "PyTorch eager"))
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump([vars(r) for r in results], file, indent=1)


if __name__ == "__main__":
    main()
