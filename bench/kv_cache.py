"""One more symbol of GPT-2 (124M parameters, random weights), with a cache and without.

    python -m bench.kv_cache [--contexts 128,512] [--backend numpy] [--rounds 10] [--json FILE]

A step computes the logits after ``context`` + 1 symbols: it reads the last one if keys and values
are cached, all of them if not. transformers with its own cache is timed too.
"""

import argparse
import json
import os
import platform
from typing import Any

import numpy as np

from tinyxp.bench.contest import Step, contest, table


def ids(context: int) -> Any:
    return np.random.default_rng(0).integers(0, 50257, (1, context + 1))


def tinyxp_step(backend: str, context: int, cached: bool) -> Step:
    import tinyxp as tx
    from tinyxp.models.gpt2 import GPT2, Config

    tx.use_backend(backend)
    model = GPT2(Config()).eval()
    whole = tx.asarray(ids(context))
    cache = model.new_cache()
    with tx.no_grad():
        model(whole[:, :-1], cache)

    def step() -> None:
        with tx.no_grad():
            if cached:
                logits = model(whole[:, -1:], cache)
                cache.length = context  # so that the next step reads the same symbol
            else:  # the head for the last position only, as with a cache
                logits = model.lm_head(model.transformer(whole, None)[:, -1:])
            logits[0, -1, 0].item()  # waits for a GPU to finish

    return step


def transformers_step(threads: int, context: int) -> Step:
    import torch
    import transformers

    torch.set_num_threads(threads)
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config()).eval()
    whole = torch.from_numpy(ids(context))
    with torch.no_grad():
        cache = model(whole[:, :-1], use_cache=True).past_key_values

    def step() -> None:
        with torch.no_grad():
            logits = model(whole[:, -1:], past_key_values=cache, use_cache=True).logits
            cache.crop(-1)
            logits[0, -1, 0].item()

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--contexts", default="128,512")
    parser.add_argument("--backend", default="numpy")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--json", help="also write every figure to this file")
    args = parser.parse_args()
    print(f"{platform.machine()}, {args.threads} threads, Python {platform.python_version()}")
    figures = {}
    for context in map(int, args.contexts.split(",")):
        contenders: dict[str, Any] = {
            "cached": (tinyxp_step, (args.backend, context, True)),
            "not cached": (tinyxp_step, (args.backend, context, False)),
            "transformers, cached": (transformers_step, (args.threads, context)),
        }
        results = contest(contenders, rounds=args.rounds, steps=1, warmup=1)
        print(f"\ncontext {context}\n\n{table(results, 'cached')}")
        figures[context] = [vars(result) for result in results]
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(figures, file, indent=1)


if __name__ == "__main__":
    main()
