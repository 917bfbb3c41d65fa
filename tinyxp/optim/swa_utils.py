"""Averages of a model's weights during training: exponential (EMA) and equal (SWA)."""

from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from itertools import chain, zip_longest
from typing import Any

from tinyxp import backends
from tinyxp.core.dtypes import float32
from tinyxp.core.foreign_errors import typed
from tinyxp.core.tape import no_grad
from tinyxp.core.tensor import Tensor
from tinyxp.errors import ArgumentError, DTypeError, ShapeError
from tinyxp.nn.modes import keep_modes
from tinyxp.nn.module import Module
from tinyxp.nn.normalization import _BatchNorm
from tinyxp.ops.creation import asarray, astype, move
from tinyxp.optim.lr_scheduler.base import LRScheduler, at_least, for_each_group
from tinyxp.optim.lr_scheduler.factors import FactorLR, cosine
from tinyxp.optim.optimizer import Optimizer

__all__ = [
    "AveragedModel", "SWALR", "get_ema_avg_fn", "get_ema_multi_avg_fn", "get_swa_avg_fn",
    "get_swa_multi_avg_fn", "update_bn",
]  # fmt: skip

AvgFn = Callable[[Tensor, Tensor, int], Tensor]
MultiAvgFn = Callable[[Sequence[Tensor], Sequence[Tensor], int], Any]


class AveragedModel(Module):
    """A copy of a model whose parameters are averages over the calls of ``update_parameters``.

    The first update copies. A later one passes every parameter to ``avg_fn(average, current, n)``,
    which returns the new average of n + 1 models, or all of them as two lists to ``multi_avg_fn``,
    which rebinds those of the first list. With neither, all models have equal weight:
    w̄ ← w̄ + (w - w̄) / (n + 1). Buffers are averaged if ``use_buffers``, else copied. The buffer
    ``n_averaged`` counts the updates. Source: Izmailov et al. 2018, algorithm 1; Polyak
    and Juditsky 1992.

    >>> model = tx.nn.Linear(1, 1)
    >>> ema = tx.optim.swa_utils.AveragedModel(
    ...     model, multi_avg_fn=tx.optim.swa_utils.get_ema_multi_avg_fn(0.75)
    ... )
    >>> for value in (0.0, 4.0):
    ...     _ = tx.nn.init.constant_(model.bias, value)
    ...     ema.update_parameters(model)
    >>> ema.module.bias.detach()
    tensor([1.])
    """

    def __init__(
        self,
        model: Module,
        device: str | None = None,
        avg_fn: AvgFn | None = None,
        multi_avg_fn: MultiAvgFn | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if not isinstance(model, Module):
            raise DTypeError(f"AveragedModel expects an nn.Module, got {type(model).__name__}")
        if avg_fn is not None and multi_avg_fn is not None:
            raise ArgumentError("expected avg_fn or multi_avg_fn, got both")
        self.module = deepcopy(model)
        if device is not None:
            self.module.to(device)
        self.avg_fn, self.multi_avg_fn = avg_fn, multi_avg_fn
        self.use_buffers = use_buffers
        like = next(chain(self.module.parameters(), self.module.buffers()), None)
        with backends.using(backends.current() if like is None else like.backend):
            self.register_buffer("n_averaged", asarray(0, device=device))

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Add the present parameters of the model to the average.

        Raises ShapeError if their shapes differ from those of the average.
        """
        ours, theirs = list(self.module.parameters()), list(model.parameters())
        shapes = zip_longest((p.shape for p in ours), (p.shape for p in theirs))
        for i, (had, got) in enumerate(shapes):
            if had != got:
                raise ShapeError(
                    f"an average expects the model that it was made of: parameter {i} has the "
                    f"shape {got} and not {had}; make a new AveragedModel"
                )
        buffers = list(zip(self.module.buffers(), model.buffers(), strict=True))
        if self.use_buffers:
            ours, theirs = [*ours, *(b for b, _ in buffers)], [*theirs, *(b for _, b in buffers)]  # type: ignore[list-item]
        else:
            for b, current in buffers:  # a copy, because a captured step writes into the model's
                b.array = b.backend.xp.asarray(near(current, b).array, copy=True)
        n = int(self.n_averaged)
        with no_grad():
            averages = [p.detach() for p in ours]
            currents = [near(q, p) for p, q in zip(ours, theirs, strict=True)]
            if n == 0:
                averages = currents
            elif self.multi_avg_fn is not None:
                self.multi_avg_fn(averages, currents, n)
            else:
                one = self.avg_fn or get_swa_avg_fn()
                averages = [one(p, q, n) for p, q in zip(averages, currents, strict=True)]
            for p, new in zip(ours, averages, strict=True):
                p.array = astype(new, p.dtype, copy=False).array
            self.n_averaged += 1


@typed
def get_ema_avg_fn(decay: float = 0.999) -> AvgFn:
    """``avg_fn`` of the exponential average: w̄ ← decay · w̄ + (1 - decay) · w.

    >>> ema = tx.optim.swa_utils.get_ema_avg_fn(0.75)
    >>> ema(tx.asarray([0.0]), tx.asarray([4.0]), 1)
    tensor([1.])
    """
    if not 0 <= decay <= 1:
        raise ArgumentError(f"decay expects a number in [0, 1], got {decay}")
    return lambda average, current, n: decay * floats(average) + (1 - decay) * floats(current)


def get_swa_avg_fn() -> AvgFn:
    """``avg_fn`` of the equal average: w̄ ← w̄ + (w - w̄) / (n + 1).

    >>> swa = tx.optim.swa_utils.get_swa_avg_fn()
    >>> swa(tx.asarray([0.0]), tx.asarray([4.0]), 1)
    tensor([2.])
    """
    return lambda average, current, n: average + floats(current - average) / (n + 1)


@typed
def get_ema_multi_avg_fn(decay: float = 0.999) -> MultiAvgFn:
    """:func:`get_ema_avg_fn` for lists.

    >>> averages = [tx.asarray([0.0])]
    >>> tx.optim.swa_utils.get_ema_multi_avg_fn(0.75)(averages, [tx.asarray([4.0])], 1)
    >>> averages
    [tensor([1.])]
    """
    return for_lists(get_ema_avg_fn(decay))


def get_swa_multi_avg_fn() -> MultiAvgFn:
    """:func:`get_swa_avg_fn` for lists.

    >>> averages = [tx.asarray([0.0])]
    >>> tx.optim.swa_utils.get_swa_multi_avg_fn()(averages, [tx.asarray([4.0])], 1)
    >>> averages
    [tensor([2.])]
    """
    return for_lists(get_swa_avg_fn())


class SWALR(FactorLR):
    """lr = swa_lr + (initial lr - swa_lr) · f, where f goes from 1 to 0 in ``anneal_epochs`` steps.

    f is half a cosine, or linear if ``anneal_strategy`` is "linear". It may follow another
    schedule: it starts from the rate that it finds. A list holds one rate for each group.

    >>> optimizer = tx.optim.SGD([tx.asarray([1.0])], lr=1.0)
    >>> schedule = tx.optim.swa_utils.SWALR(optimizer, 0.5, 2, anneal_strategy="linear")
    >>> [schedule.lr_at(epoch, 1.0, 0) for epoch in range(4)]
    [1.0, 0.75, 0.5, 0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float | list[float],
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        self.attach(optimizer)
        if anneal_strategy not in ("cos", "linear"):
            raise ArgumentError(f"anneal_strategy expects 'cos' or 'linear', got {anneal_strategy}")
        at_least("anneal_epochs", anneal_epochs, 0)
        self.anneal_epochs, self._anneal_strategy = anneal_epochs, anneal_strategy
        lrs = for_each_group("swa_lr", swa_lr, optimizer)
        for group, lr in zip(optimizer.param_groups, lrs, strict=True):
            group["swa_lr"] = lr
        LRScheduler.__init__(self, optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        lrs = super().get_lr()
        return lrs if self.scale(self.last_epoch) else [self.floor(i) for i in range(len(lrs))]

    def floor(self, group: int) -> float:
        return self.optimizer.param_groups[group]["swa_lr"]

    def scale(self, epoch: int) -> float:
        done = min(1.0, epoch / self.anneal_epochs) if self.anneal_epochs else 1.0
        return cosine(done) if self._anneal_strategy == "cos" else 1 - done


def update_bn(loader: Iterable[Any], model: Module, device: str | None = None) -> None:
    """Recompute the running means and variances of all BatchNorm layers over ``loader``.

    Each item is an input of the model, or a tuple or list that starts with one. Averaged weights
    need it, because their saved statistics belong to other weights. Source: Izmailov et
    al. 2018, section 3.2.

    >>> model = tx.nn.BatchNorm1d(1)
    >>> batches = [tx.asarray([[1.0], [3.0]]), tx.asarray([[5.0], [7.0]])]
    >>> tx.optim.swa_utils.update_bn(batches, model)
    >>> model.running_mean
    tensor([4.])
    """
    if not isinstance(model, Module):
        raise DTypeError(f"update_bn expects an nn.Module, got {type(model).__name__}")
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    try:
        with keep_modes(model), no_grad():
            model.train()
            for norm in norms:
                norm.reset_running_stats()
                norm.momentum = None  # all batches have equal weight
            for item in loader:
                x = item[0] if isinstance(item, (list, tuple)) else item
                model(x if device is None else x.to(device))
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum


# -- helpers ----------------------------------------------------------------------------------


def near(x: Tensor, p: Tensor) -> Tensor:
    """x on the device of p."""
    return move(x.detach(), p.backend, p.device)


def floats(x: Tensor) -> Tensor:
    """x as floating point: integers become float32."""
    return x if x.dtype.kind.endswith("floating") else astype(x, float32)


def for_lists(avg_fn: AvgFn) -> MultiAvgFn:
    """Turn a function of one average into one of lists, which rebinds the first list."""

    def update(averages: Sequence[Tensor], currents: Sequence[Tensor], n: int) -> None:
        for average, current in zip(averages, currents, strict=True):
            average.array = astype(avg_fn(average, current, n), average.dtype, copy=False).array

    return update
