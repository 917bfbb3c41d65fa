"""A training step on several threads: each runs forward and backward on a part of the batch.

Threads inside a matrix product synchronize at its end, and everything between two products runs on
one thread. It is faster to give each thread a part of the batch and one thread of BLAS, and to add
up the gradients at the end. They equal those of the whole batch up to rounding if the loss is a
plain mean over independent samples. So a batch is split only on request, and only where a trial
shows that this holds (``tinyxp.train.split_check``).
"""

import math
import operator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import Any, Self

import numpy as np

from tinyxp import backends
from tinyxp.backends.common.capture import is_recording
from tinyxp.backends.common.context import bound, run_on_threads
from tinyxp.backends.threads import get_num_threads, limited
from tinyxp.core.tape import propagate
from tinyxp.core.tensor import Tensor, wrap
from tinyxp.core.tree import leaves, tree_map
from tinyxp.errors import ArgumentError
from tinyxp.nn.functional.reduction import in_a_part
from tinyxp.nn.module import Module
from tinyxp.random import watch_generators
from tinyxp.train.split_check import LossOf, Part, SplitCheck, expect_loss, operands, unchanged

LARGE = 1_000_000  # elements read in a forward pass; below, one thread is faster


class Parallel:
    """Runs the backward passes of training with ``threads`` threads, in a ``with`` block.

    ``threads=None`` gives the bits of a loop without it. ``threads=1`` is one thread, in matrix
    products too. A larger number splits each batch into as many parts along its first axis; call
    ``prepare`` before each step, which raises ArgumentError if the parts train differently. "auto"
    chooses by the sizes of the first batch: one thread for small models, parts for large ones on
    the numpy backend where they train the same, else the library's own threads.
    """

    def __init__(self, model: Module, threads: int | str | None = None) -> None:
        number = type(threads) is int and threads >= 1
        if not (threads is None or threads == "auto" or number):
            raise ArgumentError(
                f"threads expects a whole number from 1 up, 'auto' or None, got {threads!r}"
            )
        self.threads = threads
        self.chosen: int | None = None  # 0: whole batches on the library's own threads
        self.check = SplitCheck(model)
        self.known: set[Any] = set()  # kinds of batches that were checked
        self.batches = 0
        self.pool: ThreadPoolExecutor | None = None
        self.stack = ExitStack()

    def __enter__(self) -> Self:
        if isinstance(self.threads, int):
            self.choose(self.threads)
        return self

    def __exit__(self, *error: Any) -> None:
        self.stack.__exit__(*error)
        self.pool = self.chosen = None

    def choose(self, threads: int) -> None:
        """Use this many threads from now on; 0: as without a Parallel."""
        self.stack.close()
        self.chosen, self.pool = threads, None
        if threads:
            self.stack.enter_context(limited(1))  # two thread pools would slow each other down
        if threads > 1:
            self.pool = ThreadPoolExecutor(threads, thread_name_prefix="tinyxp")
            self.stack.enter_context(self.pool)

    # -- before a step --------------------------------------------------------------------------

    def prepare(self, loss_of: LossOf, batch: Any) -> None:
        """Choose the threads; check the parts of batches 1, 2, 4, 8 …, and of each new kind."""
        if self.threads == "auto" and self.chosen is None:
            self._choose(loss_of, batch)
        if self.pool is None or (_length(batch) or 0) < 2:
            return
        self.batches += 1
        kinds = tuple((place, _kind(x)) for place, x in leaves(batch))
        if kinds in self.known and self.batches & (self.batches - 1):
            return
        self.known.add(kinds)
        if why := self.check(loss_of, batch, lambda: self._in_parts(loss_of, batch)):
            raise ArgumentError(
                f"threads={self.chosen} would train differently than the whole batch: {why}; "
                "leave threads out"
            )

    def _choose(self, loss_of: LossOf, batch: Any) -> None:
        available = get_num_threads()
        self.choose(1)
        with unchanged(self.check.model):
            loss = expect_loss(loss_of(batch))
        if loss.backend.run_parts is None:
            self.choose(0)
        elif work(loss) >= LARGE:
            del loss
            self.choose(available)
            splits = available > 1 and (_length(batch) or 0) >= available
            if not splits or self.check(loss_of, batch, lambda: self._in_parts(loss_of, batch)):
                self.choose(0)

    # -- a step -----------------------------------------------------------------------------------

    def backward(self, loss_of: LossOf, batch: Any) -> Tensor:
        """Add the gradients of ``loss_of(batch)`` to its leaves; return the detached loss."""
        if self.pool is None or (_length(batch) or 0) < 2:
            loss = expect_loss(loss_of(batch))
            loss.backward()
            return loss.detach()
        with bound(in_a_part, not is_recording()):  # a recording reads no targets
            parts = self._in_parts(loss_of, batch)
        grads = [found for *_, found in parts]
        losses = [loss * share for loss, share, _ in parts]
        del parts
        for leaf in {leaf: None for found in grads for leaf in found}:
            add = leaf.backend.functions.get("add_gradients", operator.add)
            total = None if leaf.grad is None else leaf.grad.array
            for found in grads:
                g = found.pop(leaf, None)
                total = g if total is None else total if g is None else add(total, g)
            leaf.grad = wrap(total, leaf.backend)
        return sum(losses[1:], losses[0])

    def _in_parts(self, loss_of: LossOf, batch: Any) -> list[Part]:
        """The loss, the share of the samples and the gradients of each part."""
        assert self.pool is not None and self.chosen
        n = _length(batch) or 0
        size = -(-n // self.chosen)

        def one(first: int) -> Part:
            last = min(first + size, n)
            part = tree_map(lambda x: x[first:last] if isinstance(x, ARRAYS) else x, batch)
            with watch_generators() as drawn:
                loss = expect_loss(loss_of(part))
            if drawn:
                raise ArgumentError(
                    "a part of a batch drew random numbers, so it would differ from that part of "
                    "the whole batch; leave threads out"
                )
            share = (last - first) / n
            grads = propagate([loss], [loss.detach() * 0 + share])
            return loss.detach(), share, {x: g for x, g in grads.items() if isinstance(x, Tensor)}

        calls = [partial(one, first) for first in range(0, n, size)]
        return (backends.current().run_parts or run_on_threads)(self.pool, calls)


ARRAYS = (Tensor, np.ndarray)


def _length(batch: Any) -> int | None:
    """The number of samples: the first axis of all tensors of a batch; None if they differ."""
    lengths = {x.shape[0] if x.ndim else None for _, x in leaves(batch) if isinstance(x, ARRAYS)}
    return lengths.pop() if len(lengths) == 1 else None


def _kind(x: Any) -> Any:
    """A leaf of a batch without its sizes."""
    return (x.ndim, str(x.dtype)) if isinstance(x, ARRAYS) else type(x).__name__


def work(loss: Tensor) -> int:
    """The elements that the operations of a loss read: those of the largest operand of each."""
    sizes = ([math.prod(x.shape) for x in held] for held in operands(loss))
    return sum(max(some, default=0) for some in sizes)
