"""Attention weights as images, one for each head."""

from collections.abc import Sequence

import numpy as np

from tinyxp.core.tensor import Tensor
from tinyxp.plots.images import Images

VISIBLE = {" ": "\u2423", "\n": "\u21b5"}  # make blanks and line ends visible


def attention(maps: Sequence[Tensor], symbols: Sequence[str]) -> Images:
    """The weights of each block (batch, heads, T, T), for the first sample, as images: a row for
    each of T ``symbols``, a column for each symbol that it attends to.

    >>> from tinyxp.plots.attention import attention
    >>> picture = attention([tx.ones((1, 2, 3, 3)) / 3], "a b")
    >>> picture.captions, picture.ticks
    (['block 0, head 0', 'block 0, head 1'], ['a', '\u2423', 'b'])
    """
    heads = np.concatenate([part.detach().numpy()[0] for part in maps])
    n = len(heads) // len(maps)
    captions = [f"block {i}, head {j}" for i in range(len(maps)) for j in range(n)]
    ticks = [VISIBLE.get(symbol, symbol) for symbol in symbols]
    title = "attention: from a symbol (row) to those that it attends to (columns)"
    return Images(heads, captions, title, columns=n, ticks=ticks)
