"""A training step on several threads: each takes a part of the batch through the model and back.

Threads inside a matrix product have to meet at the end of every product, and what lies between two
products runs on one thread alone. So it is faster to give each thread a part of the batch and one
thread of BLAS, and to add up the gradients at the end: they are those of the whole batch, to
rounding, as long as the loss is a mean over samples that do not know of each other.
"""

import contextvars
import math
import operator
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Self

from tinyxp import backends
from tinyxp.backends.errors import ArgumentError, CaptureError
from tinyxp.backends.numpy_trace import tracing
from tinyxp.core import Tensor, wrap
from tinyxp.nn.module import Module
from tinyxp.random import Generator, default_generator, drawing_from, watched
from tinyxp.tape import edge_of, ordered, propagate
from tinyxp.threads import get_num_threads, limited
from tinyxp.tree import leaves, tree_map

LARGE = 1_000_000  # numbers that operations read in one forward pass; below, one thread is faster

LossOf = Callable[[Any], Tensor]


class Parallel:
    """The backward passes of training, with ``threads`` threads; use it in a ``with`` block.

    ``threads=1`` computes on one thread. More part each batch into as many parts along its first
    axis. None chooses on the first batch, by sizes alone, so that a run can be repeated: one
    thread for small models, parts for large ones on the numpy backend; but no parts where random
    numbers are drawn, which would be others, or for a batch that cannot be parted.
    Raises ArgumentError for parts of a model that looks at its batch as a whole (BatchNorm).
    """

    def __init__(self, model: Module, threads: int | None = None) -> None:
        if threads is not None and (type(threads) is not int or threads < 1):
            raise ArgumentError(f"threads expects a whole number from 1 up, got {threads!r}")
        self.whole = any(hasattr(module, "running_mean") for module in model.modules())
        if self.whole and threads is not None and threads > 1:
            raise ArgumentError(
                "a model with BatchNorm looks at its batch as a whole, so that the batch cannot be "
                "parted; leave threads out, or use GroupNorm or LayerNorm"
            )
        self.threads = threads
        self.pool: ThreadPoolExecutor | None = None
        self.limit: Any = None

    def __enter__(self) -> Self:
        if self.threads is not None:
            self._use(self.threads)
        return self

    def __exit__(self, *error: object) -> None:
        if self.limit is not None:
            self.limit.__exit__(*error)
        if self.pool is not None:
            self.pool.shutdown()
        self.pool = self.limit = None

    def _use(self, threads: int) -> None:
        self.threads = threads
        self.limit = limited(1)  # in a product; two pools would wait for each other's turns
        self.limit.__enter__()
        if threads > 1:
            self.pool = ThreadPoolExecutor(threads, thread_name_prefix="tinyxp")

    @property
    def chosen(self) -> int | None:
        """In how many parts batches are computed: 0 is whole, on the library's own threads; None,
        not chosen yet."""
        return 0 if self.limit is None and self.threads is not None else self.threads

    def choose(self, chosen: int) -> None:
        """Compute as another Parallel did."""
        if chosen:
            self._use(chosen)
        else:
            self.threads = get_num_threads()

    def backward(self, loss_of: LossOf, batch: Any) -> Tensor:
        """Add the gradients of ``loss_of(batch)`` to the leaves it was computed from.

        Returns the loss, from which no gradient flows any more.
        """
        if self.pool is not None and (n := _length(batch)) is not None and n > 1:
            return self._in_parts(self.pool, loss_of, batch, n)
        if self.threads is not None:
            loss = loss_of(batch)
            loss.backward()
            return loss.detach()
        # on one thread, as most go on, whatever other Trainers have chosen
        with limited(1), watched() as drawn:
            loss = loss_of(batch)
        self._choose(loss, batch, bool(drawn))
        loss.backward()
        if self.pool is not None:  # from now on arrays have other sizes
            loss.backend.empty_cache()
        return loss.detach()

    def _choose(self, loss: Tensor, batch: Any, drawn: bool) -> None:
        available = get_num_threads()
        self.threads = available
        if loss.backend.name != "numpy":
            return  # the library's own threads do it
        if work(loss) < LARGE:
            self._use(1)
        elif not (drawn or self.whole) and available > 1 and (_length(batch) or 0) >= available:
            self._use(available)

    def _in_parts(self, pool: ThreadPoolExecutor, loss_of: LossOf, batch: Any, n: int) -> Tensor:
        assert self.threads is not None
        size = -(-n // self.threads)
        bounds = [(first, min(first + size, n)) for first in range(0, n, size)]
        program = tracing()
        with backends.using(backends.get("numpy")):
            seeds = default_generator().integers(0, 2**62, len(bounds))
        # of a recorded step they are not known yet, and nothing may be drawn from them
        known = seeds.tolist() if program is None else [None] * len(bounds)

        def one(first: int, last: int, seed: int | None) -> tuple[Tensor, dict[Any, Any]]:
            part = tree_map(lambda x: x[first:last] if isinstance(x, Tensor) else x, batch)
            with drawing_from(Generator(seed or 0)) as generator:
                loss = loss_of(part)
            if seed is None and generator.counter:
                raise CaptureError(
                    "parts of a batch that draw random numbers cannot be captured; with threads=1 "
                    "they can"
                )
            share = loss.detach() * 0 + (last - first) / n
            grads = propagate([loss], [share])
            return loss.detach() * share, {x: g for x, g in grads.items() if isinstance(x, Tensor)}

        calls = [partial(one, *bound, seed) for bound, seed in zip(bounds, known, strict=True)]
        if program is None:
            futures = [pool.submit(contextvars.copy_context().run, call) for call in calls]
            found = [future.result() for future in futures]
            del futures  # which would hold the gradients of all parts to the end
        else:
            found = program.side_by_side(pool, calls)
        losses, grads = zip(*found, strict=True)
        del found
        for leaf in {leaf: None for found in grads for leaf in found}:
            add = leaf.backend.kernels.get("add_gradients", operator.add)
            total = None if leaf.grad is None else leaf.grad.data
            for found in grads:
                g = found.pop(leaf, None)
                total = g if total is None else total if g is None else add(total, g)
            leaf.grad = wrap(total, leaf.backend)
        return sum(losses[1:], losses[0])


def _length(batch: Any) -> int | None:
    """How many samples a batch has: the first axis of all its tensors; None if they differ."""
    lengths = {x.shape[0] if x.ndim else None for _, x in leaves(batch) if isinstance(x, Tensor)}
    return lengths.pop() if len(lengths) == 1 else None


def work(loss: Tensor) -> int:
    """How many numbers the recorded operations before a loss read: the largest operand of each."""
    total = 0
    for node in ordered([edge_of(loss)]):
        operands = node.context[0] if not isinstance(node, Tensor) and node.context else ()
        if isinstance(operands, (list, tuple)):
            sizes = [math.prod(x.shape) for x in operands if hasattr(x, "shape")]
            total += max(sizes, default=0)
    return total
