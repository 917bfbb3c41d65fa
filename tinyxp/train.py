"""Training: the loop, its progress on the screen, and the folder that a run leaves behind."""

import json
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, fields
from pathlib import Path
from typing import Any, TextIO

from tinyxp.backends.errors import DataError
from tinyxp.core import Tensor
from tinyxp.io import library, save, write_atomically
from tinyxp.nn.module import Module
from tinyxp.optim.clip import clip_grad_norm_
from tinyxp.parallel import Parallel
from tinyxp.plots import Curves, show
from tinyxp.tape import no_grad


class Run:
    """The folder of a training run: config.json, metrics.jsonl, model.safetensors, loss.png."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    @classmethod
    def create(
        cls, folder: str | Path | None, config: dict[str, Any], *, saves: bool = True
    ) -> "Run":
        """Make the folder (by default runs/MODEL-DATE) and write the configuration.

        Raises DataError if it exists or cannot be made, or if the run ``saves`` its model and the
        library for that is missing.
        """
        if saves:
            library()  # before hours of training, not after
        folder = folder or Path("runs") / time.strftime(f"{config['model']}-%Y%m%d-%H%M%S")
        run = cls(folder)
        try:
            run.folder.mkdir(parents=True)
        except FileExistsError as error:
            raise DataError(f"{folder} exists already; choose another --name") from error
        except OSError as error:
            raise DataError(f"cannot make {folder}: {error.strerror or error}") from error
        write_atomically(run.folder / "config.json", json.dumps(config, indent=2).encode())
        return run

    def config(self) -> dict[str, Any]:
        """The configuration. Raises DataError if this is no run's folder."""
        try:
            return dict(json.loads((self.folder / "config.json").read_text(encoding="utf-8")))
        except OSError as error:
            raise DataError(
                f"{self.folder} is not the folder of a run: {error.strerror}"
            ) from error
        except ValueError as error:
            raise DataError(f"{self.folder / 'config.json'} is damaged: {error}") from error

    def settings(self, kind: Any) -> Any:
        """The configuration as a dataclass ``kind``, of whose fields it may lack some."""
        saved = self.config()
        return kind(**{f.name: saved[f.name] for f in fields(kind) if f.name in saved})

    def log(self, **metrics: Any) -> None:
        """Add a line to metrics.jsonl."""
        with open(self.folder / "metrics.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(metrics) + "\n")

    def metrics(self) -> list[dict[str, Any]]:
        """Every line of metrics.jsonl."""
        text = (self.folder / "metrics.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    def save_model(self, model: Module) -> None:
        """Write model.safetensors."""
        save(model.state_dict(), self.folder / "model.safetensors")

    def draw(self) -> Path | None:
        """Draw all losses into loss.png, or print them without matplotlib (the extra ``plot``)."""
        series: dict[str, list[tuple[float, float]]] = {}
        for line in self.metrics():
            for name in line:
                if name.endswith("loss"):
                    series.setdefault(name, []).append((line["step"], line[name]))
        return show(Curves(series, self.folder.name), self.folder / "loss.png")


class Progress:
    """A bar that rewrites its line on a terminal; elsewhere a plain line now and then."""

    def __init__(self, total: int, stream: TextIO | None = None, lines: int = 10) -> None:
        self.total = total
        self.stream = stream or sys.stderr
        self.terminal = self.stream.isatty()
        self.every = max(1, total // lines)
        self.start = time.monotonic()
        self.shown = 0.0

    def update(self, done: int, note: str) -> None:
        now = time.monotonic()
        last = done >= self.total
        due = now - self.shown > 0.1 if self.terminal else done % self.every == 0
        if not (due or last):
            return
        self.shown = now
        left = (now - self.start) / done * (self.total - done)
        clock = f"{int(left) // 60}:{int(left) % 60:02d} left"
        if self.terminal:
            filled = 24 * done // self.total
            bar = "#" * filled + "." * (24 - filled)  # plain ASCII: any console can show it
            end = "\n" if last else ""
            self.stream.write(f"\r[{bar}] {done}/{self.total} {note} {clock}\033[K{end}")
        else:
            self.stream.write(f"step {done}/{self.total} {note} {clock}\n")
        self.stream.flush()


@dataclass
class Trainer:
    """The training loop: loss, backward, clip, step, schedule; with progress and metrics.

    ``loss_of(batch)`` computes the loss of a batch; ``evaluate()`` the validation loss, every
    ``eval_every`` steps. In the run's metrics the losses are called "loss" and "validation loss",
    after the ``label`` if there is one. Raises DataError if the loss stops being a number.

    ``threads``: 1 computes on one thread; n parts each batch among n threads, which gives the same
    gradients to rounding if the loss is a mean over samples; None chooses by the sizes of the
    first batch (see ``tinyxp.parallel``).
    """

    model: Module
    optimizer: Any
    _: KW_ONLY
    scheduler: Any = None
    grad_clip: float | None = None
    run: Run | None = None
    label: str = ""
    evaluate: Callable[[], float] | None = None
    eval_every: int = 250
    log_every: int = 10
    tokens_per_step: int | None = None
    threads: int | None = None
    stream: TextIO | None = None

    def step(self, loss: Tensor) -> None:
        """One update from a loss."""
        self.optimizer.zero_grad()
        loss.backward()
        self.update()

    def update(self) -> None:
        """Change the parameters by the gradients that they hold."""
        if self.grad_clip:
            clip_grad_norm_(self.model.parameters(), self.grad_clip)
        self.optimizer.step()
        if self.scheduler is not None:
            self.scheduler.step()

    def fit(
        self, batches: Iterable[Any], loss_of: Callable[[Any], Tensor], steps: int
    ) -> float | None:
        """Train for ``steps`` steps; returns the last validation loss, if there is one."""
        progress = Progress(steps, self.stream)
        start, paused, validation = time.monotonic(), 0.0, None
        note, label = "", f"{self.label} ".lstrip()
        self.model.train()
        with Parallel(self.model, self.threads) as parallel:
            for step, batch in zip(range(1, steps + 1), batches, strict=False):
                self.optimizer.zero_grad()
                loss = parallel.backward(loss_of, batch)
                self.update()
                if step % self.log_every == 0 or step in (1, steps):
                    value = loss.item()
                    if not math.isfinite(value):
                        raise DataError(
                            f"the loss is {value} at step {step}; lower the learning rate"
                        )
                    metrics: dict[str, Any] = {"step": step, f"{label}loss": value}
                    note = f"{label}loss {value:.3f}"
                    if self.evaluate is not None and (step % self.eval_every == 0 or step == steps):
                        before = time.monotonic()
                        with evaluation(self.model):
                            validation = metrics[f"{label}validation loss"] = self.evaluate()
                        paused += time.monotonic() - before
                    if validation is not None:
                        note += f" validation {validation:.3f}"
                    rate = step / (time.monotonic() - start - paused)
                    if self.tokens_per_step:
                        metrics["tokens/s"] = round(rate * self.tokens_per_step)
                        note += f" {metrics['tokens/s']:,} tokens/s"
                    if self.run is not None:
                        self.run.log(**metrics)
                progress.update(step, note)
        return validation


@contextmanager
def evaluation(model: Module) -> Iterator[None]:
    """The model in evaluation mode, nothing recorded; afterwards as it was."""
    training = model.training
    model.eval()
    try:
        with no_grad():
            yield
    finally:
        model.train(training)


def mean_loss(model: Any, batches: Iterable[Any]) -> float:
    """The mean of ``model.loss(batch)`` over the samples of all batches, nothing being recorded."""
    with evaluation(model):
        losses = [(model.loss(batch).item(), len(batch[0])) for batch in batches]
    return sum(loss * n for loss, n in losses) / sum(n for _, n in losses)


def decay_groups(params: Iterable[Tensor], weight_decay: float) -> list[dict[str, Any]]:
    """Groups for an optimizer: matrices are pulled to 0; gains and biases, of one axis, are not."""
    params = list(params)
    groups = [
        {"params": [p for p in params if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in params if p.ndim < 2], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def unmoved(before: dict[str, Tensor], model: Module) -> list[str]:
    """The names of trainable parameters equal to what they were ``before`` training."""
    return [
        name
        for name, p in model.named_parameters()
        if p.requires_grad and bool((p.detach() == before[name]).all())
    ]
