"""CUDA kernels: each computes one composite, or its vjp, in one launch or two.

On a GPU the time goes into launches, of which a step needs thousands without such kernels, and into
passes over memory. No kernel uses atomics, so the same call gives the same bits in every run.

The array library is a parameter, as tests run these files and the kernels' sources on a CPU
(tests/backends/cuda_on_cpu), which proves the numbers, but nothing about a GPU.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from tinyxp.backends import Array, Gradients, Kernel, Needs
from tinyxp.backends.common.operands import is_last_axis, linear_fits
from tinyxp.backends.cupy.capture import dropout_arguments, philox_arguments
from tinyxp.backends.cupy.kernels.attention import Attention
from tinyxp.backends.cupy.kernels.convolution import Windows
from tinyxp.backends.cupy.kernels.optimizer import ManyArrays
from tinyxp.backends.cupy.launch import Library, chunks, sum_dtype


class Kernels:
    """The kernels of one array library."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.xp, self.packed, self.kind = library.xp, library.packed, library.kind

    def table(self) -> dict[str, Kernel]:
        """By the names of the composites."""
        norm, norm_vjp = self.layer_norm, self.layer_norm_vjp
        loss, loss_vjp = self.cross_entropy, self.cross_entropy_vjp
        softmax, softmax_vjp = self.softmax, self.softmax_vjp
        return (
            Windows(self.library).table()
            | Attention(self.library).table()
            | {
                "cross_entropy": Kernel(loss, loss_vjp, single=partial(loss, single=True)),
                "dropout": Kernel(self.dropout, self.dropout_vjp),
                "gelu": Kernel(self.gelu, self.gelu_vjp),
                "layer_norm": Kernel(norm, norm_vjp),
                "linear": Kernel(self.linear, self.linear_vjp),
                "log_softmax": Kernel(
                    partial(softmax, logarithm=1), partial(softmax_vjp, logarithm=1)
                ),
                "relu": Kernel(self.relu, self.relu_vjp),
                "rms_norm": Kernel(partial(norm, centred=0), norm_vjp),
                "softmax": Kernel(softmax, softmax_vjp),
            }
        )

    def functions(self) -> dict[str, Callable[..., Any]]:
        """See ``Backend.functions``."""
        return ManyArrays(self.library).functions() | {"random_bits": self.random_bits}

    def column_sums(self, g: Array, normal: tuple[Any, ...] = (None, None, None)) -> Array:
        """Σ g over rows, and Σ g (x - mean) scale if ``normal`` is (x, mean, scale): (rows, n) ->
        (2, n)."""
        rows, n = g.shape
        parts = chunks(rows, n)
        sums = self.xp.empty((2, parts, n), dtype=sum_dtype(g.dtype))
        args = (g, *normal, sums[0], sums[1], rows, n, -(-rows // parts))
        if n:
            grid, block = (-(-n // 32), parts), (32, 8)
            self.library.launch("column_sums", grid, block, args, g.dtype.name)
        return self.xp.sum(sums, axis=1) if parts > 1 else sums[:, 0]

    # -- linear: y = x Wᵀ + b -----------------------------------------------------------------

    def linear(self, x: Array, weight: Array, bias: Array | None = None) -> Any:
        if not self.kind(x, weight, bias) or not linear_fits(x, weight, bias):
            return NotImplemented
        rows = x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
        y = self.library.linear(rows, weight, None if bias is None else self.packed(bias))
        return y.reshape(*x.shape[:-1], len(weight)), (rows, weight, x.shape)

    def linear_vjp(self, g: Array, residuals: Any, needs: Needs) -> Gradients:
        rows, weight, shape = residuals
        g = g.reshape(len(rows), len(weight))
        matmul = self.library.matmul
        return (
            matmul(g, weight).reshape(shape) if needs[0] else None,
            matmul(g.T, rows) if needs[1] else None,
            self.column_sums(self.packed(g))[0] if needs[2] else None,
        )

    # -- elementwise --------------------------------------------------------------------------

    def gelu(self, x: Array, approximate: str) -> Any:
        if not self.kind(x):
            return NotImplemented
        x, options = self.packed(x), (int(approximate == "tanh"),)
        return self.library.apply("gelu", x.shape, (x,), options), (x, options)

    def gelu_vjp(self, g: Array, residuals: Any, needs: Needs) -> Gradients:
        x, options = residuals
        return (self.library.apply("gelu_vjp", x.shape, (self.packed(g), x), options),)

    def relu(self, x: Array) -> Any:
        if not self.kind(x):
            return NotImplemented
        y = self.library.apply("relu", x.shape, (self.packed(x),))
        return y, y

    def relu_vjp(self, g: Array, y: Array, needs: Needs) -> Gradients:
        return (self.library.apply("relu_vjp", y.shape, (self.packed(g), y)),)

    def dropout(self, x: Array, *, seed: int, counter: Any, p: float) -> Any:
        if not self.kind(x):
            return NotImplemented
        options = dropout_arguments(seed, counter, p)
        return self.library.apply("dropout", x.shape, (self.packed(x),), options), options

    def dropout_vjp(self, g: Array, options: Any, needs: Needs) -> Gradients:
        # drawing again is cheaper than keeping the words
        return (self.library.apply("dropout", g.shape, (self.packed(g),), options),)

    # -- layer_norm and rms_norm over the last axes ---------------------------------------------

    def layer_norm(
        self,
        x: Array,
        weight: Any = None,
        bias: Any = None,
        *,
        axes: int,
        eps: float,
        centred: int = 1,
    ) -> Any:
        """``centred``: 0 for rms_norm."""
        kind = self.kind(x, weight, bias)
        if not kind or not 1 <= axes <= x.ndim or x.size == 0:
            return NotImplemented
        x, shape = self.packed(x), x.shape[-axes:]
        if any(part is not None and part.shape != shape for part in (weight, bias)):
            return NotImplemented
        weight, bias = (None if part is None else self.packed(part) for part in (weight, bias))
        n = math.prod(shape)
        rows = x.size // n
        y = self.xp.empty(x.shape, dtype=x.dtype)
        known = self.xp.empty((2, rows), dtype=sum_dtype(x.dtype))
        mean, scale = known[0], known[1]
        args = (x, weight, bias, y, mean, scale, n, float(eps), centred)
        self.library.by_rows("layer_norm", rows, n, args, kind)
        return y, (x, mean, scale, weight, shape, centred)

    def layer_norm_vjp(self, g: Array, residuals: Any, needs: Needs) -> Gradients:
        x, mean, scale, weight, shape, centred = residuals
        g, rows, n = self.packed(g), len(mean), math.prod(shape)
        gx = None
        if needs[0]:
            gx = self.xp.empty(x.shape, dtype=x.dtype)
            args = (g, x, weight, mean, scale, gx, n, centred)
            self.library.by_rows("layer_norm_vjp", rows, n, args, x.dtype.name)
        gw = gb = None
        if any(needs[1:]):
            gb, gw = self.column_sums(g.reshape(rows, n), (x, mean, scale)).reshape(2, *shape)
        grads = zip((gx, gw, gb), needs, strict=False)  # rms_norm has no bias
        return tuple([part if need else None for part, need in grads])

    # -- softmax and its logarithm over the last axis -------------------------------------------

    def softmax(self, x: Array, dim: int, logarithm: int = 0) -> Any:
        kind = self.kind(x)
        if not kind or not is_last_axis(x, dim):
            return NotImplemented
        x, n = self.packed(x), x.shape[-1]
        y = self.xp.empty(x.shape, dtype=x.dtype)
        self.library.by_rows("softmax", x.size // n, n, (x, y, n, logarithm), kind)
        return y, y

    def softmax_vjp(self, g: Array, y: Array, needs: Needs, logarithm: int = 0) -> Gradients:
        gx, n = self.xp.empty(y.shape, dtype=y.dtype), y.shape[-1]
        args = (self.packed(g), y, gx, n, logarithm)
        self.library.by_rows("softmax_vjp", y.size // n, n, args, y.dtype.name)
        return (gx,)

    # -- cross_entropy: no probabilities in memory, and the host reads no targets ----------------

    def cross_entropy(
        self,
        logits: Array,
        targets: Array,
        weight: Array | None = None,
        *,
        ignore_index: int,
        label_smoothing: float,
        reduction: str,
        single: bool = False,
    ) -> Any:
        """Losses have the dtype of the logits or, if ``single``, the one of their sums."""
        kind = self.kind(logits)
        if weight is not None or not kind or logits.ndim != 2 or logits.size == 0:
            return NotImplemented
        if targets.dtype.name != "int64" or targets.shape != logits.shape[:1]:
            return NotImplemented
        logits, step = self._rows(logits)
        targets, sums = self.packed(targets), sum_dtype(logits.dtype)
        rows, n = logits.shape
        losses = self.xp.empty((rows,), dtype=sums)
        known = self.xp.empty((rows, 2), dtype=sums)
        options = (n, step, int(ignore_index), float(label_smoothing))
        args: tuple[Any, ...] = (logits, targets, losses, known, *options)
        self.library.by_rows("cross_entropy", rows, n, args, kind)
        inverse, y = None, losses
        if reduction != "none":
            y = self.xp.empty((), dtype=sums)
            inverse = self.xp.empty((), dtype=sums)
            mean = int(reduction == "mean")
            args = (losses, targets, y, inverse, rows, int(ignore_index), mean)
            self.library.launch("total_loss", (1,), (512,), args, kind)
        y = y if single else y.astype(logits.dtype, copy=False)
        return y, (logits, targets, known, inverse, options)

    def cross_entropy_vjp(self, g: Array, residuals: Any, needs: Needs) -> Gradients:
        logits, targets, known, inverse, options = residuals
        (rows, n), step = logits.shape, options[1]
        gx = self.xp.empty((rows, step), dtype=logits.dtype)[:, :n]
        g = self.packed(g.astype(known.dtype, copy=False))
        args = (g, logits, targets, known, inverse, gx, *options, int(inverse is None))
        self.library.by_rows("cross_entropy_vjp", rows, n, args, logits.dtype.name)
        return gx, None, None

    def _rows(self, x: Array) -> tuple[Array, int]:
        """A matrix with small gaps between rows, as ``linear`` makes them, and their distance."""
        step, along = (stride // x.dtype.itemsize for stride in x.strides)
        if along == 1 and 0 <= step - x.shape[1] < 16:
            return x, step
        return self.packed(x), x.shape[1]

    # -- beside the composites --------------------------------------------------------------------

    def add_rows(self, x: Array, indices: Array, values: Array) -> Any:
        """A copy of x with ``x[indices[i]] += values[i]``; indices, from 0, may repeat.

        Sorting groups equal indices, as atomics would add in another order in every run. A complex
        number is a row of two real ones.
        """
        if x.dtype.kind == values.dtype.kind == "c" and x.dtype == values.dtype:
            out = self.add_rows(self._pairs(x), indices, self._pairs(values))
            return out if out is NotImplemented else out.view(x.dtype).reshape(x.shape)
        kind = self.kind(x, values)
        if not kind or indices.dtype.name != "int64":
            return NotImplemented
        out = self.xp.array(x, order="C", copy=True)
        width = math.prod(x.shape[1:])
        if values.shape != (indices.size, *x.shape[1:]):
            return NotImplemented
        order = self.xp.argsort(indices, kind="stable")
        places = self.xp.take(indices, order)
        args = (places, order, self.packed(values), out, len(x), indices.size, width)
        self.library.elementwise("add_rows", indices.size * width, args, kind)
        return out

    def _pairs(self, x: Array) -> Array:
        """(rows, ...) of complex numbers as (rows, ..., 2) of real ones."""
        return self.packed(x)[..., None].view(f"f{x.itemsize // 2}")

    def random_bits(self, key: int, counter: Any, n: int, device: Any = None) -> Array:
        """``philox.random_bits``, in one launch."""
        with self.library.on(device):
            words = self.xp.empty((n,), dtype=self.xp.int64)
            args = (words, n, *philox_arguments(key, counter))
            self.library.elementwise("random_bits", n, args, "float32")
        return words
