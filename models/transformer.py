"""2017, the transformer: attention alone, trained to write Shakespeare a character at a time.

Vaswani et al. 2017 ("Attention is all you need") dropped recurrence: every position looks at every
earlier one, weighted by how well its query fits their keys. This is the decoder of that paper as
GPT-2 arranges it (Radford et al. 2019: normalisation first, GELU, tied embeddings), in the size
that nanoGPT suggests for a laptop. Guessing evenly among 65 symbols has a loss of ln 65 = 4.17;
after 2,000 steps this model is below 1.9, spells, and knows that speakers take turns.
"""

import dataclasses
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import tinyxp as tx
from tinyxp import Tensor, nn
from tinyxp.backends.errors import ArgumentError, DataError
from tinyxp.data import CharTokenizer, load_corpus, split
from tinyxp.generation import generate
from tinyxp.nn import functional as F
from tinyxp.optim import AdamW
from tinyxp.optim.lr_scheduler import cosine_with_warmup
from tinyxp.random import Generator
from tinyxp.train import Run, Trainer, evaluation, unmoved


@dataclass(frozen=True)
class Config:
    """What can be set on the command line: ``--set n_layer=6``."""

    n_layer: int = 4
    n_head: int = 4
    n_embd: int = 128
    block_size: int = 64  # symbols that the model sees at once
    dropout: float = 0.0
    bias: bool = False
    batch_size: int = 12
    steps: int = 2000
    learning_rate: float = 3e-3  # nanoGPT has 1e-3, with which 2,000 steps end 0.1 higher
    min_lr_ratio: float = 0.1
    warmup_steps: int = 100
    weight_decay: float = 0.1
    beta2: float = 0.99
    grad_clip: float = 1.0
    eval_every: int = 250
    eval_batches: int = 20
    sample_tokens: int = 500
    seed: int = 1337

    def __post_init__(self) -> None:
        for name in ("n_layer", "n_head", "n_embd", "block_size", "batch_size", "steps"):
            if getattr(self, name) < 1:
                raise ArgumentError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.n_embd % self.n_head:
            raise ArgumentError(f"n_embd {self.n_embd} must be a multiple of n_head {self.n_head}")


class GPT(nn.Module):
    """Causal transformer blocks between tied embeddings: ids (B, T) -> logits (B, T, V)."""

    def __init__(self, config: Config, vocab_size: int, generator: Generator | None = None) -> None:
        super().__init__()
        self.block_size = config.block_size
        self.token = nn.Embedding(vocab_size, config.n_embd)
        self.position = nn.LearnedPositionalEncoding(config.block_size, config.n_embd)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                config.n_embd,
                config.n_head,
                4 * config.n_embd,
                dropout=config.dropout,
                activation=gelu,
                batch_first=True,
                norm_first=True,
                bias=config.bias,
            )
            for _ in range(config.n_layer)
        )
        self.norm = nn.LayerNorm(config.n_embd, bias=config.bias)
        self.head = nn.Linear(config.n_embd, vocab_size, bias=False)
        self.head.weight = self.token.weight  # tied: Press & Wolf 2017
        for name, p in self.named_parameters():  # GPT-2's initialisation
            if p.ndim == 2:
                residual = name.endswith(("out_proj.weight", "linear2.weight"))
                std = 0.02 / math.sqrt(2 * config.n_layer) if residual else 0.02
                nn.init.normal_(p, std=std, generator=generator)
            elif name.endswith("bias"):
                nn.init.zeros_(p)

    def forward(self, ids: Tensor) -> Tensor:
        if ids.shape[1] > self.block_size:
            raise ArgumentError(
                f"this model reads {self.block_size} symbols at once, got {ids.shape[1]}"
            )
        x = self.dropout(self.position(self.token(ids)))  # (B, T, C)
        for block in self.blocks:
            x = block(x, is_causal=True)
        return self.head(self.norm(x))

    def loss(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """The mean cross-entropy of predicting each next symbol."""
        ids, targets = batch
        logits = self(ids)
        return F.cross_entropy(logits.reshape(-1, logits.shape[-1]), targets.reshape(-1))


def gelu(x: Tensor) -> Tensor:
    """GELU by tanh, as GPT-2 has it."""
    return F.gelu(x, approximate="tanh")


def random_batches(
    ids: Any, config: Config, generator: Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless batches of windows at random places: inputs (B, T) and the symbols after each."""
    while True:
        starts = generator.integers(0, len(ids) - config.block_size, (config.batch_size,)).numpy()
        yield windows(ids, starts, config.block_size)


def windows(ids: Any, starts: Any, length: int) -> tuple[Tensor, Tensor]:
    places = starts[:, None] + np.arange(length + 1)
    both = tx.asarray(ids[places])
    return both[:, :-1], both[:, 1:]


def whole_loss(model: GPT, ids: Any, config: Config) -> float:
    """The loss over all of ``ids``, in windows side by side."""
    starts = np.arange(0, len(ids) - config.block_size, config.block_size)
    total = 0.0
    with evaluation(model):
        for i in range(0, len(starts), 4 * config.batch_size):
            some = starts[i : i + 4 * config.batch_size]
            total += model.loss(windows(ids, some, config.block_size)).item() * len(some)
    return total / len(starts)


def train(config: Config, text: str | None = None, folder: str | Path | None = None) -> float:
    """Train a GPT on a text and write its run's folder; returns the final validation loss."""
    started = time.monotonic()
    corpus = load_corpus(text)
    print(f"text: {corpus.origin}, {len(corpus.text):,} characters")
    tokenizer = CharTokenizer.train(corpus.text)
    ids, held_out = split(tokenizer.encode(corpus.text))
    if len(held_out) <= config.block_size:
        raise DataError(
            f"the text has {len(corpus.text)} characters, too few to hold out "
            f"{config.block_size + 1} for validation; give a longer one or --set block_size=…"
        )
    tx.manual_seed(config.seed)
    model = GPT(config, len(tokenizer), Generator(config.seed))
    count = sum(p.size for p in model.parameters())
    before = {name: p.detach() for name, p in model.named_parameters()}
    print(f"model: {count:,} parameters in {len(before)} tensors, {len(tokenizer)} symbols")
    decayed = [p for p in model.parameters() if p.ndim >= 2]
    plain = [p for p in model.parameters() if p.ndim < 2]  # gains and biases are not pulled to 0
    groups: list[dict[str, Any]] = [{"params": decayed}, {"params": plain, "weight_decay": 0.0}]
    optimizer = AdamW(
        groups,
        lr=config.learning_rate,
        betas=(0.9, config.beta2),
        weight_decay=config.weight_decay,
    )
    folder = folder or Path("runs") / time.strftime("transformer-%Y%m%d-%H%M%S")
    saved = {"model": "transformer", "symbols": "".join(tokenizer.symbols), "text": corpus.origin}
    run = Run.create(folder, saved | dataclasses.asdict(config))

    def validate() -> float:
        batches = random_batches(held_out, config, Generator(config.seed + 1))
        losses = [model.loss(next(batches)).item() for _ in range(config.eval_batches)]
        return sum(losses) / len(losses)

    trainer = Trainer(
        model,
        optimizer,
        scheduler=cosine_with_warmup(
            optimizer, min(config.warmup_steps, config.steps), config.steps, config.min_lr_ratio
        ),
        grad_clip=config.grad_clip,
        run=run,
        evaluate=validate,
        eval_every=config.eval_every,
        tokens_per_step=config.batch_size * config.block_size,
    )
    batches = random_batches(ids, config, Generator(config.seed))
    trainer.fit(batches, model.loss, config.steps)
    frozen = unmoved(before, model)
    if frozen:
        raise DataError(f"{len(frozen)} parameters did not move: {', '.join(frozen)}")
    run.save_model(model)
    final = whole_loss(model, held_out, config)
    run.log(step=config.steps, final=final)
    picture = run.draw()
    first = tokenizer.encode("\n").tolist() if "\n" in tokenizer.symbols else [0]
    sample = generate(
        model, first, config.sample_tokens, temperature=0.8, generator=Generator(config.seed)
    )
    print(f"\n{tokenizer.decode(sample)}\n")
    print(f"all {len(before)} parameter tensors moved; {time.monotonic() - started:.0f} s in all")
    print(f"run: {folder}; continue a text: tinyxp generate {folder} --prompt 'ROMEO:'")
    if picture is None:
        print("no picture of the losses: it needs matplotlib, pip install 'tinyxp[plot]'")
    print(f"validation loss {final:.2f}")
    return final


def load(folder: str | Path) -> tuple[GPT, CharTokenizer]:
    """The model of a run and its tokenizer."""
    run = Run(folder)
    saved = run.config()
    fields = {f.name: saved[f.name] for f in dataclasses.fields(Config) if f.name in saved}
    tokenizer = CharTokenizer(list(saved["symbols"]))
    model = GPT(Config(**fields), len(tokenizer))
    model.load_state_dict(tx.load(run.folder / "model.safetensors"))
    return model, tokenizer


def example(config: Config) -> tuple[GPT, Tensor]:
    """A fresh model for tinyshakespeare's 65 symbols, and a sequence of its full length."""
    return GPT(config, 65), tx.zeros((1, config.block_size), dtype=tx.int64)
