"""nanoGPT's character model at its GPU configuration, 5,000 steps: validation loss 1.4697 there."""

import math
import time
from itertools import islice

import tinyxp as tx
from tinyxp.bench import machine
from tinyxp.bench.contest import contest, peer
from tinyxp.bench.gpu_parts import DROPPED, OURS, contenders
from tinyxp.bench.report import REFERENCE
from tinyxp.data import CharTokenizer, RandomWindows, load_corpus, split
from tinyxp.models.transformer import GPT, Config
from tinyxp.optim import AdamW
from tinyxp.optim.lr_scheduler import cosine_with_warmup
from tinyxp.random import Generator
from tinyxp.train import Trainer, decay_groups, mean_loss

GPU = Config(
    n_layer=6,
    n_head=6,
    n_embd=384,
    block_size=256,
    dropout=0.2,
    batch_size=64,
    steps=5000,
    learning_rate=1e-3,
    min_lr_ratio=0.1,
    warmup_steps=100,
    weight_decay=0.1,
    beta2=0.99,
    grad_clip=1.0,
    eval_batches=200,
)
TINY = Config(n_layer=1, n_head=1, n_embd=8, block_size=8, batch_size=2, steps=3, warmup_steps=1)
WANTED = 1.48
RESERVED = 60.0  # seconds for timing PyTorch


def run(device: str, small: bool, text: str | None, seconds: float) -> int:
    """Train while there is time; print how far it got, and the validation loss."""
    config, start = TINY if small else GPU, time.monotonic()
    with tx.backend(OURS[device]):
        corpus = load_corpus(text)
        tokenizer = CharTokenizer.train(corpus.text)
        ids, held_out = split(tokenizer.encode(corpus.text))
        print(f"text: {corpus.origin}, {len(corpus.text):,} characters; {machine.versions()}")
        tx.manual_seed(config.seed)
        tx.set_float32_matmul_precision("high")  # as nanoGPT allows it
        try:
            model = GPT(config, len(tokenizer), Generator(config.seed))
            groups = decay_groups(model.parameters(), config.weight_decay)
            optimizer = AdamW(groups, config.learning_rate, (0.9, config.beta2))
            size = (config.block_size, config.batch_size)
            trainer = Trainer(
                model,
                optimizer,
                scheduler=cosine_with_warmup(
                    optimizer, config.warmup_steps, config.steps, config.min_lr_ratio
                ),
                grad_clip=config.grad_clip,
                log_every=250,
                tokens_per_step=math.prod(size),
                capture=device == "cuda",
                max_seconds=max(1.0, seconds - RESERVED),
            )
            trainer.fit(RandomWindows(ids, *size, Generator(1)), model.loss, config.steps)
            trained = time.monotonic() - start
            unseen = RandomWindows(held_out, *size, Generator(2))
            count = 2 if small else config.eval_batches
            score = mean_loss(model, islice(unseen, count))
        finally:
            tx.set_float32_matmul_precision("highest")
    print(f"{trainer.done} of {config.steps} steps in {trained:.0f} s")
    time_torch(device, small, config.steps)
    wanted = f"; wanted: at most {WANTED}" if trainer.done == GPU.steps else ""
    print(f"validation loss {score:.4f}{wanted}")
    return 0


def time_torch(device: str, small: bool, steps: int) -> None:
    """Estimate PyTorch's time for as many steps from a few."""
    options = contenders(device, "high").get(REFERENCE)
    if options is None or small:
        return
    given = {REFERENCE: (peer, (), options | {"workload": DROPPED})}
    (result,) = contest(given, rounds=3, steps=10, warmup=3)
    text = result.error
    if not text:
        text = f"{result.median * steps:.0f} s, at {1e3 * result.median:.1f} ms per step"
    print(f"{REFERENCE}, {steps} steps: {text}")
