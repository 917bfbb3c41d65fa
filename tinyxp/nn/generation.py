"""Generation: a model continues a sequence symbol by symbol, with a cache of keys and values.

In a causal model the keys and values of a position do not depend on later ones. A cache keeps them,
so that each new symbol costs the computation of one position.
"""

import math
import operator
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from tinyxp.backends import Array
from tinyxp.backends.threads import limited
from tinyxp.core import dtypes
from tinyxp.core.tensor import Tensor, wrap
from tinyxp.errors import ArgumentError, DTypeError, GradientError, ShapeError
from tinyxp.nn.functional.checks import expect_numbers, numbers
from tinyxp.nn.modes import evaluation
from tinyxp.ops.creation import asarray
from tinyxp.random import Generator, source


class KVCache:
    """The keys and values of all positions so far, for every attention layer of a model.

    The arrays have room for ``max_len`` positions, and ``append`` only writes behind the existing
    ones, so its earlier results do not change. ``length`` counts the positions of completed calls
    of the model. Shapes: (batch, heads, time, head_dim).

    >>> cache = KVCache(layers=1, max_len=8)
    >>> with tx.no_grad():
    ...     k, v = cache.append(0, tx.ones((1, 2, 3, 4)), tx.ones((1, 2, 3, 4)))
    >>> cache.advance(3)
    >>> k.shape, cache.length
    ((1, 2, 3, 4), 3)
    """

    def __init__(self, layers: int, max_len: int) -> None:
        self.max_len, self.length = max_len, 0
        self._layers: list[tuple[Array, Array] | None] = [None] * layers

    def append(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Append the keys and values of new positions; returns those of all positions.

        Raises GradientError if they require grad (no gradient flows through a cache), ShapeError
        if their shapes differ from the earlier ones, or the cache is full.
        """
        if k.requires_grad or v.requires_grad:
            raise GradientError(
                "a KVCache expects keys and values without gradients; use tx.no_grad()"
            )
        xp, end = k.backend.xp, self.length + k.shape[-2]
        if end > self.max_len:
            raise ShapeError(f"a KVCache for {self.max_len} positions cannot hold {end}")
        held = self._layers[layer]
        if held is None:
            room = [(*x.shape[:-2], self.max_len, x.shape[-1]) for x in (k, v)]
            like = {"dtype": k.array.dtype, "device": k.array.device}
            held = xp.zeros(room[0], **like), xp.zeros(room[1], **like)
            self._layers[layer] = held
        whole = []
        for array, new in zip(held, (k, v), strict=True):
            if new.shape[:-2] != tuple(array.shape[:-2]) or new.shape[-1] != array.shape[-1]:
                raise ShapeError(
                    f"this KVCache has the shape {tuple(array.shape)}, with time at axis -2, got "
                    f"{new.shape}; make a new one for another batch"
                )
            array[..., self.length : end, :] = new.array
            whole.append(wrap(array[..., :end, :], k.backend))
        return whole[0], whole[1]

    def advance(self, positions: int) -> None:
        """Add to ``length``, after all layers have appended the new positions."""
        self.length += positions


def choose(
    logits: NDArray[Any],
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    generator: Generator,
) -> int:
    """Draw a symbol from softmax(logits / temperature): (V,) -> an index.

    ``top_k`` keeps the k most probable symbols, ``top_p`` the fewest whose probabilities sum to at
    least p (Holtzman et al. 2020, sec. 3.1). Temperature 0 takes the most probable one. A logit of
    -Inf excludes a symbol. Raises ArgumentError for logits that are NaN or +Inf, or all -Inf, and
    for options out of range; ShapeError, DTypeError.
    """
    _expect_options(temperature, top_k, top_p)
    logits = np.asarray(logits)
    if logits.ndim != 1:
        raise ShapeError(f"choose expects the logits (V,) of one symbol, got {logits.shape}")
    if logits.dtype.kind not in "biuf" and logits.dtype.name != "bfloat16":
        raise DTypeError(f"choose expects logits of real numbers, got {logits.dtype}")
    logits = logits.astype(np.float64)
    best = logits.max(initial=-np.inf)  # NaN if any is
    if not np.isfinite(best):
        if best == -np.inf:
            raise ArgumentError(
                "the model's logits are -Inf for every symbol, so none can be drawn"
            )
        place = int(np.argmin(logits < np.inf))
        raise ArgumentError(
            f"the model's logits are NaN or Inf, as at symbol {place} of {logits.size}: no "
            "symbol can be drawn; find the first NaN or Inf with tx.detect_anomaly()"
        )
    if temperature == 0:
        return int(logits.argmax())
    if top_k is not None and top_k < len(logits):
        logits[np.argsort(-logits, kind="stable")[top_k:]] = -np.inf  # the first of equals stays
    with np.errstate(over="ignore"):  # the probability becomes 0
        p = np.exp((logits - best) / temperature)
    if top_p is not None:
        order = np.argsort(-p, kind="stable")
        before = np.cumsum(p[order]) - p[order]  # the sum of the more probable ones
        p[order[before >= top_p * p.sum()]] = 0.0
    ends = p.cumsum()  # a sum rounded differently could exceed the last
    threshold = generator.uniform((), dtype=dtypes.float64).item() * ends[-1]
    return int(np.searchsorted(ends, threshold, side="right"))


def _expect_options(temperature: Any, top_k: Any, top_p: Any) -> None:
    """Raise ArgumentError if an option is out of range, DTypeError if it is not a number."""
    expect_numbers("sampling", temperature=temperature)
    if not 0 <= temperature < math.inf:
        raise ArgumentError(f"temperature must be finite and at least 0, got {temperature}")
    whole = isinstance(top_k, (int, np.integer)) and not isinstance(top_k, bool)
    if top_k is not None and not (whole and top_k >= 1):
        raise ArgumentError(f"top_k must be an integer of at least 1, got {top_k!r}")
    if top_p is not None:
        expect_numbers("sampling", top_p=top_p)
        if not 0 < top_p <= 1:
            raise ArgumentError(f"top_p must be in (0, 1], got {top_p}")


def generate(model: Any, ids: Iterable[int], count: int, **options: Any) -> list[int]:
    """Return ``ids`` followed by up to ``count`` new symbols; options as in :func:`stream`."""
    ids = _as_integers(ids)
    return [*ids, *stream(model, ids, count, **options)]


def stream(
    model: Any,
    ids: Iterable[int],
    count: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    stop: int | None = None,
    generator: Generator | None = None,
    cache: KVCache | None = None,
) -> Iterator[int]:
    """Iterate over up to ``count`` symbols that continue ``ids``, as soon as each is drawn.

    The model maps ids (B, T) to logits (B, T, V), for at most ``model.block_size`` ids. The symbol
    ``stop`` ends the sequence. With an empty ``cache`` the model computes each position once, with
    the same result; beyond ``block_size`` the oldest symbols are dropped, all positions shift, and
    it computes the whole window. See ``choose`` for the other options. Raises ArgumentError.
    """
    ids = _as_integers(ids)
    if not ids:
        raise ArgumentError("generate expects one symbol or more to start from, got none")
    (count,) = numbers("generate", "count", count, 1, 0)
    _expect_options(temperature, top_k, top_p)
    if cache is not None and cache.length:
        raise ArgumentError(f"generate expects an empty cache, got one of {cache.length} positions")
    return _generate_symbols(
        model, ids, count, (temperature, top_k, top_p, source(generator)), stop, cache
    )


def _generate_symbols(
    model: Any,
    ids: list[int],
    count: int,
    how: tuple[float, int | None, float | None, Generator],
    stop: int | None,
    cache: KVCache | None,
) -> Iterator[int]:
    for _ in range(count):
        # inside the loop: the caller runs between symbols, in its own mode
        with evaluation(model), limited(1):  # small products are slower on several threads
            if cache is not None and len(ids) <= model.block_size:
                logits = model(_batch(ids[cache.length :]), cache)
            else:
                logits = model(_batch(ids[-model.block_size :]))
            last = logits[0, -1].numpy()
        ids.append(choose(last, *how))
        yield ids[-1]
        if ids[-1] == stop:
            return


def write(
    model: Any,
    tokenizer: Any,
    prompt: str,
    count: int,
    *,
    out: TextIO | None = None,
    heading: str = "",
    seed: int | None = None,
    temperature: float = 0.8,
    **options: Any,
) -> None:
    """Write a prompt and the ``count`` symbols that continue it to ``out`` (None: standard output),
    each as soon as it is drawn, with a cache if the model has one. A ``heading`` is written to
    standard error first, after the options are checked.

    ``tokenizer`` has ``encode`` and ``decode``; options as in :func:`stream`. Raises ArgumentError
    for an empty prompt.
    """
    ids = tokenizer.encode(prompt).tolist()
    if not ids:
        raise ArgumentError("the prompt is empty; give at least one character")
    cache = model.new_cache() if hasattr(model, "new_cache") else None
    said = str(tokenizer.decode(ids))
    options |= {"temperature": temperature, "generator": Generator(seed), "cache": cache}
    symbols = stream(model, ids, count, **options)
    if heading:
        with suppress(OSError):
            print(heading, file=sys.stderr)
    out = out or sys.stdout
    out.write(said)
    for symbol in symbols:
        ids.append(symbol)
        text = str(tokenizer.decode(ids))
        if not text.endswith("\ufffd"):  # else the character is not complete yet
            out.write(text[len(said) :])
            out.flush()
            said = text
    out.write(str(tokenizer.decode(ids))[len(said) :] + "\n")


def _as_integers(ids: Iterable[int]) -> list[int]:
    """Convert symbols to Python integers. Raises DTypeError for anything else."""
    given = list(ids)
    try:
        return [operator.index(i) for i in given]
    except TypeError as error:
        raise DTypeError(f"symbols must be integers, got {given[:9]}") from error


def _batch(ids: list[int]) -> Tensor:
    return asarray([ids], dtype=dtypes.int64)
