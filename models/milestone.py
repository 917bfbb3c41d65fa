"""Milestones: a result that every parameter contributed to, and that beats its control."""

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from tinyxp.core.dtypes import float64
from tinyxp.core.tensor import Tensor
from tinyxp.data import DataLoader, Epochs, TensorDataset
from tinyxp.errors import MilestoneError
from tinyxp.nn.functional import cross_entropy
from tinyxp.nn.model_summary import align_columns
from tinyxp.nn.module import Module
from tinyxp.ops.creation import astype
from tinyxp.optim import AdamW
from tinyxp.optim.lr_scheduler import CosineAnnealingLR
from tinyxp.random import Generator
from tinyxp.train.run import Run
from tinyxp.train.trainer import Trainer, evaluation, unmoved

M = TypeVar("M", bound=Module)


@dataclass(frozen=True)
class Milestone:
    """A result and that of its control. ``required`` is the score it needs; ``ceiling`` is the
    highest score that the control may have, where theory gives one.

    A measure that ends with "loss" is better when lower; others are fractions, better when higher.
    """

    name: str
    year: int
    measure: str
    score: float
    required: float
    control: float | None  # None: there was none, and nothing is shown
    control_is: str
    seconds: float
    ceiling: float | None = None

    @property
    def lower(self) -> bool:
        return self.measure.endswith("loss")

    @property
    def margin(self) -> float | None:
        """How much better the score is than the control's."""
        if self.control is None:
            return None
        return self.control - self.score if self.lower else self.score - self.control

    def number(self, x: float | None) -> str:
        """A score in words."""
        if x is None:
            return "-"
        return f"{x:.2f}" if self.lower else f"{100 * x:.1f}%"

    def __str__(self) -> str:
        return f"{self.measure} {self.number(self.score)}"

    def faults(self, frozen: Iterable[str] = ()) -> list[str]:
        """Why this is no milestone; ``frozen`` holds parameters that did not move."""
        found, still = [], list(frozen)
        if still:
            found.append(f"{len(still)} parameters did not move: {', '.join(still)}")
        if not (self.score <= self.required if self.lower else self.score >= self.required):
            found.append(f"{self}, but {self.number(self.required)} is required")
        if self.margin is None or self.control is None:
            return found
        if not self.margin > 0:
            as_good = self.number(self.control)
            found.append(f"the control ({self.control_is}) is as good with {as_good}")
        if self.ceiling is not None and self.control > self.ceiling:
            found.append(
                f"the control ({self.control_is}) has {self.number(self.control)}, but more than "
                f"{self.number(self.ceiling)} is impossible"
            )
        return found


class Contest(Generic[M]):
    """A model and its control, a copy of it whose modules ``frozen`` are not trained.

    >>> model = tx.nn.Sequential(tx.nn.Linear(2, 3), tx.nn.Linear(3, 1))
    >>> contest = Contest(model, [model[0]])
    >>> [p.requires_grad for p in contest.control.parameters()]
    [False, False, True, True]
    """

    def __init__(self, model: M, frozen: Iterable[Module]) -> None:
        self.model, self.control = model, copy.deepcopy(model)
        names = {id(module): name for name, module in model.named_modules()}
        for module in frozen:
            self.control.get_submodule(names[id(module)]).requires_grad_(False)
        self.before = {name: p.detach() for name, p in model.named_parameters()}

    def race(
        self, data: TensorDataset, test: TensorDataset, config: Any, run: Run
    ) -> tuple[float, float | None]:
        """Train both on ``data`` by :func:`learn`; return their accuracies on ``test``. Without
        ``config.control`` the second is None."""
        learn(self.model, data, config, run)
        if not config.control:
            return accuracy(self.model, test), None
        learn(self.control, data, config, run, "control")
        return accuracy(self.model, test), accuracy(self.control, test)

    def judge(self, milestone: Milestone) -> Milestone:
        """Print and return the milestone. Raises MilestoneError if it is none, or if its control
        was not trained."""
        idle = unmoved(self.before, self.control)
        if milestone.control is not None and len(idle) == len(trainable(self.control)):
            raise MilestoneError(f"{milestone.name} {milestone.year} failed: its control is idle")
        return judge(milestone, unmoved(self.before, self.model))


def judge(milestone: Milestone, frozen: Iterable[str] = ()) -> Milestone:
    """Print and return the milestone. Raises MilestoneError if it is none."""
    if milestone.control is not None:
        print(f"control, {milestone.control_is}: {milestone.number(milestone.control)}")
    print(milestone)
    faults = milestone.faults(frozen)
    if faults:
        raise MilestoneError(f"{milestone.name} {milestone.year} failed: {'; '.join(faults)}")
    return milestone


def trainable(model: Module) -> list[Tensor]:
    """The parameters that require gradients."""
    return [p for p in model.parameters() if p.requires_grad]


def learn(
    model: Module, data: TensorDataset, config: Any, run: Run | None = None, label: str = ""
) -> None:
    """Train a classifier: AdamW on the cross-entropy of shuffled batches, with a learning rate that
    falls along a cosine to 0. ``config`` has steps, batch_size, learning_rate, weight_decay, seed.
    """
    optimizer = AdamW(trainable(model), config.learning_rate, weight_decay=config.weight_decay)
    loader = DataLoader(data, config.batch_size, shuffle=True, generator=Generator(config.seed))
    schedule = CosineAnnealingLR(optimizer, config.steps)
    trainer = Trainer(model, optimizer, scheduler=schedule, run=run, label=label, threads="auto")
    trainer.fit(
        Epochs(loader), lambda batch: cross_entropy(model(batch[0]), batch[1]), config.steps
    )


def predictions(model: Module, x: Tensor) -> Tensor:
    """The likeliest class of each sample: (n, ...) -> (n,) int64."""
    with evaluation(model):
        return model(x).argmax(axis=-1)


def accuracy(model: Module, data: TensorDataset) -> float:
    """The fraction of samples (x, y) whose likeliest class is y."""
    x, y = data.tensors
    return float(astype(predictions(model, x) == y, float64).mean())


def table(results: Iterable[Milestone | str]) -> str:
    """A table of milestones, followed by the reasons of those that failed."""
    rows = [["milestone", "year", "measure", "score", "control", "margin", "seconds"]]
    reasons = []
    for result in results:
        if isinstance(result, str):
            reasons.append(result)
            continue
        m = result
        numbers = [m.number(x) for x in (m.score, m.control, m.margin)]
        rows.append([m.name, str(m.year), m.measure, *numbers, f"{m.seconds:.1f}"])
    return "\n".join([*align_columns(rows, right=range(3, 7)), *reasons])
