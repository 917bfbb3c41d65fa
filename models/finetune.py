"""2018, fine-tuning: a pretrained model continues to train on your text.

Radford et al. 2018 ("Improving language understanding by generative pre-training") and Howard &
Ruder 2018 ("Universal language model fine-tuning for text classification", ACL) train a language
model once on a large corpus, and then a little more on the text that matters, at a learning rate so
small that it keeps what it knows. It starts from a folder with a GPT-2 checkpoint (see gpt2.py) and
writes another one, ``model`` in the run's folder. The control is the pretrained model.
"""

import math
import time
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import tinyxp as tx
from tinyxp.data import BPETokenizer, RandomWindows, all_windows, load_corpus, split
from tinyxp.errors import ArgumentError, DataError
from tinyxp.models import gpt2
from tinyxp.models.milestone import Milestone, judge, trainable
from tinyxp.models.settings import Settings
from tinyxp.nn import functional as F
from tinyxp.nn.generation import write
from tinyxp.optim import AdamW
from tinyxp.optim.lr_scheduler import cosine_with_warmup
from tinyxp.random import Generator
from tinyxp.train import Run, Trainer, decay_groups, evaluation
from tinyxp.train.progress import counted, lasting, peak_memory
from tinyxp.train.shell import command_line


@dataclass(frozen=True)
class Config(Settings):
    """What can be set on the command line: ``--set batch_size=2``."""

    start: str | None = None  # the folder of the checkpoint: --from
    text: str | None = None  # a file to train on; None: Shakespeare
    steps: int = 200
    batch_size: int = 4
    block_size: int = 128  # symbols of context
    learning_rate: float = 5e-5
    warmup_steps: int = 10
    weight_decay: float = 0.01
    grad_clip: float = 1.0
    precision: str | None = None
    capture: bool = False
    eval_every: int = 50
    eval_batches: int = 20
    sample_tokens: int = 100
    seed: int = 0


def loss(model: gpt2.GPT2, batch: Any) -> tx.Tensor:
    """The mean cross-entropy of predicting each next symbol."""
    ids, targets = batch
    return F.cross_entropy(model(ids).flatten(0, 1), targets.flatten())


def validate(model: gpt2.GPT2, batches: list[Any]) -> float:
    """The mean loss over batches of equal size, without gradients."""
    with evaluation(model):
        losses = [loss(model, batch).item() for batch in counted(batches, "validating")]
    return math.fsum(losses) / len(losses)


def train(config: Config, folder: str | Path | Run | None = None) -> Milestone:
    """Fine-tune a checkpoint on a text; write the run's folder."""
    started = time.monotonic()
    if config.start is None:
        raise ArgumentError("fine-tuning starts from a checkpoint; name its folder by --from")
    tokenizer, model = BPETokenizer.load(config.start), gpt2.GPT2.from_pretrained(config.start)
    corpus = load_corpus(config.text)
    if not isinstance(folder, Run):  # valid from any folder
        text = None if config.text is None else str(Path(config.text).absolute())
        config = replace(config, text=text, start=str(Path(config.start).absolute()))
    print(f"text: {corpus.origin}, {len(corpus.text):,} characters")
    size = (min(config.block_size, model.block_size), config.batch_size)
    ids, held_out = split(tokenizer.encode(corpus.text))
    if len(held_out) <= size[0]:
        few = f"the text has {len(ids) + len(held_out)} symbols, too few to hold out {size[0] + 1}"
        raise DataError(f"{few} for validation; give a longer one or --set block_size=…")
    tx.manual_seed(config.seed)
    run = Run.create(folder, {"model": "finetune"} | asdict(config))
    some = list(islice(RandomWindows(held_out, *size, Generator(1)), config.eval_batches))
    whole = [batch for batch in all_windows(held_out, *size) if len(batch[0]) == size[1]] or some
    before = validate(model, whole)
    print(f"validation loss before: {before:.2f}")
    adamw = AdamW(decay_groups(trainable(model), config.weight_decay), config.learning_rate)
    warmup = min(config.warmup_steps, config.steps)
    trainer = Trainer(
        model, adamw, scheduler=cosine_with_warmup(adamw, warmup, config.steps, 0.0), run=run,
        grad_clip=config.grad_clip, precision=config.precision, capture=config.capture,
        evaluate=lambda: validate(model, some), eval_every=config.eval_every,
        tokens_per_step=math.prod(size),
    )  # fmt: skip
    batches = RandomWindows(ids, *size, Generator(config.seed))
    model.train()
    trainer.fit(batches, lambda batch: loss(model, batch), config.steps)
    after = validate(model, whole)
    model.save_pretrained(run.folder / "model", tokenizer)
    run.log(step=config.steps, final=after)
    seconds = time.monotonic() - started
    print(f"\nthe model writes {config.sample_tokens} symbols:\n")
    write(model, tokenizer, tokenizer.decode(held_out[:1]), config.sample_tokens, seed=config.seed)
    run.draw()
    print(f"run: {run.folder}, {lasting(seconds)}{peak_memory()}; to continue a text:")
    print(command_line("generate", run.folder, "--prompt", "It was"))
    story = ("finetune", 2018, "validation loss", after, math.inf, before)
    return judge(Milestone(*story, "the pretrained model", seconds))


def load(folder: str | Path) -> tuple[gpt2.GPT2, BPETokenizer]:
    """The model of a run and its tokenizer."""
    return gpt2.load(Path(folder) / "model")
