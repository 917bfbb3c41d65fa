"""What attention looks at: a picture for each head."""

from collections.abc import Sequence

import numpy as np

from tinyxp.core.tensor import Tensor
from tinyxp.plots.images import Images

VISIBLE = {" ": "\u2423", "\n": "\u21b5"}  # blanks and line ends are seen, too


def attention(maps: Sequence[Tensor], symbols: Sequence[str]) -> Images:
    """The weights of each block (batch, heads, T, T), of the first in the batch, as images: from
    each of T ``symbols``, the row, to those that it looks at, the columns.

    >>> from tinyxp.plots.attention import attention
    >>> picture = attention([tx.ones((1, 2, 3, 3)) / 3], "a b")
    >>> picture.captions, picture.ticks
    (['block 0, head 0', 'block 0, head 1'], ['a', '\u2423', 'b'])
    """
    heads = np.concatenate([part.detach().numpy()[0] for part in maps])
    n = len(heads) // len(maps)
    captions = [f"block {i}, head {j}" for i in range(len(maps)) for j in range(n)]
    ticks = [VISIBLE.get(symbol, symbol) for symbol in symbols]
    title = "attention: from a symbol (row) to those that it looks at (columns)"
    return Images(heads, captions, title, columns=n, ticks=ticks)
