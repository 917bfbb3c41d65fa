"""The functions of optimizers: all parameters, or all gradients, in one launch (arrays.cu)."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from tinyxp.backends import Array
from tinyxp.backends.common.adamw import AdamWStep, Advance, Arrays
from tinyxp.backends.common.capture import capturing
from tinyxp.backends.cupy.capture import DeviceCapture
from tinyxp.backends.cupy.launch import Library
from tinyxp.errors import ShapeError

CHUNK = 4096  # elements for a block of threads, as in arrays.cu
THREADS = 256
WHOLE = "float32", "float64"  # dtypes whose squares may be summed


class ManyArrays:
    """The kernels that take lists of arrays of one array library."""

    def __init__(self, library: Library) -> None:
        self.library, self.xp = library, library.xp

    def functions(self) -> dict[str, Callable[..., Any]]:
        """See ``Backend.functions``."""
        return {f.__name__: f for f in (self.adamw, self.clip_by_norm, self.total_norm)}

    def table(self, *lists: list[Array]) -> tuple[Array, int]:
        """The table of arrays.cu, on the device, and the number of blocks."""
        sizes = [x.size for x in lists[0]]
        if any([x.size for x in arrays] != sizes for arrays in lists):
            shapes = [[tuple(x.shape) for x in arrays] for arrays in lists]
            raise ShapeError(f"a kernel expects lists of arrays of the same sizes, got {shapes}")
        firsts = [0, *itertools.accumulate(-(-size // CHUNK) for size in sizes)]
        rows = [[self.library.address(x) for x in arrays] for arrays in lists]
        host = np.asarray([*rows, sizes, firsts[:-1]], dtype=np.int64)
        capture = capturing()
        if isinstance(capture, DeviceCapture) and capture.recording:
            return capture.constant(host), firsts[-1]
        return self.xp.asarray(host), firsts[-1]

    def packed(self, arrays: list[Array]) -> list[Array]:
        return [self.library.packed(x) for x in arrays]

    def adamw(
        self,
        params: Arrays,
        grads: Arrays,
        m: Arrays,
        v: Arrays,
        step: AdamWStep,
        advance: Advance = None,
    ) -> Arrays:
        """See ``AdamWStep``. One launch for all parameters."""
        with self.library.on(getattr(params[0], "device", None)):
            news = [self.xp.empty(p.shape, dtype=p.dtype) for p in params]
            lists = [self.packed(arrays) for arrays in (params, grads, m, v)]
            table, blocks = self.table(*lists, news)
            factors, numbers = [0.0, 0.0, 0.0], None
            if advance is None:
                factors = step.factors()
            elif (capture := capturing()) is not None:
                numbers = capture.numbers(3, lambda: advance().factors())
            options = (float(step.beta1), float(step.beta2), float(step.eps), *factors, numbers)
            if blocks:
                args = (table, len(params), *options)
                self.library.launch("adamw", (blocks,), (THREADS,), args, params[0].dtype.name)
            for own, used in zip([*m, *v], [*lists[2], *lists[3]], strict=True):
                if used is not own:  # it was not contiguous
                    own[...] = used
            return news

    def total_norm(self, arrays: list[Array]) -> Any:
        """√Σ x² over all elements of arrays of one dtype, on the device. Two launches."""
        kind = self.library.kind(*arrays)
        if kind not in WHOLE:
            return NotImplemented
        norm = self.xp.zeros((), dtype=arrays[0].dtype)
        arrays = self.packed(arrays)
        table, blocks = self.table(arrays)
        if blocks:
            parts = self.xp.empty((blocks,), dtype=norm.dtype)
            args = (table, len(arrays), parts)
            self.library.launch("squares", (blocks,), (THREADS,), args, kind)
            self.library.launch("norm_of_parts", (1,), (512,), (parts, blocks, norm), kind)
        return norm

    def clip_by_norm(self, arrays: list[Array], norm: Array, max_norm: float) -> Any:
        """New arrays: all arrays times min(1, max_norm / (norm + 1e-6)). One launch."""
        kind = self.library.kind(norm, *arrays)
        if kind not in WHOLE:
            return NotImplemented
        news = [self.xp.empty(x.shape, dtype=x.dtype) for x in arrays]
        arrays = self.packed(arrays)
        table, blocks = self.table(arrays, news)
        if blocks:
            args = (table, len(arrays), norm, float(max_norm))
            self.library.launch("clipped", (blocks,), (THREADS,), args, kind)
        return news

    def copy(self, to: list[Array], values: list[Array]) -> list[tuple[Array, Array]]:
        """Copy values, one launch for each dtype. Returns the pairs that it does not copy."""
        kinds: dict[str, list[tuple[Array, Array]]] = {}
        for pair in zip(to, values, strict=True):
            whole = pair[0].shape == pair[1].shape and all(x.flags.c_contiguous for x in pair)
            kind = self.library.kind(*pair) if whole else None
            kinds.setdefault(kind or "", []).append(pair)
        rest = kinds.pop("", [])
        for kind, pairs in kinds.items():
            outs, sources = [list(arrays) for arrays in zip(*pairs, strict=True)]
            table, blocks = self.table(sources, outs)
            if blocks:
                self.library.launch("copied", (blocks,), (THREADS,), (table, len(pairs)), kind)
        return rest
